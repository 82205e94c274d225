"""Every intrinsic of the emulation against NumPy, in every order of threads, without a finding."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab

LANES = np.arange(32)
X = np.random.default_rng(0).standard_normal(32).astype(np.float32)
INTS = np.random.default_rng(1).integers(-(2**31), 2**31, 64).astype(np.int32)
INTS[:4] = 0, 1, -1, -(2**31)


def _mask(flags: np.ndarray) -> np.int32:
    return np.uint32(sum(int(f) << i for i, f in enumerate(flags))).astype(np.int32)


def _shuffle_sources() -> dict[str, np.ndarray]:
    in_segment = LANES % 8
    return {
        "shfl": LANES // 16 * 16 + 5,
        "shfl_up": np.where(in_segment < 3, LANES, LANES - 3),
        "shfl_down": np.where(in_segment + 3 > 7, LANES, LANES + 3),
        "shfl_xor": LANES ^ 6,
    }


@pytest.fixture(autouse=True)
def _stays_silent(emu: ModuleType, order: tuple[str, int]):
    yield
    assert emu.report() == []


def test_built_in_variables(lab: Lab) -> None:
    (out,) = lab.run("indices", ((2 * 3 * 2 * 24,), "int32"))
    bz, by, bx, tz, ty, tx = np.unravel_index(np.arange(out.size), (2, 3, 2, 2, 3, 4))
    np.testing.assert_array_equal(out, tx + 10 * ty + 100 * tz + 1000 * bx + 10000 * by + 100000 * bz)


@pytest.mark.parametrize("name", list(_shuffle_sources()))
def test_shuffle(lab: Lab, name: str) -> None:
    out = lab.run(name, X, ((32,), "float32"))[1]
    np.testing.assert_array_equal(out, X[_shuffle_sources()[name]])


def test_shuffle_of_doubles(lab: Lab) -> None:
    x = X.astype(np.float64) / 3
    np.testing.assert_array_equal(lab.run("shfl_double", x, ((32,), "float64"))[1], np.full(32, x[31]))


def test_votes(lab: Lab) -> None:
    p = np.concatenate([np.ones(32), LANES % 3 == 0]).astype(np.int32)
    ballot, any_, all_, active = lab.run("votes", p, ((256,), "int32"))[1].reshape(4, 2, 32)
    for warp in range(2):
        flags = p.reshape(2, 32)[warp] != 0
        assert (ballot[warp] == _mask(flags)).all()
        assert (any_[warp] == flags.any()).all()
        assert (all_[warp] == flags.all()).all()
        assert (active[warp] >> LANES & 1 == 1).all()  # a lane at least sees itself; others may have returned


def test_vote_of_half_warps(lab: Lab) -> None:
    p = (LANES % 3 == 0).astype(np.int32)
    out = lab.run("half_warp_ballot", p, ((32,), "int32"))[1]
    low, high = _mask(np.where(LANES < 16, p, 0)), _mask(np.where(LANES >= 16, p, 0))
    np.testing.assert_array_equal(out, np.where(LANES < 16, low, high))


@pytest.mark.parametrize("ones", [0, 37, 100])
def test_barriers_that_vote(lab: Lab, ones: int) -> None:
    p = (np.arange(100) < ones).astype(np.int32)
    or_, and_, count = lab.run("block_votes", p, ((300,), "int32"))[1].reshape(3, 100)
    assert (or_ == (ones > 0)).all()
    assert (and_ == (ones == 100)).all()
    assert (count == ones).all()


def test_match_any(lab: Lab) -> None:
    x = (LANES % 5).astype(np.int32)
    out = lab.run("match_any", x, ((32,), "int32"))[1]
    np.testing.assert_array_equal(out, [_mask(x == v) for v in x])


def test_warp_reductions(lab: Lab) -> None:
    x = np.random.default_rng(2).integers(-1000, 1000, 32).astype(np.int32)
    out = lab.run("warp_reduces", x, ((160,), "int32"))[1].reshape(5, 32)
    expected = [x.sum(), x.max(), x.min(), np.bitwise_or.reduce(x), np.bitwise_and.reduce(x)]
    np.testing.assert_array_equal(out, np.repeat(np.array(expected, np.int32)[:, None], 32, axis=1))


@pytest.mark.parametrize(
    ("name", "dtype", "blocks", "threads"),
    [
        ("block_reduce_float", "float32", 3, 96),
        ("block_reduce_double", "float64", 2, 1024),
        ("block_reduce_int", "int32", 4, 32),
    ],
)
def test_block_reductions(lab: Lab, name: str, dtype: str, blocks: int, threads: int) -> None:
    x = (np.random.default_rng(3).standard_normal((blocks, threads)) * 100).astype(dtype)
    out = lab.run(name, x, ((blocks, 2), dtype))[1]
    rtol = 0 if dtype == "int32" else 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(out[:, 0], x.astype(np.float64).sum(1), rtol=rtol, atol=rtol * 1e4)
    np.testing.assert_array_equal(out[:, 1], x.max(1))


def test_warp_reductions_of_unsigned_halves(lab: Lab) -> None:
    x = INTS[:32].view(np.uint32)
    out = lab.run("warp_reduces_unsigned", INTS[:32], ((160,), "int32"))[1].view(np.uint32).reshape(5, 2, 16)
    halves = x.reshape(2, 16)
    for got, f in zip(out, (np.add, np.maximum, np.minimum, np.bitwise_or, np.bitwise_and), strict=True):
        np.testing.assert_array_equal(got, np.repeat(f.reduce(halves, 1, np.uint32)[:, None], 16, axis=1))


def test_fence_within_a_block(lab: Lab) -> None:
    np.testing.assert_array_equal(lab.run("block_fence", INTS, ((64,), "int32"))[1], INTS[::-1])


@pytest.mark.parametrize(
    ("name", "dtype"), [("atomics_int", np.int32), ("atomics_unsigned", np.uint32), ("atomics_long", np.uint64)]
)
def test_atomics_of_integers(lab: Lab, name: str, dtype: type) -> None:
    x = np.random.default_rng(4).integers(-1000 if dtype == np.int32 else 0, 1000, 256).astype(dtype)
    least = -5000 if dtype == np.int32 else 0
    start = np.array([1, 2, least, 5000, 8, 2**31 - 1, 9, 3, 0]).astype(dtype)
    signed = np.dtype(f"i{x.itemsize}")
    out = lab.run(name, x.view(signed), start.view(signed))[1].view(dtype)
    v = x.astype(np.int64)
    expected = [1 + v.sum(), 2 - v.sum(), v.max(), v.min(), 8 | np.bitwise_or.reduce(v), np.bitwise_and.reduce(v)]
    expected[5] &= 2**31 - 1
    expected = np.array([*expected, 9 ^ np.bitwise_xor.reduce(v), 7, v.sum()])
    np.testing.assert_array_equal(out, expected.astype(dtype))


@pytest.mark.parametrize("name", ["atomic_sub_int", "atomic_sub_unsigned"])
def test_atomic_subtraction(lab: Lab, name: str) -> None:
    x = np.random.default_rng(5).integers(0, 50, 256).astype(np.int32)
    assert lab.run(name, x, np.array([7], np.int32))[1][0] == 7 - x.sum()


def test_atomic_exchange_of_floats(lab: Lab) -> None:
    x = np.arange(256, dtype=np.float32)
    _, cell, taken = lab.run("atomic_exch_float", x, np.array([-1], np.float32), ((256,), "float32"))
    np.testing.assert_array_equal(np.sort(np.concatenate([cell, taken])), np.arange(-1, 256))


@pytest.mark.parametrize(
    ("name", "dtype"), [("atomic_add_float", "float32"), ("atomic_add_double", "float64"), ("atomic_add_long", "int64")]
)
def test_atomic_add(lab: Lab, name: str, dtype: str) -> None:
    x = np.random.default_rng(5).integers(-50, 50, 256).astype(dtype)
    assert lab.run(name, x, np.array([7], dtype))[1][0] == 7 + x.sum()


@pytest.mark.parametrize("n", [1, 4, 127, 128, 129, 1000])
def test_vector_accesses(lab: Lab, n: int) -> None:
    x = np.random.default_rng(6).standard_normal(n).astype(np.float32)
    np.testing.assert_array_equal(lab.run("vectors", x, ((n,), "float32"))[1], x)


def test_packs(lab: Lab) -> None:
    x = np.arange(32, dtype=np.float64)
    np.testing.assert_array_equal(lab.run("packs", x, ((32,), "float64"))[1], x.reshape(16, 2)[:, ::-1].ravel())


def test_dynamic_shared_memory(lab: Lab) -> None:
    x = np.arange(80, dtype=np.float32)
    np.testing.assert_array_equal(lab.run("dynamic_shared", x, ((80,), "float32"))[1], x[::-1])


def _bits(x: np.ndarray) -> list[list[int]]:
    rows = []
    for v in x.astype(np.int64):
        u = int(v) & 0xFFFFFFFF
        long = (int(v) & 0xFFFFFFFFFFFFFFFF) << 20 & 0xFFFFFFFFFFFFFFFF
        lowest = (u & -u).bit_length()
        high64 = long * 0xD2511F53CD9E8D57 >> 64
        reverse = int(f"{u:032b}"[::-1], 2)
        row = [u.bit_count(), lowest, 32 - u.bit_length(), reverse, u * 0xD2511F53 >> 32, high64, u]
        rows.append([*row, min(int(v), 3) + max(int(v), -3)])
    return rows


def test_bit_intrinsics(lab: Lab) -> None:
    out = lab.run("bits", INTS, ((8 * 64,), "int32"))[1].reshape(8, 64)
    expected = np.array([[c & 0xFFFFFFFF for c in row] for row in _bits(INTS)], np.uint64).T
    np.testing.assert_array_equal(out.view(np.uint32), expected.astype(np.uint32))


def test_float_intrinsics(lab: Lab) -> None:
    x = np.random.default_rng(7).uniform(0.1, 3.0, 64).astype(np.float32)
    out = lab.run("floats", x, ((8 * 64,), "float32"))[1].reshape(8, 64)
    d = x.astype(np.float64)
    expected = [np.exp(d), np.log(d), d**-0.5, d / 3, np.tanh(d), np.maximum(d, 1.5), np.clip(d - 1, 0, 1), np.rint(d)]
    np.testing.assert_allclose(out, expected, rtol=3e-7, atol=1e-7)


def test_empty_grid_is_nothing_to_do(lab: Lab) -> None:
    lab.run("launch_empty")


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("launch_too_many_threads", r"a block of \(32, 33, 1\)"),
        ("launch_no_threads", r"a block of \(0, 1, 1\)"),
        ("launch_tall_grid", r"a grid of \(1, 65536, 1\)"),
        ("launch_much_shared", "1048576"),
    ],
)
def test_launches_that_a_device_refuses(lab: Lab, name: str, got: str) -> None:
    with pytest.raises(RuntimeError, match=rf"^\[kernel launch\] expected .*, got {got}"):
        lab.run(name)
