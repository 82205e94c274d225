"""Layer normalisation of random shapes against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(
    st.tuples(st.integers(0, 140), st.integers(0, 150)),
    st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_layer_norm(shape, weighted, biased, dtype, seed):
    rng = np.random.default_rng(seed)
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    parameters = [rng.uniform(0.5, 2, shape[1]).astype(dtype) if given else None for given in (weighted, biased)]
    results = []
    for name, wide in (("cpu", dtype), ("reference", "float64")):
        k = backends.get(name)
        arrays = [None if a is None else k.from_numpy(a.astype(wide), False) for a in (x, grad, *parameters)]
        out, mean, rstd = k.layer_norm(arrays[0], *arrays[2:], 1e-2)
        grads = k.layer_norm_bwd(arrays[1], arrays[0], arrays[2], mean, rstd, True, True)
        results.append([k.to_numpy(a) for a in (out, mean, rstd, *grads)])
    for got, want in zip(*results, strict=True):
        assert_close(got, want, 512)
