"""CUDA files compiled with g++ and run by the emulated device."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import backends
from ..tensor import Tensor

KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")
BASE = ("-std=c++20", "-fPIC", "-fvisibility=hidden", "-DFASTDL_DEVICE_EMU=1", "-DFASTDL_EMU_USER=1", "-Wno-psabi")
CHECKED = ("-O1", "-g1", "-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0")
NUMBERS: dict[str, Any] = {
    "b1": ctypes.c_bool, "i1": ctypes.c_int8, "u1": ctypes.c_uint8, "i2": ctypes.c_int16, "u2": ctypes.c_uint16,
    "i4": ctypes.c_int32, "u4": ctypes.c_uint32, "i8": ctypes.c_int64, "u8": ctypes.c_uint64, "f4": ctypes.c_float,
    "f8": ctypes.c_double,
}  # fmt: skip
POINTERS = {"*f4": "float32", "*f8": "float64", "*i4": "int32", "*i8": "int64", "*u1": "uint8", "*b1": "bool"}
Size = int | Sequence[int]


class Kernels:
    """The kernels of a file that `compile` read."""

    def __init__(self, library: ctypes.CDLL, names: Sequence[str]) -> None:
        self._launch: dict[str, Any] = {}
        self._signature: dict[str, list[str]] = {}
        for name in names:
            signature, launch = library[f"fastdl_signature_{name}"], library[f"fastdl_launch_{name}"]
            signature.restype = launch.restype = ctypes.c_char_p
            self._signature[name] = signature().decode().split()
            self._launch[name] = launch

    @property
    def names(self) -> list[str]:
        """The kernels' names, in the order of the file."""
        return list(self._launch)

    def launch(self, name: str, grid: Size, block: Size, *arguments: Any, shared_bytes: int = 0) -> None:
        """Runs a kernel; it has ended when this returns.

        grid and block are an int or up to three. Pointers take tensors on device "emu" of the pointer's type, or None;
        other parameters take numbers. `shared_bytes` is the size of dynamic shared memory.

        Raises ValueError for a kernel that the file does not have and for a wrong number of arguments, TypeError for
        arguments of another type, RuntimeError for a launch that the device refuses.
        """
        if name not in self._launch:
            raise ValueError(f"[launch] expected one of {', '.join(self.names)}, got {name!r}")
        kinds = self._signature[name]
        if len(arguments) != len(kinds):
            raise ValueError(f"[{name}] expected {len(kinds)} arguments, got {len(arguments)}")
        values = [_value(name, i, kind, a) for i, (kind, a) in enumerate(zip(kinds, arguments, strict=True))]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        size = (ctypes.c_uint * 6)(*_three("grid", grid), *_three("block", block))
        message = self._launch[name](size, ctypes.c_size_t(shared_bytes), pointers)
        if message is not None:
            raise RuntimeError(message.decode())


def compile(path: str | os.PathLike[str], *, flags: Sequence[str] = ()) -> Kernels:
    """Compiles the kernels of a CUDA file for the emulated device; needs g++ 10 or newer.

    The file includes `cuda/launch.h` and nothing else of CUDA; shared memory is `FASTDL_SHARED(float, tile, [32][33])`
    or `FASTDL_DYNAMIC_SHARED(bytes)`, whose type is unsigned char*. nvcc compiles the same file for a GPU. Kernels are
    functions outside of namespaces, and no templates. `flags` go to g++ besides. `report()` and `profile()` know these
    kernels as they know the library's.

    Raises RuntimeError where this build has no emulated device, where there is no g++, and with g++'s words for a file
    that does not compile; ValueError for a file without kernels.

    >>> import fastdl, pathlib, tempfile
    >>> source = '''
    ... #include "cuda/launch.h"
    ... __global__ void twice(const float* x, float* out, int n) {
    ...   const int i = blockIdx.x * blockDim.x + threadIdx.x;
    ...   if (i <= n) out[i] = 2 * x[i];
    ... }
    ... '''
    >>> if fastdl.emu.is_available():
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         file = pathlib.Path(folder) / "twice.cu"
    ...         _ = file.write_text(source)
    ...         kernels = compile(file)
    ...     x = fastdl.arange(100, dtype="float32", device="emu")
    ...     out = fastdl.empty(100, device="emu")
    ...     kernels.launch("twice", 2, 64, x, out, 100)
    ...     assert out.tolist() == (2 * x).tolist()
    ...     assert {(f.kind, f.line) for f in fastdl.emu.report()} == {("OUT_OF_BOUNDS", 5)}
    ...     fastdl.emu.clear_report()
    """
    module = backends.get("emu")
    source = Path(path).resolve()
    names = list(dict.fromkeys(KERNEL.findall(source.read_text())))
    if not names:
        raise ValueError(f"[compile] expected a file with kernels (__global__ void name(...)), got {source.name}")
    ctypes.CDLL(_module_file(module), mode=ctypes.RTLD_GLOBAL)  # so that the library finds the engine
    with tempfile.TemporaryDirectory() as folder:
        library = _build(source, names, Path(folder), flags)
        return Kernels(ctypes.CDLL(str(library)), names)


