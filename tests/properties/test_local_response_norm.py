"""Local response normalisation of random shapes and attributes against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 300)), st.integers(1, 60),
    st.sampled_from([0.75, 0.5, 1.0, 0.6, 2.0]), st.floats(0, 2), st.sampled_from(["float32", "float64"]),
    st.integers(0, 99),
)  # fmt: skip
def test_local_response_norm(shape, size, beta, alpha, dtype, seed):
    rng = np.random.default_rng(seed)
    x, grad = (2 * rng.standard_normal(shape).astype(dtype) for _ in range(2))
    results = []
    for name, wide in (("cpu", dtype), ("reference", "float64")):
        k = backends.get(name)
        a, g = (k.from_numpy(v.astype(wide), False) for v in (x, grad))
        options = (size, alpha, beta, 1.0)
        results.append(
            [k.to_numpy(k.local_response_norm(a, *options)), k.to_numpy(k.local_response_norm_bwd(g, a, *options))]
        )
    for got, want in zip(*results, strict=True):
        assert_close(got, want, 128)
