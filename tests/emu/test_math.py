"""Every function of csrc/emu/math.h against NumPy, and every intrinsic of csrc/emu/intrinsics.h has a self test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab

EMU = Path(__file__).parents[2] / "csrc" / "emu"
N = 64
RNG = np.random.default_rng(0)
POSITIVE = RNG.uniform(0.1, 3.0, (3, N))
SIGNED = RNG.uniform(-9, 9, (3, N))
SIGNED[0, :6] = -2.5, -0.5, 0.5, 1.5, 0.0, -0.0  # ties, for roundings


def integers(dtype: type, bits: int) -> np.ndarray:
    x = RNG.integers(0, 2**bits, (3, N), np.uint64, endpoint=False).astype(f"u{bits // 8}")
    x[0, :4] = 0, 1, 2**bits - 1, 2 ** (bits - 1)
    return x.view(dtype)


I32, U32 = integers(np.int32, 32), integers(np.uint32, 32)
I64, U64 = integers(np.int64, 64), integers(np.uint64, 64)


def each(f: Callable[..., int], dtype: type) -> Callable[..., np.ndarray]:
    """f of Python's integers, for each element, wrapped to the dtype."""
    bits = 8 * np.dtype(dtype).itemsize

    def apply(*rows: np.ndarray) -> np.ndarray:
        numbers = [f(*map(int, row)) % 2**bits for row in zip(*rows, strict=True)]
        return np.array(numbers, f"u{bits // 8}").view(dtype)

    return apply


def reversed_bits(x: int) -> int:
    return int(f"{x:032b}"[::-1], 2)


def fused(dtype: type) -> Callable[..., np.ndarray]:
    """x y + z in twice the digits, rounded once."""
    return lambda x, y, z: (x.astype(np.longdouble) * y + z).astype(dtype)


# Name -> inputs, dtype of the output, the same in NumPy.
Function = tuple[np.ndarray, type, Callable[..., np.ndarray]]
F32, F64 = np.float32, np.float64
APPROXIMATE: dict[str, Function] = {
    "__expf": (SIGNED.astype(F32), F32, np.exp),
    "__exp10f": (SIGNED.astype(F32), F32, lambda x: 10**x),
    "__logf": (POSITIVE.astype(F32), F32, np.log),
    "__log2f": (POSITIVE.astype(F32), F32, np.log2),
    "__log10f": (POSITIVE.astype(F32), F32, np.log10),
    "__sinf": (SIGNED.astype(F32), F32, np.sin),
    "__cosf": (SIGNED.astype(F32), F32, np.cos),
    "__tanf": (POSITIVE.astype(F32) / 3, F32, np.tan),
    "__powf": (POSITIVE.astype(F32), F32, lambda x, y: x**y),
    "__fdividef": (POSITIVE.astype(F32), F32, lambda x, y: x / y),
    "rsqrtf": (POSITIVE.astype(F32), F32, lambda x: x**-0.5),
    "rsqrt": (POSITIVE, F64, lambda x: x**-0.5),
    "rcbrtf": (POSITIVE.astype(F32), F32, lambda x: 1 / np.cbrt(x)),
    "__frsqrt_rn": (POSITIVE.astype(F32), F32, lambda x: x**-0.5),
}
EXACT: dict[str, Function] = {
    "__saturatef": (SIGNED.astype(F32), F32, lambda x: np.clip(x, 0, 1)),
    "__frcp_rn": (POSITIVE.astype(F32), F32, lambda x: F32(1) / x),
    "__fsqrt_rn": (POSITIVE.astype(F32), F32, np.sqrt),
    "__fadd_rn": (SIGNED.astype(F32), F32, np.add),
    "__fsub_rn": (SIGNED.astype(F32), F32, np.subtract),
    "__fmul_rn": (SIGNED.astype(F32), F32, np.multiply),
    "__fdiv_rn": (POSITIVE.astype(F32), F32, np.divide),
    "__fmaf_rn": (SIGNED.astype(F32), F32, fused(F32)),
    "__dadd_rn": (SIGNED, F64, np.add),
    "__dsub_rn": (SIGNED, F64, np.subtract),
    "__dmul_rn": (SIGNED, F64, np.multiply),
    "__ddiv_rn": (POSITIVE, F64, np.divide),
    "__fma_rn": (np.rint(SIGNED * 2**30), F64, fused(F64)),  # the product is exact in 64 digits
    "__float_as_int": (SIGNED.astype(F32), np.int32, lambda x: x.view(np.int32)),
    "__float_as_uint": (SIGNED.astype(F32), np.uint32, lambda x: x.view(np.uint32)),
    "__int_as_float": (SIGNED.astype(F32).view(np.int32), F32, lambda x: x.view(F32)),
    "__uint_as_float": (SIGNED.astype(F32).view(np.uint32), F32, lambda x: x.view(F32)),
    "__double_as_longlong": (SIGNED, np.int64, lambda x: x.view(np.int64)),
    "__longlong_as_double": (SIGNED.view(np.int64), F64, lambda x: x.view(F64)),
    "__float2int_rn": (SIGNED.astype(F32), np.int32, np.rint),
    "__float2int_rd": (SIGNED.astype(F32), np.int32, np.floor),
    "__float2int_ru": (SIGNED.astype(F32), np.int32, np.ceil),
    "__float2int_rz": (SIGNED.astype(F32), np.int32, np.trunc),
    "__int2float_rn": (I32, F32, lambda x: x.astype(F32)),
    "__uint2float_rn": (U32, F32, lambda x: x.astype(F32)),
    "__ull2float_rn": (U64, F32, lambda x: x.astype(F32)),
    "__double2float_rn": (SIGNED, F32, lambda x: x.astype(F32)),
    "__popc": (U32, np.int32, each(int.bit_count, np.int32)),
    "__popcll": (U64, np.int32, each(int.bit_count, np.int32)),
    "__ffs": (I32, np.int32, each(lambda x: (x & -x).bit_length(), np.int32)),
    "__ffsll": (I64, np.int32, each(lambda x: (x & -x).bit_length(), np.int32)),
    "__clz": (I32, np.int32, each(lambda x: 32 - (x % 2**32).bit_length(), np.int32)),
    "__clzll": (I64, np.int32, each(lambda x: 64 - (x % 2**64).bit_length(), np.int32)),
    "__brev": (U32, np.uint32, each(reversed_bits, np.uint32)),
    "__mulhi": (I32, np.int32, each(lambda x, y: x * y >> 32, np.int32)),
    "__umulhi": (U32, np.uint32, each(lambda x, y: x * y >> 32, np.uint32)),
    "__umul64hi": (U64, np.uint64, each(lambda x, y: x * y >> 64, np.uint64)),
    "__mul64hi": (I64, np.int64, each(lambda x, y: x * y >> 64, np.int64)),
}
ARGUMENTS = {"__fmaf_rn": 3, "__fma_rn": 3} | dict.fromkeys(
    ("__powf", "__fdividef", "__fadd_rn", "__fsub_rn", "__fmul_rn", "__fdiv_rn", "__dadd_rn", "__dsub_rn", "__dmul_rn",
     "__ddiv_rn", "__mulhi", "__umulhi", "__umul64hi", "__mul64hi"), 2)  # fmt: skip


