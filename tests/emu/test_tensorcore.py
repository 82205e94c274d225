"""Tensor cores and asynchronous copies of the emulation: each function against NumPy, each planted mistake found."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab

SOURCE = Path(__file__).parents[2] / "csrc" / "emu" / "selftest" / "tensorcore_bugs.cu"
PLANTED = re.compile(r"// finds (.+)$")
WRONG = re.compile(r"// wrong numbers (\w+)$", re.MULTILINE)
RNG = np.random.default_rng(0)
LANES = np.arange(32)
ROW, TWO = LANES // 4, LANES % 4


# ---- numbers ----


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Rounded to 8 bits of significand, ties to even, as float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), np.float32(np.nan), rounded.astype(np.uint32).view(np.float32))


def tfloat32(x: np.ndarray) -> np.ndarray:
    """Rounded to 11 bits of significand, ties away from zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def special_numbers() -> np.ndarray:
    rng = np.random.default_rng(1)
    edges = [0, 1, 65504, 65519.9, 65520, 1e-8, 2**-24, 2**-25, 2**-25 * 1.01, 2**-14, 2**-14 * 0.9999, 3e38, np.inf]
    ties = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-12]
    wide = rng.standard_normal(2000) * 10.0 ** rng.uniform(-9, 6, 2000)
    x = np.concatenate([edges, ties, wide]).astype(np.float32)
    x = np.concatenate([x, -x])
    return np.append(x, [np.float32(np.nan)] * (2 - len(x) % 2))


