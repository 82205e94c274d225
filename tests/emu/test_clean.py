"""Correct kernels that look suspicious: right numbers and no finding, in every order of threads."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab

BLOCK = 96
RNG = np.random.default_rng(0)
X = RNG.integers(-50, 50, BLOCK).astype(np.float32)


@pytest.fixture(autouse=True)
def _stays_silent(emu: ModuleType, order: tuple[str, int]):
    yield
    assert emu.report() == []


def test_last_block_adds_up(lab: Lab) -> None:
    x = RNG.integers(-50, 50, 10 * BLOCK).astype(np.float32)
    assert lab.run("last_block", x, ((1,), "float32"))[1][0] == x.sum()


def test_warp_reduction_through_shared_memory(lab: Lab) -> None:
    out = lab.run("warp_shared_reduction", X, ((BLOCK,), "float32"))[1]
    np.testing.assert_array_equal(out, np.repeat(X.reshape(-1, 32).sum(1), 32))


def test_neighbouring_bytes(lab: Lab) -> None:
    x = np.arange(BLOCK, dtype=np.uint8)
    np.testing.assert_array_equal(lab.run("neighbouring_bytes", x, ((BLOCK,), "uint8"))[1], x[::-1])


def test_divergent_halves_of_a_warp(lab: Lab) -> None:
    out = lab.run("divergent_halves", X, ((BLOCK,), "float32"))[1].reshape(-1, 2, 16)
    halves = X.reshape(-1, 2, 16)
    np.testing.assert_array_equal(out[:, 0], np.repeat(halves[:, :1].sum(2), 16, axis=1))
    np.testing.assert_array_equal(out[:, 1], np.repeat(halves[:, 1:].max(2), 16, axis=1))


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_two_stages_in_turn(lab: Lab, steps: int) -> None:
    x = RNG.integers(-50, 50, (steps, BLOCK)).astype(np.float32)
    np.testing.assert_array_equal(lab.run("two_stages", x, ((BLOCK,), "float32"))[1], x.sum(0)[::-1])


@pytest.mark.parametrize("n", [1, 31, 33, 40])
def test_returned_lanes_do_not_count(lab: Lab, n: int) -> None:
    x = RNG.integers(-1, 2, n).astype(np.int32)
    expected = [(x[i // 32 * 32 : i // 32 * 32 + 32] > 0).sum() for i in range(n)]
    np.testing.assert_array_equal(lab.run("returned_lanes", x, ((n,), "int32"))[1], expected)


def test_histogram_by_atomics(lab: Lab) -> None:
    x = RNG.integers(0, 100, 5 * BLOCK).astype(np.int32)
    np.testing.assert_array_equal(lab.run("shared_histogram", x, ((4,), "int32"))[1], np.bincount(x & 3, minlength=4))


def test_constants_local_arrays_and_large_arguments(lab: Lab) -> None:
    np.testing.assert_array_equal(lab.run("constants_and_locals", X, ((BLOCK,), "float32"))[1], X * 20)


@pytest.mark.parametrize("n", [1, 128, 1000])
def test_update_in_place(lab: Lab, n: int) -> None:
    x = RNG.integers(-50, 50, n).astype(np.float32)
    np.testing.assert_array_equal(lab.run("update_in_place", x)[0], x * 2 + 1)


def test_scan_between_two_arrays(lab: Lab) -> None:
    np.testing.assert_array_equal(lab.run("scan_of_two_arrays", X, ((BLOCK,), "float32"))[1], X.cumsum())


def test_whole_blocks_may_return_before_a_barrier(lab: Lab) -> None:
    x = RNG.integers(-50, 50, (2, BLOCK)).astype(np.float32)
    np.testing.assert_array_equal(lab.run("blocks_that_return", x, ((2, BLOCK), "float32"))[1], x[:, ::-1])


def test_a_block_that_branches_as_one(lab: Lab) -> None:
    x = RNG.integers(-50, 50, (4, BLOCK)).astype(np.float32)
    out = lab.run("uniform_branches", x, ((4, BLOCK), "float32"))[1]
    np.testing.assert_array_equal(out[1::2], x[1::2, ::-1])
    np.testing.assert_array_equal(out[::2], x[::2, np.arange(BLOCK) ^ 1])


def test_warps_that_synchronise_on_their_own(lab: Lab) -> None:
    out = lab.run("warps_on_their_own", X, ((BLOCK,), "float32"))[1].reshape(-1, 32)
    np.testing.assert_array_equal(out, X.reshape(-1, 32)[:, ::-1] + np.arange(BLOCK // 32)[:, None])


def test_tickets_of_work(lab: Lab) -> None:
    x = RNG.integers(-50, 50, 7 * BLOCK).astype(np.float32)
    np.testing.assert_array_equal(lab.run("tickets", x, ((x.size,), "float32"))[1], x + 1)


def test_largest_by_compare_and_swap(lab: Lab) -> None:
    x = RNG.integers(1, 500, 3 * BLOCK).astype(np.float32)
    assert lab.run("compare_and_swap_loop", x, ((1,), "int32"))[1][0] == x.max()


def test_dynamic_shared_memory_of_two_types(lab: Lab) -> None:
    out = lab.run("dynamic_shared_of_two_types", X, ((BLOCK,), "float64"))[1]
    np.testing.assert_array_equal(out, X[::-1] / 2)
