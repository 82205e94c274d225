"""Order, selection and search against PyTorch: values always, indices where PyTorch promises them (stable sorts, lines
without equals)."""

import numpy as np
import pytest

import fastdl
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

DTYPES = ["float32", "float64", "int32", "int64", "uint8"]
SHAPES = [((7,), 0), ((5, 6, 7), 1), ((3, 40), -1), ((300, 4), 0), ((2, 1000), 1), ((4, 1), 1), ((), 0)]
NAN = float("nan")


def both(x):
    return fastdl.tensor(x), torch.tensor(x)


def numbers(rng, shape, dtype, equals=True):
    """Many equals, or none."""
    if equals:
        return (rng.integers(0, 5, shape) * 0.5 + 1).astype(dtype)
    size = int(np.prod(shape))
    if dtype == "uint8":
        return rng.permutation(256)[: min(size, 256)].astype(dtype)
    return (rng.permutation(size) - size // 2).reshape(shape).astype(dtype)


def same(ours, theirs):
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert_close(ours, theirs.detach().numpy(), 0)


def same_pair(ours, theirs, indices=True):
    assert ours._fields == ("values", "indices")
    same(ours.values, theirs.values)
    if indices:
        same(ours.indices, theirs.indices)


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("descending", [False, True])
def test_sort(dtype, shape, dim, descending):
    x, t = both(numbers(np.random.default_rng(0), shape, dtype))
    same_pair(x.sort(dim, descending), t.sort(dim=dim, descending=descending, stable=True))
    same(fastdl.argsort(x, dim, descending), torch.argsort(t, dim=dim, descending=descending, stable=True))
    if shape:
        same(x.msort(), t.msort())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("equals", [False, True])
def test_selection(dtype, shape, dim, equals):
    x, t = both(numbers(np.random.default_rng(1), shape, dtype, equals))
    dim = dim if x.shape == shape else 0
    size = x.shape[dim] if x.ndim else 1
    for k in {1, size // 3, size} - {0}:
        for largest in (False, True):
            same_pair(x.topk(k, dim, largest), t.topk(k, dim, largest), not equals)
        same_pair(x.kthvalue(k, dim, True), t.kthvalue(k, dim, True), not equals)
        same_pair(x.kthvalue(k, dim), t.kthvalue(k, dim), not equals)
    same_pair(x.median(dim), t.median(dim), not equals)
    same_pair(x.nanmedian(dim, True), t.nanmedian(dim, True), not equals)
    same(x.median(), t.median())
    same(x.nanmedian(), t.nanmedian())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [6, 40, 600])
def test_nan_is_last(dtype, length):
    rng = np.random.default_rng(2)
    x = rng.permutation(3 * length).reshape(3, length).astype(dtype)
    x[rng.random(x.shape) < 0.2] = NAN
    x[0] = NAN
    ours, theirs = both(x)
    for descending in (False, True):
        same_pair(ours.sort(1, descending), theirs.sort(dim=1, descending=descending, stable=True))
        same(ours.topk(length // 2, 1, descending).values, theirs.topk(length // 2, 1, descending).values)
    same_pair(ours.median(1), theirs.median(1))
    same(ours.nanmedian(1).values, theirs.nanmedian(1).values)
    same(ours.kthvalue(3, 1).values, theirs.kthvalue(3, 1).values)
    same(ours.quantile(0.4, 1), theirs.quantile(0.4, 1))
    assert np.isnan(ours.median().item()) and np.isnan(fastdl.zeros(0).median().item())


@pytest.mark.parametrize("function", [
    lambda t: t.sort(1)[0], lambda t: t.sort(0, True)[0], lambda t: t.topk(4, 1)[0], lambda t: t.topk(2, 0, False)[0],
    lambda t: t.kthvalue(3, 1)[0], lambda t: t.median(0, True)[0], lambda t: t.median(), lambda t: t.nanmedian(1)[0],
    lambda t: t.nanmedian(), lambda t: t.msort(), lambda t: t.quantile(0.3, 1), lambda t: t.quantile(0.7),
])  # fmt: skip
def test_gradients(function):
    x = np.random.default_rng(3).standard_normal((6, 11))
    ours, theirs = fastdl.tensor(x, dtype="float64", requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = function(ours), function(theirs)
    grad = np.random.default_rng(4).standard_normal(tuple(expected.shape))
    out.backward(fastdl.tensor(grad, dtype="float64"))
    expected.backward(torch.tensor(grad))
    assert_close(ours.grad, theirs.grad.numpy())


def test_equals_share_the_gradient_of_the_median_of_all():
    for values in ([2.0, 1.0, 2.0, 2.0, 5.0], [NAN, 1.0, NAN]):
        ours, theirs = fastdl.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        ours.median().backward()
        theirs.median().backward()
        assert_close(ours.grad, theirs.grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(dtype, right):
    rng = np.random.default_rng(5)
    x = numbers(rng, (4, 30), dtype)
    rows, sorted_rows = both(x), both(np.sort(x, 1))
    line = both(np.sort(x[0]))
    for out in (False, True):
        options = {"right": right, "out_int32": out}
        same(fastdl.searchsorted(sorted_rows[0], rows[0], **options),
             torch.searchsorted(sorted_rows[1], rows[1], **options))  # fmt: skip
        same(fastdl.bucketize(rows[0], line[0], **options), torch.bucketize(rows[1], line[1], **options))
    order = both(np.argsort(x, 1, kind="stable"))
    same(fastdl.searchsorted(rows[0], rows[0], side="right", sorter=order[0]),
         torch.searchsorted(rows[1], rows[1], side="right", sorter=order[1]))  # fmt: skip
    same(fastdl.searchsorted(line[0], 2), torch.searchsorted(line[1], 2))


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_unique(dtype):
    ours, theirs = both(numbers(np.random.default_rng(6), (6, 50), dtype))
    same(ours.unique(), theirs.unique())
    for got, want in zip(ours.unique(return_inverse=True, return_counts=True),
                         theirs.unique(return_inverse=True, return_counts=True), strict=True):  # fmt: skip
        same(got, want)
    for got, want in zip(ours.unique(return_counts=True), theirs.unique(return_counts=True), strict=True):
        same(got, want)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_quantile(interpolation, dim, keepdim):
    ours, theirs = both(np.random.default_rng(7).standard_normal((4, 6, 5)))
    for q in (0.0, 0.35, [0.1, 0.5, 1.0]):
        parts = (q, q) if isinstance(q, float) else both(np.array(q))
        options = {"dim": dim, "keepdim": keepdim, "interpolation": interpolation}
        got, want = fastdl.quantile(ours, parts[0], **options), torch.quantile(theirs, parts[1], **options)
        assert_close(got, want.numpy(), 4)
