"""Distance matrices of random shapes and their gradients against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=50, database=None)
ROWS = st.integers(0, 20) | st.sampled_from([31, 32, 33, 63, 64, 65, 130])
METRICS = ["euclidean", "manhattan", "chebyshev", "canberra", "hamming"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    batch=st.integers(1, 2), rows_x=ROWS, rows_y=ROWS, width=st.integers(0, 20),
    metric=st.sampled_from(METRICS) | st.floats(0.5, 6.0), seed=st.integers(0, 9),
)  # fmt: skip
def test_cdist(dtype, batch, rows_x, rows_y, width, metric, seed):
    rng = np.random.default_rng(seed)
    name, p = (metric, 2.0) if isinstance(metric, str) else ("minkowski", metric)
    shapes = (batch, rows_x, width), (batch, rows_y, width), (batch, rows_x, rows_y)
    x, y, grad = (rng.standard_normal(s).astype(dtype) for s in shapes)
    arrays = [CPU.from_numpy(a, False) for a in (x, y, grad)]
    exact = [a.astype("float64") for a in (x, y, grad)]
    out, want = CPU.cdist(arrays[0], arrays[1], name, p), REFERENCE.cdist(exact[0], exact[1], name, p)
    assert_close(CPU.to_numpy(out), want, 200)
    found = CPU.cdist_bwd(arrays[2], out, arrays[0], arrays[1], name, p, False)
    # From the distances that the kernel was given: the largest difference must be recognised by its bits.
    given_out = CPU.to_numpy(out).astype("float64")
    wanted = REFERENCE.cdist_bwd(exact[2], want if name != "chebyshev" else given_out, exact[0], exact[1], name, p, False)
    if name == "chebyshev":
        wanted = REFERENCE.cdist_bwd(grad, CPU.to_numpy(out), x, y, name, p, False)
    assert_close(CPU.to_numpy(found), wanted, 2000 if name in ("minkowski", "canberra") else 200)
