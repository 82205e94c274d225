"""What the CUDA compiler makes of the kernels. These tests run where nvcc is on the PATH; no GPU is needed."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["-std=c++20", "-DFASTDL_DEVICE_CUDA=1", "--expt-relaxed-constexpr", "--extended-lambda",
         "-Werror=all-warnings", f"-I{ROOT / 'csrc'}"]  # fmt: skip
DEFAULT = "sm_90a"  # what FASTDL_CUDA_ARCHITECTURES has machine code for, if nobody says otherwise


def cuda_program(name: str) -> str | None:
    """A program of the toolkit, from the PATH or from the wheel nvidia-cuda-<name>."""
    if found := shutil.which(name):
        return found
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in Path(folder).glob(f"cu*/bin/{name}"):
            return str(path)
    return None


def run_program(*command: str, folder: Path | None = None) -> str:
    """What the program printed; its messages when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
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


def built_module() -> str | None:
    """The CUDA module, where it was built and can be looked into."""
    module = importlib.util.find_spec("fastdl._cuda")
    return module.origin if module is not None and cuda_program("cuobjdump") is not None else None


@functools.cache
def built_architectures() -> list[str]:
    """Those that the CUDA module has machine code for; the default build's where there is none."""
    file = built_module()
    if file is None:
        return [DEFAULT]
    listed = run_program(str(cuda_program("cuobjdump")), "-lelf", file)
    return sorted(set(re.findall(r"\.(sm_\w+)\.cubin", listed)), key=lambda a: int(re.sub(r"\D", "", a)))


@pytest.fixture(name="module_file", scope="session")
def _module_file() -> str:
    file = built_module()
    if file is None:
        pytest.skip("the CUDA module was not built, or cuobjdump is not on the PATH")
    return file


@pytest.fixture(name="built_code", scope="session")
def _built_code(module_file, sass, tmp_path_factory) -> Callable[[str], str]:
    """The instructions for sm_90a of the file of the CUDA module that has a kernel of this name."""
    folder = tmp_path_factory.mktemp("cubins")
    run_program(str(cuda_program("cuobjdump")), "-xelf", f".{DEFAULT}.cubin", module_file, folder=folder)

    def code(kernel: str) -> str:
        symbol = f"{len(kernel)}{kernel}".encode()
        (cubin,) = [path for path in folder.iterdir() if symbol in path.read_bytes()]
        return sass(cubin)

    return code


@pytest.fixture(name="built_kernels", scope="session")
def _built_kernels(module_file) -> Callable[..., list[tuple[Any, ...]]]:
    """Kernels of the CUDA module for an architecture: name, registers, bytes of stack, local and shared memory, and
    threads of a block."""

    @functools.cache
    def kernels(architecture: str = DEFAULT) -> list[tuple[Any, ...]]:
        look = functools.partial(run_program, str(cuda_program("cuobjdump")), "-arch", architecture)
        used = r"Function (\S+):\n\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)"
        found = {s: numbers for s, *numbers in re.findall(used, look("-res-usage", module_file))}
        about = r"^\.nv\.info\.(\S+)\n(.*?)(?=^\.)"
        most = r"MAX_THREADS\s+Format:\s+EIFMT_SVAL\s+Value:\s+0x(\w+) 0x1 0x1"
        parts = re.findall(about, look("-elf", module_file), re.DOTALL | re.MULTILINE)
        threads = {symbol: re.search(most, part) for symbol, part in parts}
        out: list[tuple[Any, ...]] = []
        for name, (symbol, numbers) in zip(demangled(list(found)), found.items(), strict=True):
            match = threads[symbol]
            assert match, f"{name} has no __launch_bounds__"
            registers, stack, shared, local = map(int, numbers)
            out.append((short_name(name), registers, stack, local, shared, int(match[1], 16)))
        return out

    return kernels


def demangled(symbols: list[str]) -> list[str]:
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def short_name(name: str) -> str:
    """Of a demangled function: without return type, namespaces and arguments."""
    name = re.sub(r"^void |\(anonymous namespace\)::|fastdl::", "", name)
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name
