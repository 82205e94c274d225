"""The house itself: list = folders = bindings = cases, one surface, short files, instruction-set hygiene."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastdl
from fastdl import backends
from fastdl.backends import stubs
from fastdl.backends.surface import FUNCTIONS as SURFACE

from . import cases
from .conftest import devices

ROOT = Path(__file__).parent.parent
ROOMS = re.findall(r"^FASTDL_OP\((\w+)\)", (ROOT / "csrc/ops/ops.inc").read_text(), re.MULTILINE)


def tracked(*suffixes):
    skipped = {"build", ".git", "out", "dist"}
    return [p for p in ROOT.rglob("*") if p.suffix in suffixes and not skipped & {*p.relative_to(ROOT).parts}
            and not any(part.startswith((".venv", "venv")) for part in p.relative_to(ROOT).parts)]  # fmt: skip


def test_every_room_is_complete_and_listed():
    folders = {p.name for p in (ROOT / "csrc/ops").iterdir() if p.is_dir()}
    assert folders == set(ROOMS)
    for room in ROOMS:
        for name in (f"{room}.h", f"{room}_cpu.cc", f"{room}_bind.cc", "README.md"):
            assert (ROOT / "csrc/ops" / room / name).exists(), f"{room} lacks {name}"


def test_every_room_has_cases():
    files = {p.stem for p in (ROOT / "tests/cases").glob("*.py")} - {"__init__"}
    assert files == set(ROOMS)
    names = [case.name for case in cases.all_cases()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", devices())
def test_backends_have_one_surface(name):
    module = backends.get(name)
    missing = [f for f in SURFACE if not callable(getattr(module, f, None))]
    assert missing == []
    if name == "reference":
        for f, declared in SURFACE.items():
            expected = list(inspect.signature(declared).parameters)[1:]
            assert list(inspect.signature(getattr(module, f)).parameters) == expected, f


@pytest.mark.parametrize("name", [d for d in devices() if d != "reference"])
def test_only_rooms_without_device_kernels_are_missing(name):
    module = backends.get(name)
    refused = [f for f in SURFACE if inspect.isfunction(getattr(module, f))]
    for f in refused:
        with pytest.raises(NotImplementedError, match=rf"\[{f}\] expected device cpu or reference, got {name}"):
            getattr(module, f)()
    if name == "cpu" or all(cases.has_device_kernels(room) for room in ROOMS):
        assert refused == []


@pytest.mark.parametrize("name", [d for d in devices() if d != "reference"])
def test_bindings_take_the_arguments_of_the_surface(name):
    """pybind11 lists each function's arguments in its docstring."""
    module = backends.get(name)
    for f, declared in SURFACE.items():
        if inspect.isfunction(getattr(module, f)):
            continue  # Python's refusal of what the device lacks
        line = (getattr(module, f).__doc__ or "").splitlines()[0]
        bound = len(re.findall(r"arg\d+: ", line))
        assert bound == len(inspect.signature(declared).parameters) - 1, f"{f}: {line}"


@pytest.mark.parametrize("module", stubs.MODULES)
def test_stubs_follow_the_surface(module):
    text = (ROOT / f"python/fastdl/{module}.pyi").read_text()
    assert text == stubs.stub(module), "run `python -m fastdl.backends.stubs python/fastdl`"


@pytest.mark.parametrize("name", [d for d in devices() if d != "reference"])
def test_stubs_name_everything_that_a_module_has(name):
    module = importlib.import_module(f"fastdl._{name}")
    declared = {f for protocol in stubs.MODULES[f"_{name}"] for f in vars(protocol)}
    assert {f for f in dir(module) if not f.startswith("_")} - {"Array"} <= declared


def test_files_stay_short():
    caps = {".py": 400, ".cc": 600, ".cu": 600, ".cuh": 600, ".h": 600}
    long = {
        str(p.relative_to(ROOT)): n for p in tracked(*caps) if (n := len(p.read_text().splitlines())) > caps[p.suffix]
    }
    assert long == {}
    assert len((ROOT / "CMakeLists.txt").read_text().splitlines()) <= 150


def test_kernels_know_no_python():
    for p in [*ROOT.glob("csrc/ops/*/*_cpu.cc"), *ROOT.glob("csrc/ops/*/*.cu"), *ROOT.glob("csrc/ops/*/*.h")]:
        assert "pybind11" not in p.read_text() and "Python.h" not in p.read_text(), p


