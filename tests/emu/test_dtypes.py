"""Dtypes and sizes of indexing, sorting and packing that the cases, which are of floats, do not reach: equal to the
reference to the bit, and no finding."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastdl import backends

NUMBERS = ("float32", "float64", "int32", "int64")
DTYPES = (*NUMBERS, "uint8", "bool")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, -1e-40)


def _numbers(dtype: str, *shape: int) -> np.ndarray:
    """Special values of a dtype among others; of integers the least and the largest, which share keys with NaN."""
    rng = np.random.default_rng(0)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("float"):
        few = rng.random(shape) < 0.1
        return np.where(few, rng.choice(np.array(SPECIAL, dtype), shape), rng.standard_normal(shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.choice(np.array([limits.min, limits.max, limits.max - 1, 0, 1, 7], dtype), shape)


def _small(dtype: str, *shape: int) -> np.ndarray:
    """Numbers whose sums are exact in any order."""
    return np.random.default_rng(1).integers(0, 100, shape).astype(dtype)


def _places(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, n, shape)


@pytest.fixture(name="same")
def _same(emu: ModuleType) -> Callable[..., None]:
    """Calls a function of the surface on both: results, or the first argument of one that writes into it, are equal."""
    reference = backends.get("reference")

    def run(backend: ModuleType, name: str, args: tuple[Any, ...]) -> list[Any]:
        given = [backend.from_numpy(a.copy(), False) if isinstance(a, np.ndarray) else a for a in args]
        result = getattr(backend, name)(*given)
        results = [given[0]] if name.endswith("_") else result if isinstance(result, tuple) else [result]
        return [None if r is None else np.ascontiguousarray(backend.to_numpy(r)) for r in results]

    def same(name: str, *args: Any) -> None:
        for got, want in zip(run(emu, name, args), run(reference, name, args), strict=True):
            assert (got is None) == (want is None)
            if got is not None:
                assert (got.dtype, got.shape) == (want.dtype, want.shape)
                assert got.tobytes() == want.tobytes(), name
        assert emu.report() == []

    return same


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inner", [1, 3, 16])
def test_indexing(same: Callable[..., None], dtype: str, inner: int) -> None:
    x, source = _small(dtype, 4, 6, inner), _small(dtype, 4, 9, inner)
    lines, places = _places(6, 9), _places(6, 4, 9, inner)
    same("index_select", x, lines, 1)
    same("index_assign_", x, lines, source, 1)
    same("gather", x, places, 1)
    same("scatter_", x, places, source, 1)
    same("nonzero", x % 3 == 0 if dtype == "bool" else x % 3)
    wide, few = _small(dtype, 2, 900), _small(dtype, 2, 20)
    same("scatter_", wide, _places(15, 2, 20), few, 1)
    if dtype in NUMBERS:
        same("index_add", source, lines, 1, 6)
        same("scatter_add_", x, places, source, 1)
        for axis, reverse in ((1, False), (1, True), (2, False), (2, True)):
            same("cumsum", source, axis, reverse)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_many_sources_of_few_places(same: Callable[..., None], dtype: str) -> None:
    same("scatter_add_", _small(dtype, 1, 4), _places(4, 1, 9000), _small(dtype, 1, 9000), 1)
    same("index_add", _small(dtype, 3000, 4), _places(2, 3000), 0, 3)


def test_infinities_in_running_sums(same: Callable[..., None]) -> None:
    x = np.ones((3, 64), np.float32)
    x[0, 5], x[1, 9], x[2, 3] = np.inf, -np.inf, np.inf
    for axis in (0, 1):
        same("cumsum", x[:2] if axis == 0 else x, axis, True)


# Short lines, borders of a tile, columns, lines that all blocks sort, many short columns.
SHAPES = [((3, 7, 5), 1), ((2, 1024), 1), ((2, 1025), 1), ((2, 1500, 3), 1), ((1, 16_500), 1), ((70, 2, 1), 1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_order(same: Callable[..., None], dtype: str, shape: tuple[int, ...], axis: int) -> None:
    x, n = _numbers(dtype, *shape), shape[axis]
    for flag in (False, True):
        same("sort", x, axis, flag)
        if dtype == "bool":
            continue
        for k in (1, max(1, n // 3), n):
            same("topk", x, k, axis, flag)
        same("median", x, axis, flag)
    if dtype != "bool":
        same("kthvalue", x, max(1, n // 3), axis)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sorted_sequences(same: Callable[..., None], dtype: str) -> None:
    x = np.sort(_numbers(dtype, 500))
    same("group_equal", x, np.random.default_rng(3).permutation(500))
    same("group_equal", x, None)
    if dtype != "bool":
        for right in (False, True):
            same("searchsorted", x, _numbers(dtype, 4, 33), right)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("width", [3, 8])
def test_lookups_by_both_index_dtypes(same: Callable[..., None], dtype: str, width: int) -> None:
    index, offsets = _places(9, 80).astype(dtype), np.array([0, 3, 3, 80])
    table, grad = _small("float64", 9, width), _small("float64", 3, width)
    same("embedding", table, index)
    same("embedding_bwd_rows", _small("float64", 80, width), index, 9, 2, False)
    for mode in ("sum", "max"):
        same("embedding_bag", table, index, offsets, None, mode, 4)
    same("embedding_bag_bwd", grad, index, offsets, _small("float64", 80), None, 9, "sum", 4, False)
    same("embedding_bag_bwd_weights", grad, table, index, offsets, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tail", [(), (5,), (16,)])
def test_packed_rows(same: Callable[..., None], dtype: str, tail: tuple[int, ...]) -> None:
    sizes, order = np.array([4, 3, 1, 1]), np.array([2, 0, 3, 1])
    for first in (False, True):
        same("pack_rows", _small(dtype, *((4, 5) if first else (5, 4)), *tail), sizes, order, first)
        same("unpack_rows", _small(dtype, 9, *tail), sizes, order, first, 6, 1.0)
