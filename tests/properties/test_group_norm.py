"""Group normalisation of random shapes against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(
    st.tuples(st.integers(0, 7), st.integers(1, 9), st.integers(0, 5), st.integers(0, 120)),
    st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_group_norm(sizes, weighted, biased, dtype, seed):
    batch, groups, channels, plane = sizes
    rng = np.random.default_rng(seed)
    shape = (batch, groups * channels, plane)
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    parameters = [rng.uniform(0.5, 2, shape[1]).astype(dtype) if given else None for given in (weighted, biased)]
    results = []
    for name, wide in (("cpu", dtype), ("reference", "float64")):
        k = backends.get(name)
        arrays = [None if a is None else k.from_numpy(a.astype(wide), False) for a in (x, grad, *parameters)]
        out, mean, rstd = k.group_norm(arrays[0], *arrays[2:], groups, 1e-2)
        grads = k.group_norm_bwd(arrays[1], arrays[0], arrays[2], mean, rstd, groups, True)
        results.append([k.to_numpy(a) for a in (out, mean, rstd, *grads)])
    for got, want in zip(*results, strict=True):
        assert_close(got, want, 512)