@pytest.fixture(autouse=True)
def _stays_silent(emu: ModuleType):
    yield
    assert emu.report() == []


# The device's arrays have no unsigned dtypes but uint8: their bits travel as signed ones.
def signed(dtype: type) -> np.dtype:
    return np.dtype(dtype) if np.dtype(dtype).kind != "u" else np.dtype(f"i{np.dtype(dtype).itemsize}")


def computed(lab: Lab, name: str, x: np.ndarray, size: int, dtype: type) -> np.ndarray:
    return lab.run(name, x.view(signed(x.dtype.type)), ((size,), str(signed(dtype))))[1].view(dtype)


@pytest.mark.parametrize("name", [*APPROXIMATE, *EXACT])
def test_function(lab: Lab, name: str) -> None:
    x, dtype, f = (APPROXIMATE | EXACT)[name]
    rows = x[: ARGUMENTS.get(name, 1)]
    out = computed(lab, f"math_{name}", x, N, dtype)
    if name in EXACT:
        np.testing.assert_array_equal(out, f(*rows).astype(dtype))
    else:
        np.testing.assert_allclose(out, f(*rows.astype(F64)), rtol=4 * np.finfo(dtype).eps, atol=1e-7)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64", "long", "ulong", "float32", "float64"])
def test_smaller_and_larger(lab: Lab, dtype: str) -> None:
    x = {"int32": I32, "uint32": U32, "int64": I64, "uint64": U64, "long": I64, "ulong": U64}.get(dtype)
    x = SIGNED.astype(dtype) if x is None else x
    out = computed(lab, f"min_max_{dtype}", x, 2 * N, x.dtype.type)
    np.testing.assert_array_equal(out, np.concatenate([np.minimum(x[0], x[1]), np.maximum(x[0], x[1])]))


def test_nan_is_neither_smaller_nor_larger(lab: Lab) -> None:
    x = np.array([[np.nan, 1.0], [2.0, np.nan]])
    np.testing.assert_array_equal(lab.run("min_max_float64", x, ((4,), "float64"))[1], [2.0, 1.0, 2.0, 1.0])


# ---- nothing is left out ---------------------------------------------------------------------------------------------

DEFINED = re.compile(r"^(?:static |inline |__forceinline__ |#define )+(?:[\w<>]+ )*?(\w+)\((?!_)", re.MULTILINE)
ATOMIC = re.compile(r"\bFASTDL_ATOMIC\(\w+, (\w+)\)|\bT (atomic\w+)\(")


def names(header: str) -> set[str]:
    """What a header defines for kernels: CUDA's names, which begin with two underscores, and the like."""
    text = (EMU / header).read_text()
    text = re.sub(r"namespace fastdl::emu \{.*?\n\}  // namespace", "", text, flags=re.DOTALL)
    found = {name for name in DEFINED.findall(text) if not name.startswith("FASTDL_")}
    atomics = {whole or f"atomic{name}" for name, whole in ATOMIC.findall(text)}
    return found | atomics - {"atomicname", "atomic"}


def test_every_function_of_math_is_tested() -> None:
    assert names("math.h") - {"min", "max"} == {*APPROXIMATE, *EXACT}


def test_every_intrinsic_has_a_self_test() -> None:
    attributes = {"__launch_bounds__", "__align__", "__attribute__"}
    tested = " ".join((EMU / "selftest" / f).read_text() for f in ("intrinsics.cu", "clean.cu"))
    missing = {name for name in names("intrinsics.h") - attributes if not re.search(rf"\b{name}\b", tested)}
    assert missing == set()
    assert {"__shfl_xor_sync", "__syncthreads_or", "__ldg", "atomicAdd", "atomicCAS", "atomicSub"} <= names(
        "intrinsics.h"
    )
