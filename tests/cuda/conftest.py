"""What the CUDA compiler makes of the kernels. These tests run where nvcc is on the PATH; no GPU is needed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["-std=c++20", "-DFASTDL_DEVICE_CUDA=1", "--expt-relaxed-constexpr", "--extended-lambda",
         "-Werror=all-warnings", f"-I{ROOT / 'csrc'}"]  # fmt: skip


def cuda_program(name: str) -> str | None:
    """A program of the toolkit, from the PATH or from the wheel nvidia-cuda-<name>."""
    if found := shutil.which(name):
        return found
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob(f"cu*/bin/{name}"):
            return str(path)
    return None


def run_program(*command: str) -> str:
    """What the program printed; its messages when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(name="nvcc", scope="session")
def _nvcc() -> Callable[..., str]:
    """Runs nvcc with the flags of the build."""
    program = cuda_program("nvcc")
    if program is None:
        pytest.skip("nvcc is not on the PATH")
    return lambda *arguments: run_program(program, *FLAGS, *map(str, arguments))


@pytest.fixture(name="sass", scope="session")
def _sass() -> Callable[[Path], str]:
    """The instructions of a cubin."""
    program = cuda_program("cuobjdump")
    if program is None:
        pytest.skip("cuobjdump is not on the PATH (the wheel nvidia-cuda-cuobjdump has it)")
    return lambda cubin: run_program(program, "-sass", str(cubin))
