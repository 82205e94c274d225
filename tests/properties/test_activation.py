"""Activations of random shapes and numbers against the reference, and what must hold of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)
NAMES = ("leaky_relu", "elu", "selu", "softplus", "logsigmoid", "gelu", "gelu_tanh", "silu", "hardtanh",
         "hardsigmoid", "hardswish")  # fmt: skip


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient_are_those_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(st.sampled_from(NAMES), st.integers(0, 99), st.integers(0, 9), st.floats(0.1, 2), st.floats(2.5, 30))
    def check(name, n, seed, a, b):
        x, grad = np.random.default_rng(seed).standard_normal((2, n)).astype(dtype) * 5
        arrays = [CPU.from_numpy(v, False) for v in (x, grad)]
        exact, size = x.astype(np.float64), max(1.0, float(np.abs(x).max(initial=0)))
        a, b = (float(np.float32(v)) for v in (a, b))
        want = REFERENCE.activation(exact, name, a, b)
        assert_close(CPU.to_numpy(CPU.activation(arrays[0], name, a, b)), want, 8, size)
        want = REFERENCE.activation_bwd(grad.astype(np.float64), exact, name, a, b)
        assert_close(CPU.to_numpy(CPU.activation_bwd(arrays[1], arrays[0], name, a, b)), want, 32, size)

    check()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isa", CPU.isa_levels())
def test_tiny_results_keep_their_digits(name, isa):
    """Relative to the result itself: next to 0, where functions such as e^x - 1 would cancel."""
    CPU.set_isa(isa)
    x = np.geomspace(1e-6, 1e-2, 50).astype(np.float32)
    got = CPU.to_numpy(CPU.activation(CPU.from_numpy(np.concatenate([x, -x]), False), name, 1.0, 20.0))
    want = REFERENCE.activation(np.concatenate([x, -x]).astype(np.float64), name, 1.0, 20.0)
    np.testing.assert_allclose(got, want, rtol=5e-7)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays(name):
    x = CPU.from_numpy(np.full(37, np.nan, np.float32), False)
    assert np.isnan(CPU.to_numpy(CPU.activation(x, name, 1.0, 20.0))).all()
