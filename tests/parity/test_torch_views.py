"""What changes a part of a tensor changes the tensor, as PyTorch's views do."""

import gc
import weakref

import pytest

import fastdl
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def rows(k, x):
    for i, row in enumerate(x):
        row += i


def chunks(k, x):
    first, second = x.chunk(2)
    first.mul_(10)
    second -= first
    x.split(1)[2][0, 1] = -7


def swapped(k, x):
    x[0], x[1] = x[1].clone(), x[0].clone()


PROGRAMS = {
    "index twice": lambda k, x: x[0].__setitem__(1, 5),
    "three deep": lambda k, x: x[1:][0][None][0, 2:].fill_(8),
    "fill": lambda k, x: x[0].fill_(1),
    "zero of a slice": lambda k, x: x[:, 1:3].zero_(),
    "rows": rows,
    "chunks": chunks,
    "swapped": swapped,
    "transposed": lambda k, x: x.t().__setitem__((2, 0), 50),
    "permuted": lambda k, x: x.reshape(2, 2, 4).permute(2, 0, 1)[1].add_(3),
    "viewed": lambda k, x: x.view(-1).__setitem__(3, 7),
    "view of a part": lambda k, x: x[1].view(2, 2)[0].mul_(2),
    "unsqueezed": lambda k, x: x.unsqueeze(0)[0, 2].clamp_(0, 0.5),
    "diagonal": lambda k, x: x.diagonal().fill_(2),
    "select and narrow": lambda k, x: (x.select(0, 3).mul_(2), x.narrow(1, 0, 2).add_(1)),
    "copied into": lambda k, x: x[2].copy_(x[0] * 3),
    "mask of a part": lambda k, x: x[1].masked_fill_(x[1] > 0, -1.0),
    "contiguous copy of columns": lambda k, x: x.t().contiguous().mul_(2),
    "contiguous rows": lambda k, x: x[1:3].contiguous().mul_(2),
    "turned twice": lambda k, x: x.t().t().contiguous().mul_(2),
    "columns as a vector": lambda k, x: x.t().reshape(-1).fill_(0),
    "flat columns": lambda k, x: x[:, :2].flatten().fill_(0),
    "every other row": lambda k, x: x[::2].reshape(8).fill_(0),
    "a column without its axis": lambda k, x: x[:, :1].squeeze(1).fill_(2),
    "columns with one more axis": lambda k, x: x.t().unsqueeze(0).mul_(3),
    "half of the columns": lambda k, x: x.chunk(2, 1)[1].contiguous().fill_(4),
    "through detach": lambda k, x: x.detach()[0].data.add_(1),
}


@pytest.mark.parametrize("taped", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_parts_write_through(name, taped):
    """Off the tape, and on it with the gradient of what was there before."""
    if taped and name in ("chunks", "rows", "through detach"):
        taped = False  # PyTorch refuses parts made together there, and detached parts have no gradient
    results = []
    for k in (fastdl, torch):
        start = (k.arange(16, dtype=k.float64).reshape(4, 4) - 6).detach().requires_grad_(taped)
        x = start * 1 if taped else start
        PROGRAMS[name](k, x)
        if taped:
            (x * x).sum().backward()
        results.append((x.detach(), start.grad))
    (ours, our_grad), (theirs, their_grad) = results
    assert_close(ours, theirs.numpy(), 8)
    if taped:
        assert_close(our_grad, their_grad.numpy(), 8)


def test_a_detached_part_keeps_no_tape():
    """As states do that a truncated training hands on: else each would keep all before it."""
    hidden = fastdl.ones(3, 4, requires_grad=True) * 2
    tape = weakref.ref(hidden)
    last = hidden[2].detach(), hidden.reshape(4, 3)[0].detach()
    del hidden
    gc.collect()
    assert tape() is None
    assert last[0].tolist() == [2.0] * 4


def test_a_value_on_the_tape_into_a_part():
    for at in (lambda x: x[1], lambda x: x.view(2, 6)[1], lambda x: x.t()[1:]):
        grads = []
        for k in (fastdl, torch):
            x, w = k.zeros(4, 3), k.ones(1, requires_grad=True)
            at(x).add_(w * 2)
            x.sum().backward()
            grads.append(w.grad.item())
        assert grads[0] == grads[1]


def test_weights_through_their_parts():
    lstm = fastdl.nn.LSTM(2, 3)
    bias = lstm.bias_ih_l0
    bias.data[3:6].fill_(1.0)
    fastdl.nn.init.zeros_(bias[:3])
    with fastdl.no_grad():
        bias[6:].mul_(0)
    assert bias.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


@pytest.mark.parametrize("change", [lambda x: x[0].fill_(3), lambda x: x.view(-1).mul_(3), lambda x: x.t()[0].add_(1)])
def test_parts_of_a_leaf_are_refused(change):
    x = fastdl.ones(2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[in-place\] expected a tensor inside the graph"):
        change(x)
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]
