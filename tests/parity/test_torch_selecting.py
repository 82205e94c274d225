"""Chosen elements, differences, covariances and the like against PyTorch: numbers and gradients."""

import numpy as np
import pytest

import fastdl
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

AT = np.array([[0, 2, 1, 0], [2, 2, 0, 1], [1, 0, 0, 0]])
MASK = np.arange(12).reshape(3, 4) % 3 == 0
HOLES = np.where(np.arange(12).reshape(3, 4) % 5 == 0, np.nan, np.arange(12.0).reshape(3, 4))


def x(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


CALLS = {
    "argwhere": (lambda k, a: k.argwhere(a > 0), [x(3, 4)]),
    "isin": (lambda k, a: k.isin(k.tensor(AT), k.tensor([0, 2])), [x(3, 4)]),
    "isin inverted": (lambda k, a: k.isin(k.tensor(AT), 2, invert=True), [x(3, 4)]),
    "isin nothing": (lambda k, a: k.isin(k.tensor(AT), k.tensor(np.zeros(0, int))), [x(3, 4)]),
    "index_fill": (lambda k, a: a.index_fill(1, k.tensor([0, -1]) % 4, 7.5), [x(3, 4)]),
    "index_copy": (lambda k, a, b: a.index_copy(0, k.tensor([2, 0]), b), [x(3, 4), x(2, 4)]),
    "index_put": (lambda k, a, b: a.index_put((k.tensor([0, 2]), k.tensor([1, -1])), b), [x(3, 4), x(2)]),
    "index_put rows": (lambda k, a, b: a.index_put((k.tensor([0, -1, 0]),), b, True), [x(3, 4), x(3, 4, seed=1)]),
    "index_put added": (lambda k, a, b: a.index_put((k.tensor([0, 2, 0]), k.tensor([1, 3, 1])), b, accumulate=True),
                        [x(3, 4), x(3)]),
    "index_put mask": (lambda k, a, b: a.index_put((k.tensor(MASK),), b, accumulate=True), [x(3, 4), x()]),
    "masked_scatter": (lambda k, a, b: a.masked_scatter(k.tensor(MASK), b), [x(3, 4), x(6)]),
    "masked_scatter none": (lambda k, a, b: a.masked_scatter(k.tensor(MASK) & False, b), [x(3, 4), x(6)]),
    "scatter_reduce": (lambda k, a, b: a.scatter_reduce(0, k.tensor(AT), b, "sum"), [x(3, 4), x(3, 4, seed=1)]),
    "scatter_reduce mean": (lambda k, a, b: a.scatter_reduce(0, k.tensor(AT), b, "mean"), [x(3, 4), x(3, 4, seed=1)]),
    "scatter_reduce alone": (lambda k, a, b: a.scatter_reduce(0, k.tensor(AT), b, "mean", include_self=False),
                             [x(3, 4), x(3, 4, seed=1)]),
    "unique_consecutive": (lambda k, a: k.unique_consecutive(k.tensor([1, 1, 2, 2, 2, 1, 3]), return_inverse=True,
                                                             return_counts=True), [x(1)]),
    **{f"rot90 {n}": (lambda k, a, n=n: k.rot90(a, n, (1, 2)), [x(2, 3, 4)]) for n in (-1, 0, 1, 2, 3, 5)},
    "cross": (lambda k, a, b: k.cross(a, b, dim=1), [x(2, 3), x(2, 3, seed=1)]),
    "kron": (lambda k, a, b: k.kron(a, b), [x(2, 3), x(4)]), "kron 2": (lambda k, a, b: k.kron(a, b),
    [x(2, 3), x(4, 2)]),
    "nansum": (lambda k, a: k.nansum(a, 1), [HOLES]), "nansum whole": (lambda k, a: k.nansum(a), [HOLES]),
    "nanmean": (lambda k, a: k.nanmean(a, 0, True), [HOLES]), "diff": (lambda k, a: k.diff(a, 2, dim=1), [x(3, 5)]),
    "diff too often": (lambda k, a: k.diff(a, 9), [x(3, 4)]), "trapezoid": (lambda k, a: k.trapezoid(a, dx=0.5),
    [x(3, 4)]),
    "trapezoid at": (lambda k, a, b: k.trapezoid(a, b, dim=0), [x(3, 4), np.array([0.0, 1.0, 3.0])]),
    "cov": (lambda k, a: k.cov(a), [x(3, 6)]), "cov of one": (lambda k, a: k.cov(a, correction=0), [x(6)]),
    "corrcoef": (lambda k, a: k.corrcoef(a), [x(3, 6)]), "histc": (lambda k, a: k.histc(a.detach(), 7), [x(50)]),
    "histc range": (lambda k, a: k.histc(a.detach(), 5, -1, 1), [x(50)]),
    "block_diag": (lambda k, a, b: k.block_diag(a, b), [x(2, 3), x(4)]), "deg2rad": (lambda k, a: k.deg2rad(a), [x(4)]),
    "rad2deg": (lambda k, a: k.rad2deg(a), [x(4)]), "where": (lambda k, a: k.where(a > 0), [x(3, 4)]),
    "round": (lambda k, a: k.round(a.detach(), decimals=2), [x(3, 4)]),
    "round tens": (lambda k, a: (a * 99).detach().round(decimals=-1), [x(4)]),
    "names": (lambda k, a: k.absolute(k.negative(k.multiply(a, k.subtract(a, 2)))), [x(3, 4)]),
    "squeeze_": (lambda k, a: (a * 2).detach().unsqueeze_(0).transpose_(0, 1).squeeze_(1).t_(), [x(3, 4)]),
    "logical in place": (lambda k, a: (a > 0).logical_and_(a < 1).logical_not_(), [x(3, 4)]),
    "fill_diagonal_": (lambda k, a: (a * 1).fill_diagonal_(5.0), [x(3, 4)]),
    "index_put_": (lambda k, a, b: (a * 1).index_put_((k.tensor([1]),), b), [x(3, 4), x(4)]),
    "cumsum_": (lambda k, a: (a * 1).cumsum_(1), [x(3, 4)]), "+": (lambda k, a: +a, [x(3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_same_numbers_and_gradients(name):
    call, arrays = CALLS[name]
    mine = [fastdl.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    found, expected = call(fastdl, *mine), call(torch, *theirs)
    several = isinstance(expected, tuple)
    for f, e in zip(found if several else [found], expected if several else [expected], strict=True):
        assert f.shape == tuple(e.shape) and f.dtype.name == str(e.dtype).partition(".")[2]
        assert_close(f, e.detach().numpy(), 32)
    if not several and expected.requires_grad:
        weights = np.random.default_rng(9).standard_normal(tuple(expected.shape))
        (found * fastdl.tensor(weights)).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        for m, t in zip(mine, theirs, strict=True):
            assert (m.grad is None) == (t.grad is None)
            if m.grad is not None:
                assert_close(m.grad, t.grad.numpy(), 64)


def test_what_says_something_of_a_tensor():
    mine, theirs = fastdl.ones(2, 3, 4), torch.ones(2, 3, 4)
    assert mine.stride() == theirs.stride() and mine.stride(1) == 4 and mine.storage_offset() == 0
    assert mine.data_ptr() == mine.numpy().ctypes.data and mine.view(6, 4).data_ptr() == mine.data_ptr()
    assert 1.0 in mine and 2.0 not in mine and mine.is_signed() and not mine.is_complex() and mine.get_device() == -1
    assert fastdl.is_floating_point(mine) and isinstance(mine.shape, fastdl.Size)
    assert fastdl.cuda.device_count() >= fastdl.cuda.is_available() >= 0
    fastdl.cuda.synchronize()
    fastdl.cuda.empty_cache()
    gone = fastdl.ones(2, requires_grad=True) * 2
    assert not gone.detach_().requires_grad and gone.is_leaf


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda t: t.index_fill(0, fastdl.tensor([0.5]), 1.0), IndexError, r"\[index_fill\] expected index of integers"),
    (lambda t: t.index_copy(0, fastdl.tensor([0]), t), ValueError, r"\[index_copy\] expected source of shape \(1, 4\)"),
    (lambda t: t.index_put((fastdl.tensor([3]),), t[0], True), IndexError,
     r"expected indices in \[-3, 2\], got others"),
    (lambda t: t.masked_scatter(t > -9, fastdl.zeros(2)), ValueError,
     "expected source with at least 12 elements, got 2"),
    (lambda t: t.masked_scatter(t, t), TypeError, "expected mask of dtype bool, got float32"),
    (lambda t: t.scatter_reduce(0, t.long(), t, "prod"), NotImplementedError,
     "expected reduce sum or mean, got 'prod'"),
    (lambda t: fastdl.rot90(t, 1, (1, 1)), ValueError, r"\[rot90\] expected two axes, got \(1, 1\)"),
    (lambda t: fastdl.cross(t, t, -1), ValueError, r"\[cross\] expected 3 elements along axis -1"),
    (lambda t: fastdl.diff(t, -1), ValueError, r"\[diff\] expected n of at least 0, got -1"),
    (lambda t: fastdl.histc(t, 0), ValueError, r"\[histc\] expected bins of at least 1, got 0"),
    (lambda t: fastdl.cov(t.reshape(1, 3, 4)), ValueError, r"\[cov\] expected at most 2 dimensions"),
    (lambda t: fastdl.block_diag(t.reshape(1, 3, 4)), ValueError, r"\[block_diag\] expected matrices"),
    (lambda t: t.requires_grad_().squeeze_(), RuntimeError, r"\[squeeze_\] expected a tensor outside the tape"),
    (lambda t: t.fill_diagonal_(1.0, wrap=True), NotImplementedError, r"\[fill_diagonal_\] expected wrap=False"),
])  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(fastdl.zeros(3, 4))


def test_infinite_gradients_stay_in_their_branch():
    for call in (lambda k, a: k.where(k.tensor([True, False]), a, 1.0), lambda k, a: k.clamp(a, -1.0, 1.0)):
        found = []
        for kit in (fastdl, torch):
            a = kit.tensor([0.5, 3.0], requires_grad=True)
            call(kit, a).backward(kit.tensor([1.0, float("inf")]))
            found.append(a.grad.tolist())
        assert found[0] == found[1] == [1.0, 0.0]
