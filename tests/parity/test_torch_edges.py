"""Scalars, empty and one-element arrays, every kind of number: the same numbers, shape and dtype as PyTorch's."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastdl
import fastdl.functional as F

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
TF = torch.nn.functional

SHAPES = [(), (1,), (5,), (0,), (3, 4), (1, 4), (3, 0), (0, 3), (2, 3, 4), (2, 1, 3), (2, 0, 3)]
KINDS = ["float32", "int64", "bool"]
UNARY = [
    "abs", "neg", "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sin", "cos",
    "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "floor",
    "ceil", "round", "trunc", "sigmoid", "isnan", "isinf", "isfinite", "logical_not", "exp2", "nan_to_num",
]  # fmt: skip
OVER_AXES = [
    "sum", "mean", "amax", "amin", "argmax", "argmin", "all", "any", "var", "std", "cumsum", "cumprod", "logsumexp",
    "nansum", "count_nonzero", "cummax", "cummin", "logcumsumexp", "unbind", "squeeze", "prod",
]  # fmt: skip
BINARY = [
    "add", "mul", "div", "maximum", "minimum", "pow", "atan2", "hypot", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "logaddexp", "xlogy",
    "copysign", "fmax", "fmin",
]  # fmt: skip


def numbers(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    if kind == "bool":
        return np.asarray(rng.random(shape) > 0.5)
    return np.asarray(rng.standard_normal(shape) if kind == "float32" else rng.integers(-4, 5, shape)).astype(kind)


def flat(result: Any) -> list[Any]:
    return [r for part in result for r in flat(part)] if isinstance(result, tuple | list) else [result]


def same(function: Callable[..., Any], *arrays: np.ndarray) -> bool:
    """Whether PyTorch takes the arguments; then fastdl does, to the same result. function(library, functional, ...)"""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            want = flat(function(torch, TF, *(torch.tensor(a) for a in arrays)))
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
            return False
        got = flat(function(fastdl, F, *(fastdl.tensor(a) for a in arrays)))
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        assert str(theirs.dtype).removeprefix("torch.") == ours.dtype.name
        assert tuple(theirs.shape) == ours.shape
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
    return True


@pytest.mark.parametrize("name", UNARY)
def test_of_each_element(name):
    taken = [same(lambda m, f, x: getattr(m, name)(x), numbers(s, k)) for s, k in itertools.product(SHAPES, KINDS)]
    assert any(taken)


@pytest.mark.parametrize("name", OVER_AXES)
def test_over_an_axis(name):
    taken = []
    for shape, kind, dim in itertools.product(SHAPES, KINDS, (0, -1, 1)):
        if -max(len(shape), 1) <= dim < max(len(shape), 1):
            taken.append(same(lambda m, f, x, dim=dim: getattr(m, name)(x, dim), numbers(shape, kind)))
    assert any(taken)


@pytest.mark.parametrize("name", ["max", "min", "median", "mode"])
def test_values_over_an_axis(name):
    for shape, dim in itertools.product(SHAPES, (0, -1)):
        same(lambda m, f, x, dim=dim: getattr(m, name)(x, dim)[0], numbers(shape, "float32"))
    for kind in KINDS if name in ("max", "min") else ():
        assert same(lambda m, f, x: getattr(m, name)(x, 0)[0], numbers((3, 4), kind))
        assert same(lambda m, f, x: getattr(m, name)(x), numbers((3, 4), kind))


@pytest.mark.parametrize("name", BINARY)
def test_of_two(name):
    kinds = [("float32", "float32"), ("float32", "int64"), ("int64", "int64"), ("bool", "float32"), ("bool", "bool")]
    taken = []
    for a, b in itertools.product(SHAPES, SHAPES):
        for first, second in kinds:
            taken.append(same(lambda m, f, x, y: getattr(m, name)(x, y), numbers(a, first), numbers(b, second, 1)))
    assert any(taken)


def test_powers_of_integers():
    for dtype in ("int32", "int64", "uint8"):
        low = 0 if dtype == "uint8" else -3
        bases, exponents = np.arange(low, 6).astype(dtype)[:, None], np.arange(low, 11).astype(dtype)
        assert same(lambda m, f, x, y: m.pow(x, y), bases, exponents)
        assert same(lambda m, f, y: m.pow(2, y), exponents)


@pytest.mark.parametrize(("dim", "a", "b"), [
    (1, (3, 4), (2, 3, 4)), (0, (1, 4), (3, 4)), (-1, (2, 3, 4), (4,)), (2, (2, 3, 4), (1, 4)),
])  # fmt: skip
def test_cosine_of_what_broadcasts(dim, a, b):
    assert same(lambda m, f, x, y: f.cosine_similarity(x, y, dim), numbers(a, "float32"), numbers(b, "float32", 1))


def test_running_logarithms_far_apart():
    inf = np.inf
    for line in ([-1000, 0, -3, -inf, inf, 2], [-inf, -inf, 1, np.nan, 2], [1000, -1000, 999]):
        assert same(lambda m, f, x: m.logcumsumexp(x, 0), np.array(line, "float32"))


@pytest.mark.parametrize("size", [1, 7, 16, 40])
def test_running_extremes_of_equal_and_special_numbers(size):
    x = np.round(numbers((3, size), "float32"))
    x[0, size // 2], x[1, size // 3], x[1, size // 2] = np.nan, -np.inf, np.inf
    for name, dim in itertools.product(("cummax", "cummin"), (0, 1)):
        assert same(lambda m, f, x, name=name, dim=dim: tuple(getattr(m, name)(x, dim)), x)
        assert same(lambda m, f, x, name=name, dim=dim: tuple(getattr(m, name)(x, dim)), x.astype("float64"))


@pytest.mark.parametrize("kind", ["float32", "int64", "bool"])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "prod"])
def test_running_operations_in_another_dtype(name, kind):
    for dtype in ("float32", "float64", "int32", "int64"):
        assert same(lambda m, f, x, dtype=dtype: getattr(m, name)(x, 1, dtype=getattr(m, dtype)), numbers((3, 4), kind))


def test_gradients_of_running_logarithms_of_infinities():
    def gradient(library: Any, functional: Any, x: Any) -> Any:
        x.requires_grad_()
        library.logcumsumexp(x, 0).sum().backward()
        return x.grad

    inf = np.inf
    for line in ([1, inf, 2], [1, -inf, 2], [1, np.nan, 2], [-inf, 1, 0.5], [3, 2, 1000, -1000, 999]):
        assert same(gradient, np.array(line, "float32"))


def test_cross_products_along_the_first_axis_of_three():
    for shape in ((3, 4), (3, 3), (2, 3, 4), (4, 3)):
        assert same(lambda m, f, x, y: m.cross(x, y), numbers(shape, "float32"), numbers(shape, "float32", 1))
    assert same(lambda m, f, x, y: m.linalg.cross(x, y), numbers((3, 3), "float32"), numbers((3, 3), "float32", 1))
    with pytest.raises(ValueError, match=r"\[cross\] expected an axis of 3 elements"):
        fastdl.cross(fastdl.ones(2, 4), fastdl.ones(2, 4))


@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "nearest-exact", "area"])
@pytest.mark.parametrize("target", [
    {"size": (5, 13)}, {"size": (1, 1)}, {"scale_factor": 2}, {"scale_factor": (0.6, 1.7)},
    {"scale_factor": 1.7, "recompute_scale_factor": True},
])  # fmt: skip
def test_images_at_another_size(mode, target):
    smooth = mode.startswith("bi")
    for shape in ((2, 3, 7, 9), (1, 2, 16, 12)):
        x = numbers(shape, "float32")
        for aligned, antialias in itertools.product((None, True, False) if smooth else (None,), {False, smooth}):
            more = {"mode": mode, "align_corners": aligned, "antialias": antialias, **target}
            ours, theirs = fastdl.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            got, want = F.interpolate(ours, **more), TF.interpolate(theirs, **more)
            np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), atol=2e-5)
            weight = numbers(tuple(want.shape), "float32", 1)
            (got * fastdl.tensor(weight)).sum().backward()
            (want * torch.tensor(weight)).sum().backward()
            np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=5e-5)


@pytest.mark.parametrize("mode", ["nearest-exact", "area"])
def test_sequences_at_another_size(mode):
    assert same(lambda m, f, x: f.interpolate(x, size=7, mode=mode), numbers((2, 3, 11), "float32"))
    assert same(lambda m, f, x: f.interpolate(x, scale_factor=1.5, mode=mode), numbers((2, 3, 11), "float32"))


# ---- gradients at zeros, ties and limits -----------------------------------------------------------------------------

DIFFERENTIABLE = {
    "asinh": lambda m, f, x: m.asinh(x), "asin": lambda m, f, x: m.asin(x), "acos": lambda m, f, x: m.acos(x),
    "abs": lambda m, f, x: m.abs(x), "norm": lambda m, f, x: m.norm(x), "norm_1": lambda m, f, x: m.norm(x, 1),
    "std": lambda m, f, x: m.std(x), "std_dim": lambda m, f, x: m.std(x, 0), "amax": lambda m, f, x: m.amax(x, 0),
    "prod": lambda m, f, x: m.prod(x, 0), "cumprod": lambda m, f, x: m.cumprod(x, 0), "max": lambda m, f, x: m.max(x),
    "clamp": lambda m, f, x: m.clamp(x, -1, 1), "hardtanh": lambda m, f, x: f.hardtanh(x),
    "relu": lambda m, f, x: f.relu(x), "leaky_relu": lambda m, f, x: f.leaky_relu(x), "sqrt": lambda m, f, x: m.sqrt(x),
    "pow": lambda m, f, x: m.pow(x, 2.0), "normalize": lambda m, f, x: f.normalize(x, dim=0),
    "logsumexp": lambda m, f, x: m.logsumexp(x, 0), "cummax": lambda m, f, x: m.cummax(x, 0)[0],
    "cummin": lambda m, f, x: m.cummin(x, -1)[0], "logcumsumexp": lambda m, f, x: m.logcumsumexp(x, -1),
    "cumsum": lambda m, f, x: m.cumsum(x, 0), "prod_all": lambda m, f, x: m.prod(x),
    "cumprod_last": lambda m, f, x: m.cumprod(x, -1), "sinc": lambda m, f, x: m.sinc(x),
    "maximum": lambda m, f, x, y: m.maximum(x, y), "pow_of_two": lambda m, f, x, y: m.pow(x, y),
    "atan2": lambda m, f, x, y: m.atan2(x, y), "hypot": lambda m, f, x, y: m.hypot(x, y),
    "xlogy": lambda m, f, x, y: m.xlogy(x, m.abs(y) + 1), "smooth_l1_loss": lambda m, f, x, y: f.smooth_l1_loss(x, y),
    "l1_loss": lambda m, f, x, y: f.l1_loss(x, y), "limits": lambda m, f, x, y: m.clamp(x, y, y + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_at_zeros_ties_and_limits(name):
    function = DIFFERENTIABLE[name]
    pair = function.__code__.co_argcount == 4

    def gradients(library: Any, functional: Any, *given: Any) -> list[Any]:
        for x in given:
            x.requires_grad_()
        out = function(library, functional, *given)
        (out * (library.arange(out.numel(), dtype=library.float32).reshape(out.shape) * 0.3 + 1)).sum().backward()
        return [x.grad for x in given]

    for shape in ((1,), (5,), (3, 4), (2, 3, 4)):
        rounded = [np.round(numbers(shape, "float32", seed)) for seed in (0, 1)]
        zeros = [np.zeros(shape, "float32")] * 2
        for x, y in (rounded, zeros, [rounded[0], rounded[0]], [zeros[0], rounded[1]], [rounded[0], zeros[1]]):
            assert same(gradients, *((x, y) if pair else (x,)))
