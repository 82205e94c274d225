"""Cross-entropy of random logits, classes, weights and options against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
IGNORED = -100


@pytest.mark.parametrize("isa", CPU.isa_levels())
@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(
    st.integers(0, 9), st.integers(1, 70), st.sampled_from([1, 2, 5, 17, 64]), st.booleans(), st.booleans(),
    st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from(["none", "mean", "sum"]),
    st.sampled_from(["float32", "float64"]), st.integers(0, 99),
)  # fmt: skip
def test_loss_and_gradient(isa, rows, classes, inner, weighted, ignoring, smoothing, reduction, dtype, seed):
    CPU.set_isa(isa)
    rng = np.random.default_rng(seed)
    x = (4 * rng.standard_normal((rows, classes, inner))).astype(dtype)
    target = rng.integers(0, classes, (rows, inner))
    if ignoring:
        target[rng.random(target.shape) < 0.3] = IGNORED
    weight = rng.uniform(0.5, 2, classes).astype(dtype) if weighted else None
    if reduction == "mean" and not (target != IGNORED).any():
        reduction = "sum"  # the mean of nothing is NaN
    options = (IGNORED, smoothing, reduction)
    wide = None if weight is None else weight.astype(np.float64)
    want, want_lse, want_total = REFERENCE.cross_entropy(x.astype(np.float64), target, wide, *options)
    mine = [CPU.from_numpy(x, False), CPU.from_numpy(target, False)]
    mine.append(None if weight is None else CPU.from_numpy(weight, False))
    loss, lse, total = CPU.cross_entropy(*mine, *options)
    for got, expected in ((loss, want), (lse, want_lse), (total, want_total)):
        assert_close(CPU.to_numpy(got), expected, 32)
    grad = rng.standard_normal(want.shape).astype(dtype)
    got = CPU.cross_entropy_bwd(CPU.from_numpy(grad, False), *mine, lse, total, *options)
    expected = REFERENCE.cross_entropy_bwd(
        grad.astype(np.float64), x.astype(np.float64), target, wide, want_lse, want_total, *options
    )
    assert_close(CPU.to_numpy(got), expected, 32, magnitude=float(np.abs(grad).max(initial=0)) * 2 or 1.0)