def test_classes_of_bindings_belong_to_their_module():
    """Modules of two devices are compiled from the same bindings; one program loads both."""
    for p in (ROOT / "csrc").rglob("*.cc"):
        for found in re.findall(r"py::class_<.*?(?:;|\.def)", p.read_text(), re.DOTALL):
            assert "module_local(" in found, f"{p.name}: {found}"


PTX_HEADERS = ("tensorcore.cuh", "hopper.cuh")  # each instruction there has a body for the emulation


def test_kernels_launch_through_one_door():
    for p in [*ROOT.glob("csrc/ops/*/*.cu"), *ROOT.glob("csrc/cuda/*.cuh")]:
        text = p.read_text()
        assert "<<<" not in text, p
        assert "__shared__" not in text, p
        if p.name not in PTX_HEADERS:
            assert not re.search(r"\basm\b", re.sub(r"//.*", "", text)), p


def test_no_file_names_its_makers_machine():
    pattern = re.compile(r"(?<![\w.])/(?:work|tmp|root|home)/[a-z.]|TODO|FIXME|XXX")
    for p in tracked(".py", ".cc", ".cu", ".cuh", ".h", ".md", ".toml", ".txt"):
        if p != Path(__file__):
            assert not pattern.search(p.read_text()), p


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm from binutils")
def test_instruction_set_units_leak_no_symbols():
    """A weak symbol outside its instruction set's namespace could become the copy that every machine runs."""
    objects = [p for p in ROOT.glob("build/*/CMakeFiles/cpu_*.dir/**/*.o")]
    assert objects or "CI" not in os.environ, "CI builds in build/, so there is something to look at"
    for p in objects:
        isa = re.search(r"cpu_(\w+)\.dir", str(p)).group(1)
        for line in subprocess.run(["nm", "-C", p], capture_output=True, text=True, check=True).stdout.splitlines():
            kind, _, name = line[17:].partition(" ")
            assert kind not in "WVuw" or f"fastdl::{isa}::" in name or name.startswith("DW.ref."), f"{p.name}: {name}"


def test_exports_exist_and_are_documented():
    public = [n for n in dir(fastdl) if not n.startswith("_") and callable(getattr(fastdl, n))]
    undocumented = [n for n in public if not (getattr(fastdl, n).__doc__ or "").strip()]
    assert undocumented == []


def test_import_loads_little():
    """Beyond NumPy a few small modules of Python and those of fastdl that every program needs: no kernels, and no
    package that waits to be asked for. What this takes is measured by bench/package.py."""
    code = "import sys, numpy; before = set(sys.modules); import fastdl; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.partition(".")[0] == "fastdl"}
    heavy = {"numpy.random", "subprocess", "tempfile", "pathlib", "dataclasses", "traceback", "shutil", "inspect"}
    heavy |= {"torch", "matplotlib", "sklearn", "scipy", "pandas", "tqdm", "safetensors", "onnx"}
    assert not heavy & set(loaded)
    assert not ours & {f"fastdl.{name}" for name in (*fastdl._LATER, "_cpu", "_cuda", "_emu")}
    assert len(ours) < 120


def test_what_is_loaded_later_is_there():
    """Names that `import fastdl` leaves aside are completed, and are what their packages call so."""
    assert {*fastdl._LATER, *fastdl._LATER_NAMES} <= set(dir(fastdl))
    for name, place in fastdl._LATER_NAMES.items():
        module, _, attribute = f"fastdl.{place}".rpartition(".")
        assert getattr(fastdl, name) is getattr(importlib.import_module(module), attribute)
    names: dict[str, object] = {}
    exec("from fastdl import *", names)
    assert {"Tensor", "nn", "optim", "compile", "ops"} <= set(names) and not {"onnx", "np", "Any"} & set(names)
    with pytest.raises(AttributeError, match="module 'fastdl' has no attribute 'nothing'"):
        fastdl.nothing  # noqa: B018


def test_info_prints_what_was_built():
    out = subprocess.run([sys.executable, "-m", "fastdl.info"], capture_output=True, text=True, check=True).stdout
    assert fastdl.__version__ in out
    for word in ("baseline", "threads", "CUDA", "emu"):
        assert word.lower() in out.lower()
