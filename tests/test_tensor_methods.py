"""Tensor methods: what NumPy says, gradients by differences, errors, random draws, in-place rules, anomaly mode."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl.autograd import detect_anomaly
from fastdl.testing import gradcheck


def leaf(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return fastdl.tensor(values, requires_grad=True)


FUNCTIONS = {
    "einsum": lambda x: fastdl.einsum("bij,bkj->bik", x, x),
    "einsum_diagonal": lambda x: fastdl.einsum("bij,bji->b", x[:, :3, :3], x[:, :3, :3]),
    "prod": lambda x: x.prod(1),
    "cumprod": lambda x: x.cumprod(2),
    "norm": lambda x: x.norm(dim=1),
    "norm_3": lambda x: x.norm(3),
    "logsumexp": lambda x: x.logsumexp((1, 2)),
    "diag_embed": lambda x: fastdl.diag_embed(x, -1),
    "tril": lambda x: x.tril(),
    "repeat": lambda x: x.repeat(2, 1, 2),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "assigned": lambda x: assigned(x),
}


def assigned(x):
    out = x * 2
    out[:, 1] = x[:, 0] * x[:, 2]
    out[0, [0, 2]] = 3.0
    return out


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name):
    gradcheck(FUNCTIONS[name], [leaf(2, 3, 4)])


@pytest.mark.parametrize(
    "equation", ["ij,jk->ik", "bij,bjk->bik", "ii->i", "...i,...i->...", "i,j->ij", "ij->", "ij,kj"]
)
def test_einsum_is_numpys(equation, device):
    sizes = {"i": 3, "j": 4, "k": 5, "b": 2}
    rng = np.random.default_rng(0)
    arrays = []
    for term in equation.split("->")[0].split(","):
        lead = (2, 3) if "..." in term else ()
        arrays.append(rng.standard_normal((*lead, *(sizes[c] for c in term.replace(".", "")))).astype(np.float32))
    out = fastdl.einsum(equation, *(fastdl.tensor(a, device=device) for a in arrays))
    np.testing.assert_allclose(out.cpu().numpy(), np.einsum(equation, *arrays), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(
    "call,error,message",
    [
        (lambda x: fastdl.einsum("ij,jk", x), ValueError, r"\[einsum\] expected 2 operands"),
        (lambda x: fastdl.einsum("ijk", x), ValueError, r"\[einsum\] expected operand 'ijk' with 3 dimensions, got 2"),
        (lambda x: fastdl.einsum("ij->k", x), ValueError, r"\[einsum\] expected output letters"),
        (lambda x: fastdl.einsum("ij,ji", x, x), ValueError, r"\[einsum\] expected one size for"),
        (lambda x: fastdl.einsum("i1", x), ValueError, r"\[einsum\] expected letters"),
        (lambda x: fastdl.einsum("ii", x), ValueError, r"\[einsum\] expected one size for 'i'"),
        (lambda x: fastdl.einsum(x), TypeError, r"\[einsum\] expected a str for equation, got Tensor"),
        (lambda x: x.repeat(2), ValueError, r"\[repeat\] expected a number for each of 2 dimensions, got 1"),
        (lambda x: x.narrow(0, 1, 2), IndexError, r"\[narrow\] expected start and length within 2 lines"),
        (lambda x: x.unflatten(1, (2, 2)), ValueError, r"\[unflatten\] expected sizes whose product is 3"),
        (lambda x: x[0].tril(), ValueError, r"\[tril\] expected input with at least 2 dimensions"),
        (lambda x: x.diagonal(0, 1, 1), ValueError, r"\[diagonal\] expected two different axes"),
        (lambda x: x.long().norm(), TypeError, r"\[norm\] expected input of dtype float32 or float64, got int64"),
        (lambda x: x.unfold(1, 4, 1), ValueError, r"\[unfold\] expected size in \[1, 3\]"),
        (lambda x: fastdl.multinomial(x * 0, 1), ValueError, r"\[multinomial\] expected rows that add up"),
        (lambda x: fastdl.multinomial(x, 9), ValueError, r"\[multinomial\] expected at most 3 samples, got 9"),
        (lambda x: fastdl.bernoulli(x + 1), ValueError, r"\[bernoulli\] expected probabilities in \[0, 1\]"),
        (lambda x: x.backward(create_graph=True), NotImplementedError, r"\[backward\] expected create_graph=False"),
        (lambda x: x.long().add_(0.5), TypeError, r"\[in-place\] expected a result that fits dtype int64, got float32"),
        (lambda x: fastdl.broadcast_tensors(x, x[:, :2]), ValueError, r"expected shapes that broadcast"),
        (lambda x: fastdl.bincount(x[0].long(), x), ValueError, r"\[bincount\] expected weights of shape \(3,\), got"),
        (lambda x: F.rms_norm(x.long(), (3,)), TypeError, r"\[rms_norm\] expected input of dtype float32 or float64"),
        (lambda x: fastdl.outer(x, x), ValueError, r"\[outer\] expected vectors"),
        (lambda x: fastdl.set_printoptions(profile="x"), ValueError, r"\[set_printoptions\] expected profile"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(fastdl.ones(2, 3))


def test_leaves_refuse_in_place_outside_no_grad():
    w = fastdl.ones(3, requires_grad=True)
    for change in (lambda: w.fill_(0), lambda: w.copy_(fastdl.zeros(3)), lambda: w.zero_(), lambda: w.mul_(2)):
        with pytest.raises(RuntimeError, match=r"\[in-place\] expected a tensor inside the graph or no_grad"):
            change()
    with pytest.raises(RuntimeError, match=r"\[in-place\]"):
        w[0] = 2.0
    before = w._array
    with fastdl.no_grad():
        w += 1
        w -= 0.5
        w *= 2
        w /= 4
        w[0] = 5.0
    assert w.tolist() == [5.0, 0.75, 0.75] and w.is_leaf and w.requires_grad and w._array is before
    with pytest.raises(RuntimeError, match=r"\[uniform_\] expected a tensor outside the tape"):
        w.uniform_()


def test_in_place_keeps_what_was_saved():
    x = fastdl.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    z = y * y
    y[0] = 100.0
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_random_draws():
    fastdl.manual_seed(3)
    draws = fastdl.multinomial(fastdl.tensor([0.1, 0.0, 0.9]), 4000, replacement=True)
    assert set(draws.tolist()) == {0, 2} and abs((draws == 0).float().mean().item() - 0.1) < 0.02
    rows = fastdl.multinomial(fastdl.ones(50, 4), 4)
    assert all(sorted(row) == [0, 1, 2, 3] for row in rows.tolist())
    first = fastdl.multinomial(fastdl.tensor([[1.0, 3.0]]).expand(4000, 2), 2)[:, 0]
    assert abs(first.float().mean().item() - 0.75) < 0.03
    p = fastdl.bernoulli(fastdl.full((4000,), 0.3))
    assert abs(p.mean().item() - 0.3) < 0.03
    x = fastdl.empty(4000).normal_(2.0, 0.5)
    assert abs(x.mean().item() - 2) < 0.05 and abs(x.std().item() - 0.5) < 0.05
    assert fastdl.empty(99).uniform_(1, 2).min().item() >= 1 and fastdl.empty(9).random_(3).max().item() <= 2
    same = [fastdl.rand(3, generator=fastdl.Generator(5)).tolist() for _ in range(2)]
    assert same[0] == same[1]
    assert fastdl.normal(fastdl.tensor([1.0, 2.0]), 0.0).tolist() == [1.0, 2.0]


def test_anomaly_mode_names_the_operation():
    x = fastdl.tensor([0.0, 1.0], requires_grad=True)
    with (
        detect_anomaly(),
        pytest.raises(RuntimeError, match=r"NaN in gradient 0 of SqrtBackward(.*\n)*.*test_tensor_methods"),
    ):
        (x.sqrt() * 0).sum().backward()
    with detect_anomaly(), pytest.raises(RuntimeError, match=r"NaN in the result of LogBackward"):
        ((x - 2).log() * 2 + x).sum().backward()
    with detect_anomaly():
        (x * x).sum().backward()
    assert not fastdl.autograd.is_anomaly_enabled()
    with fastdl.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).sum().backward()


def test_grad_fn_and_names():
    x = fastdl.ones(2, requires_grad=True)
    assert x.grad_fn is None and (x * 2).grad_fn.name() == "MulBackward"
    assert repr(x.exp().grad_fn) == "<ExpBackward>"
    assert x.type() == "fastdl.float32" and x.type(fastdl.float64).dtype is fastdl.float64
    assert (x.nbytes, x.itemsize, x.nelement(), x.ndimension(), x.is_contiguous(), x.is_cuda) == (
        8,
        4,
        2,
        1,
        True,
        False,
    )
    assert fastdl.is_tensor(x) and not fastdl.is_tensor(1) and fastdl.numel(x) == 2
    assert fastdl.iinfo("int32").max == 2**31 - 1


def test_printing_options():
    try:
        fastdl.set_printoptions(precision=2, edgeitems=1, threshold=4)
        assert repr(fastdl.arange(6)) == "tensor([0,  ..., 5])"
        assert repr(fastdl.tensor([0.125])) == "tensor([0.12])"
        fastdl.set_printoptions(profile="default", sci_mode=True)
        assert repr(fastdl.tensor([1.5])) == "tensor([1.5000e+00])"
    finally:
        fastdl.set_printoptions(profile="default")
    assert repr(fastdl.zeros(0, 2)) == "tensor([], size=(0, 2))" and repr(fastdl.zeros(0)) == "tensor([])"


@pytest.mark.parametrize("name", ["split", "chunk", "unbind"])
def test_gradients_of_parts_are_put_together_once(name, monkeypatch):
    """Padding each part's gradient to the whole size would take memory for as many wholes as there are parts."""
    x = fastdl.arange(12.0).reshape(6, 2).requires_grad_()
    made = {"split": lambda: fastdl.split(x, 1), "chunk": lambda: fastdl.chunk(x, 6), "unbind": lambda: x.unbind(0)}[
        name
    ]()
    largest = []
    backend = fastdl.backends.get("cpu")
    concat = backend.concat
    monkeypatch.setattr(backend, "concat", lambda arrays, axis: largest.append(len(arrays)) or concat(arrays, axis))
    (made[1] * 3.0 + made[4]).sum().backward()
    assert x.grad.tolist() == [[0, 0], [3, 3], [0, 0], [0, 0], [1, 1], [0, 0]]
    assert largest == [6]
