"""Batch normalisation of random shapes against the reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

shapes = st.tuples(st.integers(0, 6), st.integers(0, 40), st.integers(0, 70))


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(shapes, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["float32", "float64"]), st.integers(0, 99))
def test_batch_norm(shape, train, affine, running, dtype, seed):
    rng = np.random.default_rng(seed)
    if train and shape[0] * shape[2] == 1:
        shape = (2, *shape[1:])
    channels = shape[1]
    x, grad = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    parameters = [rng.uniform(0.5, 2, channels).astype(dtype) if affine else None for _ in range(2)]
    statistics = [rng.uniform(0.5, 2, channels).astype(dtype) if running or not train else None for _ in range(2)]
    results = []
    for name, wide in (("cpu", dtype), ("reference", "float64")):
        k = backends.get(name)
        arrays = [
            None if a is None else k.from_numpy(a.astype(wide), False) for a in (x, grad, *parameters, *statistics)
        ]
        out, mean, rstd = k.batch_norm(arrays[0], *arrays[2:], train, 0.3, 1e-2)
        grads = k.batch_norm_bwd(arrays[1], arrays[0], arrays[2], mean, rstd, train, True)
        results.append([k.to_numpy(a) for a in (out, mean, rstd, *grads, *arrays[4:]) if a is not None])
    for got, want in zip(*results, strict=True):
        assert_close(got, want, 512)
