"""softmax and log_softmax of random shapes, with their gradients, against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

SIZES = st.integers(0, 40) | st.sampled_from([63, 64, 65, 257])


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(
    st.tuples(SIZES, SIZES, st.sampled_from([1, 1, 2, 17])), st.sampled_from(["softmax", "log_softmax"]),
    st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_softmax(shape, name, dtype, seed):
    rng = np.random.default_rng(seed)
    x, grad = ((4 * rng.standard_normal(shape)).astype(dtype) for _ in range(2))
    results = []
    for device, wide in (("cpu", dtype), ("reference", "float64")):
        k = backends.get(device)
        out = getattr(k, name)(k.from_numpy(x.astype(wide), False), 1)
        back = getattr(k, f"{name}_bwd")(k.from_numpy(grad.astype(wide), False), out, 1)
        results.append([k.to_numpy(out), k.to_numpy(back)])
    for got, want in zip(*results, strict=True):
        assert_close(got, want, 64)
