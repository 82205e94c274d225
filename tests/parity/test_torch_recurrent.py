"""Recurrent layers and packed sequences against PyTorch: outputs, states, gradients, names, printing."""

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.nn.utils import rnn as packing
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
LAYERS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {})]
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "batch_first": True, "bias": False},
    {"bidirectional": True, "batch_first": True},
]


def pair(name, *args, **options):
    """A layer of each library with the same weights, in float64."""
    theirs = getattr(torch.nn, name)(*args, **options).double()
    mine = getattr(nn, name)(*args, **options).double()
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert repr(mine) == repr(theirs)
    return mine, theirs


def flat(result):
    if hasattr(result, "shape"):
        return [result]
    return [leaf for part in result if part is not None for leaf in flat(part)]


def compare(mine, theirs, mine_in, theirs_in):
    """Results, and gradients of inputs and parameters when all of the results count."""
    got, want = flat(mine(*mine_in)), flat(theirs(*theirs_in))
    for g, w in zip(got, want, strict=True):
        assert_close(g, w.detach().numpy(), 64)
    floats = [(g, w) for g, w in zip(got, want, strict=True) if w.requires_grad]
    sum(((g * g).sum() * (i + 1) for i, (g, _) in enumerate(floats)), fastdl.tensor(0.0, dtype="float64")).backward()
    sum((w * w).sum() * (i + 1) for i, (_, w) in enumerate(floats)).backward()
    leaves = [
        *zip(flat(mine_in), flat(theirs_in), strict=True),
        *zip(mine.parameters(), theirs.parameters(), strict=True),
    ]
    for g, w in leaves:
        if w.requires_grad:
            assert_close(g.grad, w.grad.numpy(), 256, what="gradient")


def both(*shape, seed=0):
    a = np.random.default_rng(seed).standard_normal(shape)
    return fastdl.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)


def states(name, *shape):
    h, c = both(*shape, seed=1), both(*shape, seed=2)
    return tuple(zip(h, c, strict=True)) if name == "LSTM" else h


@pytest.mark.parametrize(("name", "own"), LAYERS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("given", [False, True])
def test_layers(name, own, options, given):
    mine, theirs = pair(name, 5, 7, **own, **options)
    x = both(4, 3, 5)
    layers = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    hx = states(name, layers, 4 if options.get("batch_first") else 3, 7) if given else (None, None)
    compare(mine, theirs, [x[0], *([hx[0]] if given else [])], [x[1], *([hx[1]] if given else [])])


@pytest.mark.parametrize(("name", "own"), LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_without_a_batch(name, own, batch_first):
    mine, theirs = pair(name, 3, 6, batch_first=batch_first, **own)
    x = both(5, 3)
    hx = states(name, 1, 6)
    compare(mine, theirs, [x[0], hx[0]], [x[1], hx[1]])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_projected_lstm(options, given, batched):
    mine, theirs = pair("LSTM", 5, 7, proj_size=3, **options)
    assert [[w.shape for w in ws] for ws in mine.all_weights] == [
        [tuple(w.shape) for w in ws] for ws in theirs.all_weights
    ]
    first = options.get("batch_first", False)
    x = both(*((2, 6, 5) if first else (6, 2, 5)) if batched else (6, 5))
    layers = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    n = (2,) if batched else ()
    hx = tuple(zip(both(layers, *n, 3, seed=1), both(layers, *n, 7, seed=2), strict=True))
    compare(mine, theirs, [x[0], *([hx[0]] if given else [])], [x[1], *([hx[1]] if given else [])])


@pytest.mark.parametrize(("name", "own"), [*LAYERS, ("LSTM", {"proj_size": 4})])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [1, 6, 3, 6]])
def test_packed_sequences(name, own, options, lengths):
    mine, theirs = pair(name, 5, 7, **own, **options)
    first = options.get("batch_first", False)
    x = both(*((4, 6, 5) if first else (6, 4, 5)))
    ordered = lengths == sorted(lengths, reverse=True)
    ours = packing.pack_padded_sequence(x[0], lengths, first, ordered)
    peer = torch.nn.utils.rnn.pack_padded_sequence(x[1], torch.tensor(lengths), first, ordered)
    np.testing.assert_array_equal(ours.batch_sizes.numpy(), peer.batch_sizes.numpy())
    assert_close(ours.data, peer.data.detach().numpy(), 0)

    class Unpacked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = mine

        def forward(self, x):
            out, state = mine(packing.pack_padded_sequence(x, lengths, first, ordered))
            return *packing.pad_packed_sequence(out, first), state

    def unpacked(x):
        out, state = theirs(torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), first, ordered))
        return *torch.nn.utils.rnn.pad_packed_sequence(out, first), state

    unpacked.parameters = theirs.parameters
    compare(Unpacked(), unpacked, [x[0]], [x[1]])
    padded = fastdl.tensor(x[0].detach().numpy())
    out, state = mine(padded, lengths=lengths)
    wanted = unpacked(x[1])
    assert_close(out, wanted[0].detach().numpy(), 64)
    for g, w in zip(flat(state), flat(wanted[2]), strict=True):
        assert_close(g, w.detach().numpy(), 64)


@pytest.mark.parametrize(
    ("name", "own"), [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]
)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_cells(name, own, bias, batch):
    mine, theirs = pair(name, 5, 7, bias=bias, **own)
    x = both(*batch, 5)
    hx = states(name.removesuffix("Cell"), *batch, 7)
    compare(mine, theirs, [x[0], hx[0]], [x[1], hx[1]])
    compare(mine, theirs, [x[0]], [x[1]])


def test_sequences_to_batches_and_back():
    arrays = [np.random.default_rng(n).standard_normal((n, 2)) for n in (2, 5, 1)]
    ours, theirs = [fastdl.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    peer = torch.nn.utils.rnn
    for first in (False, True):
        got, want = packing.pad_sequence(ours, first, -1.0), peer.pad_sequence(theirs, first, -1.0)
        assert_close(got, want.numpy(), 0)
        for g, a in zip(packing.unpad_sequence(got, [2, 5, 1], first), arrays, strict=True):
            assert_close(g, a, 0)
    assert_close(
        packing.pad_sequence(ours, padding_side="left"), peer.pad_sequence(theirs, padding_side="left").numpy(), 0
    )
    packed, wanted = packing.pack_sequence(ours, False), peer.pack_sequence(theirs, False)
    for g, w in zip(packed, wanted, strict=True):
        np.testing.assert_array_equal(g.numpy(), w.numpy())
    for g, a in zip(packing.unpack_sequence(packed), arrays, strict=True):
        assert_close(g, a, 0)
    longer = packing.pad_packed_sequence(packed, True, 9.0, total_length=7)[0]
    assert_close(longer, peer.pad_packed_sequence(wanted, True, 9.0, 7)[0].numpy(), 0)
    with pytest.raises(ValueError, match="decreasing order"):
        packing.pack_sequence(ours)


def test_dropout_between_layers():
    layer = nn.LSTM(3, 4, num_layers=2, dropout=1.0)
    x = fastdl.randn(5, 2, 3)
    assert not np.array_equal(layer(x)[0].detach().numpy(), layer.eval()(x)[0].detach().numpy())
    assert layer(x)[0].shape == (5, 2, 4)