@pytest.mark.usefixtures("_finds_nothing")
def test_to_bfloat16(lab: Lab) -> None:
    x = special_numbers()
    out = lab.run("to_bfloat16", x, ((len(x) // 2,), "int32"))[1].view(np.uint16)[: len(x)]
    np.testing.assert_array_equal((out.astype(np.uint32) << 16).view(np.float32), bfloat16(x))


@pytest.mark.usefixtures("_finds_nothing")
@pytest.mark.filterwarnings("ignore:overflow")
def test_to_float16(lab: Lab) -> None:
    x = special_numbers()
    out = lab.run("to_float16", x, ((len(x) // 2,), "int32"))[1].view(np.float16)[: len(x)]
    np.testing.assert_array_equal(out, x.astype(np.float16))


@pytest.mark.usefixtures("_finds_nothing")
def test_to_tfloat32(lab: Lab) -> None:
    x = special_numbers()
    out = lab.run("to_tfloat32", x, ((len(x),), "int32"))[1].view(np.float32)
    np.testing.assert_array_equal(out, tfloat32(x))


# ---- copies ----


@pytest.mark.usefixtures("_finds_nothing")
@pytest.mark.parametrize("size", [4, 8, 16])
def test_copies_and_their_zeros(lab: Lab, size: int) -> None:
    x = RNG.integers(-(2**31), 2**31, 8 * size).astype(np.int32)
    out = lab.run(f"copy_async_{size}", x, ((8 * size,), "int32"))[1].view(np.uint8).reshape(32, size)
    read = np.arange(size) < (LANES % (size + 1))[:, None]
    np.testing.assert_array_equal(out, np.where(read, x.view(np.uint8).reshape(32, size), 0))


@pytest.mark.usefixtures("_finds_nothing")
def test_groups_of_copies(lab: Lab) -> None:
    x = RNG.standard_normal(96).astype(np.float32)
    np.testing.assert_array_equal(lab.run("copy_groups", x, ((96,), "float32"))[1], x)


# ---- matrices ----


@pytest.mark.usefixtures("_finds_nothing")
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("kind", ["matrices", "transposed"])
def test_loads_of_matrices(lab: Lab, count: int, kind: str) -> None:
    x = RNG.integers(0, 2**16, (count, 8, 8)).astype(np.uint16)
    out = lab.run(f"load_{kind}_{count}", x.view(np.int32), ((32 * count,), "int32"))[1]
    got = out.view(np.uint16).reshape(32, count, 2)
    given = x.transpose(0, 2, 1) if kind == "transposed" else x
    for m in range(count):
        np.testing.assert_array_equal(got[:, m, 0], given[m, ROW, 2 * TWO])
        np.testing.assert_array_equal(got[:, m, 1], given[m, ROW, 2 * TWO + 1])


# ---- products ----


def fragments_16(m: np.ndarray) -> np.ndarray:
    """(16, 16) or (8, 16) numbers of 16 bits -> the registers of each lane."""
    parts = [(r, k) for k in (0, 8) for r in range(0, len(m), 8)]
    halves = [[m[r + ROW, k + 2 * TWO + j] for j in (0, 1)] for r, k in parts]
    return np.ascontiguousarray(np.array(halves).transpose(2, 0, 1)).view(np.int32)[..., 0]


def fragments_32(m: np.ndarray) -> np.ndarray:
    parts = [(r, k) for k in (0, 4) for r in range(0, len(m), 8)]
    return np.array([m[r + ROW, k + TWO] for r, k in parts]).T.view(np.int32)


def results(out: np.ndarray) -> np.ndarray:
    c = np.empty((16, 8), np.float32)
    for j in range(4):
        c[ROW + j // 2 * 8, 2 * TWO + j % 2] = out.reshape(32, 4)[:, j]
    return c


@pytest.mark.usefixtures("_finds_nothing")
@pytest.mark.parametrize("kind", ["bfloat16", "float16", "tfloat32"])
def test_products(lab: Lab, kind: str) -> None:
    steps = 8 if kind == "tfloat32" else 16
    a, b = (RNG.standard_normal((rows, steps)).astype(np.float32) for rows in (16, 8))
    c = RNG.standard_normal((32, 4)).astype(np.float32)
    if kind == "bfloat16":
        a, b = bfloat16(a), bfloat16(b)
        ra, rb = (fragments_16((x.view(np.uint32) >> 16).astype(np.uint16)) for x in (a, b))
    elif kind == "float16":
        ra, rb = (fragments_16(x.astype(np.float16).view(np.uint16)) for x in (a, b))
        a, b = (x.astype(np.float16).astype(np.float32) for x in (a, b))
    else:  # bits that do not count are cut off
        ra, rb = (fragments_32(np.ascontiguousarray(x)) for x in (a, b))
        a, b = ((x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for x in (a, b))
    out = lab.run(f"multiply_{kind}", ra, rb, c, ((32, 4), "float32"))[3]
    expected = results(c) + a.astype(np.float64) @ b.T.astype(np.float64)
    np.testing.assert_allclose(results(out), expected, rtol=0, atol=4e-6)


# ---- mistakes ----


def _planted() -> dict[str, list[tuple[int, set[str]]]]:
    """Name of the test -> lines and kinds, from the comments in the source."""
    found: dict[str, list[tuple[int, set[str]]]] = {}
    for number, line in enumerate(SOURCE.read_text().splitlines(), start=1):
        if match := PLANTED.search(line):
            for kinds, name in (pair.split(" ") for pair in match[1].split(", ")):
                found.setdefault(name, []).append((number, set(kinds.split("|"))))
    return found


def _small_product() -> tuple[list, np.ndarray]:
    a, b = (bfloat16(RNG.standard_normal((rows, 64))) for rows in (32, 8))
    bits = [(x.view(np.uint32) >> 16).astype(np.uint16).view(np.int32) for x in (a, b)]
    return [*bits, np.zeros((40, 8), np.float32)], a.astype(np.float64) @ b.T.astype(np.float64)


def test_the_product_without_a_mistake(lab: Lab, emu: ModuleType, order: tuple[str, int]) -> None:
    operands, expected = _small_product()
    out = lab.run("small_product", *operands)[2][:32]
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    assert emu.report() == []


@pytest.mark.parametrize("name", list(_planted()))
def test_mistake_is_found_at_its_line(lab: Lab, emu: ModuleType, order: tuple[str, int], name: str) -> None:
    lab.run(name, *_small_product()[0])
    found = [(f["line"], f["kind"]) for f in emu.report() if f["file"].endswith(SOURCE.name)]
    assert any(line == number and kind in kinds for number, kinds in _planted()[name] for line, kind in found), found


@pytest.mark.parametrize("name", WRONG.findall(SOURCE.read_text()))
def test_mistake_shows_in_the_numbers(lab: Lab, emu: ModuleType, order: tuple[str, int], name: str) -> None:
    operands, expected = _small_product()
    out = lab.run(name, *operands)[2][:32]
    assert np.abs(out - expected).max() > 0.1
    assert emu.report() == []


def test_an_early_read_names_the_copy(lab: Lab, emu: ModuleType) -> None:
    lab.run("own_copy_too_early", *_small_product()[0])
    messages = [f["message"] for f in emu.report() if f["kind"] == "ASYNC"]
    said = re.compile(r"reads 4 bytes that .* \(issued at csrc/emu/selftest/tensorcore_bugs.cu:\d+\)")
    assert any(said.search(m) for m in messages)
