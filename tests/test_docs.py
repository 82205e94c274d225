"""The examples in docstrings run, and the README's program does what it says."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import fastdl

ROOT = Path(__file__).parent.parent
SKIPPED = {"fastdl.backends.cuda", "fastdl.info"}  # needs a GPU; prints when imported as a program
MODULES = [
    m.name for m in pkgutil.walk_packages(fastdl.__path__, "fastdl.") if m.name not in SKIPPED and "._" not in m.name
]


@pytest.mark.parametrize("name", ["fastdl", *MODULES])
def test_docstring_examples(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs={"fastdl": fastdl, "np": np})
    assert found.failed == 0


def test_readme_program_runs(tmp_path, monkeypatch):
    """The README's pieces of Python one after another, with fewer epochs."""
    pieces = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(pieces) == 4
    monkeypatch.chdir(tmp_path)
    exec(re.sub(r"epochs=\d+", "epochs=1", "\n".join(pieces)), {})
    assert (tmp_path / "digits.safetensors").exists()
