"""Reductions of random shapes over random axes against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
SIZES = st.integers(0, 40) | st.sampled_from([63, 64, 65, 130])


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(
    st.lists(SIZES, min_size=1, max_size=3), st.integers(1, 7), st.sampled_from(["float32", "float64"]),
    st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_squared_deviations(shape, chosen, dtype, keepdim, seed):
    axes = tuple(i for i in range(len(shape)) if chosen >> i & 1)
    rng = np.random.default_rng(seed)
    x = (100 + rng.standard_normal(shape)).astype(dtype)
    center = (100 + rng.standard_normal([1 if i in axes else n for i, n in enumerate(shape)])).astype(dtype)
    want = REFERENCE.squared_deviations(x.astype(np.float64), center.astype(np.float64), axes, keepdim)
    got = CPU.squared_deviations(CPU.from_numpy(x, False), CPU.from_numpy(center, False), axes, keepdim)
    assert_close(CPU.to_numpy(got), want, 64, magnitude=float(want.max(initial=1.0)))
    want = REFERENCE.squared_deviations(x.astype(np.float64), None, axes, keepdim)
    got = CPU.squared_deviations(CPU.from_numpy(x, False), None, axes, keepdim)
    assert_close(CPU.to_numpy(got), want, 64, magnitude=float(want.max(initial=1.0)))


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(
    st.lists(SIZES, min_size=1, max_size=3), st.integers(1, 7),
    st.sampled_from(["sum", "mean", "prod", "amax", "amin"]),
    st.sampled_from(["float32", "float64", "int32", "int64"]), st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_reductions(shape, chosen, name, dtype, keepdim, special, seed):
    axes = tuple(i for i in range(len(shape)) if chosen >> i & 1)
    x = (8 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)
    if name == "prod":
        x = np.where(x < 0, -1, 1).astype(dtype)
    if name == "mean" and x.dtype.kind != "f":
        name = "sum"
    if special and x.size and x.dtype.kind == "f":
        x.reshape(-1)[seed % x.size] = (np.nan, np.inf, -np.inf)[seed % 3]
    if name in ("amax", "amin") and x.size == 0:
        return
    wide = x.astype(np.float64) if x.dtype.kind == "f" else x
    want = getattr(REFERENCE, name)(wide, axes, keepdim)
    got = CPU.to_numpy(getattr(CPU, name)(CPU.from_numpy(x, False), axes, keepdim))
    assert_close(got, want, 64, magnitude=float(np.abs(wide[np.isfinite(wide)]).sum()) or 1.0)
