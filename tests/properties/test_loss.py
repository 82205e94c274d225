"""Losses of random shapes and numbers against the reference, and what must hold of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)
NAMES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
         "binary_cross_entropy_with_logits", "hinge_loss", "kl_div", "kl_div_log_target", "msle_loss",
         "mape_loss")  # fmt: skip


def operands(name, rng, shape):
    if name == "hinge_loss":
        return rng.standard_normal(shape), rng.choice([-1.0, 1.0], shape)
    if name in ("binary_cross_entropy", "msle_loss", "mape_loss", "kl_div"):
        return rng.uniform(0.01, 0.99, shape), rng.uniform(0.01, 0.99, shape)
    return rng.standard_normal(shape) * 3, rng.uniform(0, 1, shape)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradients_are_those_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(
        st.sampled_from(NAMES), st.integers(0, 9), st.integers(1, 40), st.integers(0, 9), st.floats(0.25, 2),
        st.sampled_from(["none", "mean", "sum"]), st.booleans(), st.booleans(),
    )  # fmt: skip
    def check(name, rows, columns, seed, a, reduction, weighted, positive):
        rng = np.random.default_rng(seed)
        shape = (rows, columns)
        arrays = [*operands(name, rng, shape), *rng.uniform(0.5, 2, (2, *shape))]
        arrays = [np.asarray(v, dtype=dtype) for v in arrays]
        arrays[2] = arrays[2] if weighted else None
        arrays[3] = arrays[3] if positive else None
        exact = [None if v is None else v.astype(np.float64) for v in arrays]
        mine = [None if v is None else CPU.from_numpy(v, False) for v in arrays]
        a = float(np.float32(a))
        want = REFERENCE.loss(*exact, name, a, reduction)
        assert_close(CPU.to_numpy(CPU.loss(*mine, name, a, reduction)), want, 64)
        grad = rng.standard_normal(want.shape).astype(dtype)
        for by_target in (False, True):
            want = REFERENCE.loss_bwd(grad.astype(np.float64), *exact, name, a, reduction, by_target)
            got = CPU.loss_bwd(CPU.from_numpy(grad, False), *mine, name, a, reduction, by_target)
            assert_close(CPU.to_numpy(got), want, 64)

    check()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "kl_div_log_target"])
def test_perfect_input_costs_the_least(name):
    """No other input of a loss has less than that of the target itself, up to rounding."""
    rng = np.random.default_rng(0)
    x, t = operands(name, rng, (1000,))
    best = np.where(t > 0, 50.0, -50.0) if name.endswith("logits") else np.log(t) if name == "kl_div" else t
    if name == "binary_cross_entropy_with_logits":
        t = (t > 0.5) * 1.0
        best = np.where(t > 0, 50.0, -50.0)
    if name == "kl_div":
        x = np.log(x)
        x -= np.log(np.exp(x).sum() / t.sum())  # a divergence compares distributions

    def total(input):
        return CPU.to_numpy(CPU.loss(CPU.from_numpy(input, False), CPU.from_numpy(t, False), None, None, name, 1.0,
                                     "sum")).item()  # fmt: skip

    assert total(np.ascontiguousarray(best)) <= total(x) + 1e-9
