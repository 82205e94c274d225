"""Elementwise functions, promotion of dtypes, bits and division against PyTorch."""

import itertools

import numpy as np
import pytest

import fastdl
from fastdl.testing import assert_close

from .test_torch_functions import compare

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

FUNCTIONS = ["square", "exp", "log", "expm1", "log1p", "rsqrt", "reciprocal", "sin", "cos", "erf"]
ROUNDING = ["floor", "ceil", "round", "trunc"]
SPECIAL = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-6, -1e-6, 88.8, -104.0, 1e30, 0.5, 1.5, 2.5, -0.5, -2.7,
                      2**23 + 1, -(2**24), 20.0, -20.0, 1e4, -1e5])  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions(name, dtype):
    x = np.abs(np.random.default_rng(0).standard_normal((5, 37)) * 3) + 0.01
    compare(getattr(fastdl, name), getattr(torch, name), [x], dtype, 16)


@pytest.mark.parametrize("name", FUNCTIONS + ROUNDING)
def test_special_values(name):
    x = np.tile(SPECIAL, 3)
    mine = getattr(fastdl, name)(fastdl.tensor(x)).numpy()
    theirs = getattr(torch, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(mine, theirs, rtol=3e-7, atol=1e-7 if name in ("sin", "cos") else 1e-37)
    zero = theirs == 0
    np.testing.assert_array_equal(np.signbit(mine[zero]), np.signbit(theirs[zero]))


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
def test_what_is_a_number(name):
    for x in (SPECIAL, np.arange(3), np.array([True, False])):
        mine, theirs = getattr(fastdl, name)(fastdl.tensor(x)), getattr(torch, name)(torch.tensor(x))
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_powers_of_special_numbers():
    values = np.float32(
        [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, np.inf, -np.inf, np.nan, 1e30, 2.5, 0.1]
    )
    a, b = (v.ravel() for v in np.meshgrid(values, values))
    mine, theirs = fastdl.tensor(a) ** fastdl.tensor(b), torch.tensor(a) ** torch.tensor(b)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-7, atol=1e-37)
    zero = theirs.numpy() == 0
    np.testing.assert_array_equal(np.signbit(mine.numpy()[zero]), np.signbit(theirs.numpy()[zero]))


def test_powers_are_rounded_well():
    rng = np.random.default_rng(0)
    a = np.concatenate([rng.uniform(0.01, 50, 50_000), 1 + rng.standard_normal(50_000) * 1e-4]).astype(np.float32)
    b = np.concatenate([rng.uniform(-20, 20, 50_000), rng.uniform(-3e5, 3e5, 50_000)]).astype(np.float32)
    exact = a.astype(np.float64) ** b.astype(np.float64)
    inside = (exact > 1e-37) & (exact < 3e38)
    got, exact = (fastdl.tensor(a) ** fastdl.tensor(b)).numpy()[inside], exact[inside]
    assert (np.abs(got - exact) / np.spacing(exact.astype(np.float32))).max() < 0.56


@pytest.mark.parametrize(("name", "low", "high", "most"), [
    ("exp", -80, 80, 1.1), ("log", 1e-30, 1e30, 1.0), ("log", 0.5, 2, 1.0), ("tanh", 1e-20, 12, 2.7),
    ("tanh", 0.01, 1, 2.7), ("sigmoid", -80, 80, 2.5),
])  # fmt: skip
def test_errors_in_units_of_the_last_place(name, low, high, most):
    rng = np.random.default_rng(0)
    uniform = rng.uniform(low, high, 200_000)
    x = (uniform if low < 0 else np.exp(rng.uniform(np.log(low), np.log(high), 200_000))).astype(np.float32)
    exact = {"sigmoid": lambda v: 1 / (1 + np.exp(-v))}.get(name, getattr(np, name, None))(x.astype(np.float64))
    got = getattr(fastdl.functional, name, None) or getattr(fastdl, name)
    unit = np.spacing(np.abs(exact).astype(np.float32))
    assert (np.abs(got(fastdl.tensor(x)).numpy() - exact) / unit).max() < most


DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
ARITHMETIC = ["add", "sub", "mul", "div", "maximum", "minimum"]


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize(("a", "b"), list(itertools.product(DTYPES, DTYPES)))
@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((5,), ()), ((), ())])
def test_promotion(name, a, b, shapes):
    rng = np.random.default_rng(0)
    x, y = (np.asarray(rng.integers(1, 7, s)).astype(t) for s, t in zip(shapes, (a, b), strict=True))
    if name == "sub" and a == b == "bool":
        with pytest.raises(TypeError, match="float32, float64, int32, int64 or uint8, got bool"):
            fastdl.tensor(x) - fastdl.tensor(y)
        return
    if name == "sub" and "bool" in (a, b):
        return  # PyTorch refuses what promotion would allow
    mine = getattr(fastdl, name)(fastdl.tensor(x), fastdl.tensor(y))
    theirs = getattr(torch, name)(torch.tensor(x), torch.tensor(y))
    assert mine.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert_close(mine, theirs.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, 1.5, True])
def test_promotion_with_numbers(dtype, number):
    x = np.array([1, 0, 1]).astype(dtype)
    for f in (lambda t: t + number, lambda t: t * number, lambda t: number * t, lambda t: t / number):
        mine, theirs = f(fastdl.tensor(x)), f(torch.tensor(x))
        assert mine.dtype.name == str(theirs.dtype).removeprefix("torch.")
        assert_close(mine, theirs.numpy())


def test_bytes_wrap_around():
    x = np.arange(256, dtype=np.uint8)
    mine, theirs = fastdl.tensor(x), torch.tensor(x)
    for f in (lambda t: t + 200, lambda t: t * 3, lambda t: t - 1, lambda t: -t, lambda t: t * t, lambda t: t + t):
        np.testing.assert_array_equal(f(mine).numpy(), f(theirs).numpy())


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division(name, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 200, (7, 33)), rng.integers(1, 50, 33)
    if dtype != "uint8":
        a, b = a - 100, b * rng.choice([-1, 1], 33)
    if dtype.startswith("float"):
        a, b = a * 0.37, b * 0.21
    a, b = a.astype(dtype), b.astype(dtype)
    mine = getattr(fastdl, name)(fastdl.tensor(a), fastdl.tensor(b))
    theirs = getattr(torch, name)(torch.tensor(a), torch.tensor(b))
    assert_close(mine, theirs.numpy(), 4)
    for f in (lambda t: t // 7, lambda t: t % 7):
        assert_close(f(fastdl.tensor(a)), f(torch.tensor(a)).numpy(), 4)


def test_division_of_special_floats():
    values = np.float32([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e30, -7.0])
    a, b = (v.ravel() for v in np.meshgrid(values, values))
    for name in ("floor_divide", "remainder"):
        mine = getattr(fastdl, name)(fastdl.tensor(a), fastdl.tensor(b))
        theirs = getattr(torch, name)(torch.tensor(a), torch.tensor(b))
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_gradient_of_remainder():
    rng = np.random.default_rng(0)
    compare(fastdl.remainder, torch.remainder, [rng.standard_normal((3, 5)) * 4, rng.uniform(0.5, 2, 5)])


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_xor", "logical_and", "logical_or", "logical_xor"]
)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_bits(name, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 200, (7, 33)).astype(dtype), rng.integers(0, 3, 33).astype(dtype)
    mine = getattr(fastdl, name)(fastdl.tensor(a), fastdl.tensor(b))
    theirs = getattr(torch, name)(torch.tensor(a), torch.tensor(b))
    assert mine.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    np.testing.assert_array_equal((~fastdl.tensor(a)).numpy(), (~torch.tensor(a)).numpy())
    np.testing.assert_array_equal((fastdl.tensor(a) & 1).numpy(), (torch.tensor(a) & 1).numpy())


def test_powers_of_integers():
    x = np.arange(-5, 6)
    for exponent in (0, 1, 2, 3, 7):
        mine, theirs = fastdl.tensor(x) ** exponent, torch.tensor(x) ** exponent
        assert mine.dtype is fastdl.int64
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_clamp_by_tensors():
    rng = np.random.default_rng(0)
    x, low, high = rng.standard_normal((4, 6)) * 3, rng.uniform(-2, 1, 6), rng.uniform(-1, 2, (4, 1))
    compare(fastdl.clamp, torch.clamp, [x, low, high])
    compare(lambda x, low: fastdl.clamp(x, low, 0.5), lambda x, low: torch.clamp(x, low, torch.tensor(0.5)), [x, low])
    compare(lambda x, high: fastdl.clip(x, max=high), lambda x, high: torch.clip(x, max=high), [x, high])