def _module_file(module: Any) -> str:
    import importlib

    return str(importlib.import_module("fastdl._emu").__file__)


def _headers() -> Path:
    """csrc/ as installed with the package, or of the source tree that the package is run from."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "csrc", package.parents[1] / "csrc"):
        if (folder / "emu" / "user.h").exists():
            return folder
    raise RuntimeError("[compile] expected the headers csrc/ beside the package, got none")


def _build(source: Path, names: Sequence[str], folder: Path, flags: Sequence[str]) -> Path:
    compiler, headers = shutil.which("g++"), _headers()
    if compiler is None:
        raise RuntimeError("[compile] expected g++ on PATH, got none")
    kernels = "".join(f"FASTDL_USER_KERNEL({name})\n" for name in names)
    wrapper = folder / "kernels.cc"
    wrapper.write_text(f'#include "emu/user.h"\n#include "{source}"\n{kernels}FASTDL_USER_MODULE\n')
    units = [(wrapper, [*CHECKED, *flags])] + [(headers / "emu" / f, ["-O2"]) for f in ("hooks.cc", "atomics.cc")]
    objects = [folder / f"{unit.stem}.o" for unit, _ in units]
    running = [
        subprocess.Popen(
            [compiler, *BASE, f"-I{headers}", *options, "-c", unit, "-o", out], stderr=subprocess.PIPE, text=True
        )
        for (unit, options), out in zip(units, objects, strict=True)
    ]
    errors = [process.communicate()[1] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"[compile] expected CUDA C++ that g++ compiles, got\n{''.join(errors)}")
    library = Path(tempfile.mkdtemp(prefix="fastdl-")) / f"{source.stem}.so"  # stays: reports read its symbols
    subprocess.run([compiler, "-shared", "-Wl,-Bsymbolic", *objects, "-o", library], check=True)
    return library


def _three(what: str, size: Size) -> list[int]:
    sizes = [size] if isinstance(size, int) else list(size)
    if not 1 <= len(sizes) <= 3 or any(not 0 <= n < 2**32 for n in sizes):
        raise ValueError(f"[launch] expected one to three sizes for {what}, got {size!r}")
    return [*sizes, 1, 1][: max(3, len(sizes))]


def _value(name: str, i: int, kind: str, argument: Any) -> Any:
    """The argument as C has it."""
    if kind.startswith("*"):
        if argument is None:
            return ctypes.c_void_p(None)
        dtype = POINTERS.get(kind)
        if (
            not isinstance(argument, Tensor)
            or argument.device != "emu"
            or (dtype and str(argument._array.dtype) != dtype)
        ):
            got = (
                f"{argument._array.dtype} on {argument.device}"
                if isinstance(argument, Tensor)
                else type(argument).__name__
            )
            raise TypeError(f"[{name}] expected a tensor of {dtype or 'any dtype'} on emu for argument {i}, got {got}")
        return ctypes.c_void_p(backends.get("emu").address(argument._array))
    if kind not in NUMBERS:
        raise TypeError(f"[{name}] expected parameters that are pointers or numbers, got another for parameter {i}")
    try:
        return NUMBERS[kind](argument)
    except TypeError:
        raise TypeError(
            f"[{name}] expected a number ({kind}) for argument {i}, got {type(argument).__name__}"
        ) from None
