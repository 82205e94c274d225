"""Transformers against PyTorch with equal weights: outputs, gradients, names in the state dict."""

import warnings

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
RNG = np.random.default_rng(2)
SRC, TGT = RNG.standard_normal((3, 5, 8)), RNG.standard_normal((3, 4, 8))
CAUSAL = np.triu(np.full((4, 4), -np.inf), 1)
HIDDEN = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool)


def both(make):
    """The network in both libraries, with PyTorch's weights, in training without dropout: PyTorch's evaluation drops
    what is hidden."""
    mine, other = make(nn).double(), make(torch.nn).double()
    mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    assert list(mine.state_dict()) == list(other.state_dict())
    return mine, other


def assert_agree(make, inputs, masks=None):
    mine, other = both(make)
    ours = [fastdl.tensor(a, requires_grad=True) for a in inputs]
    reference = [torch.tensor(a, requires_grad=True) for a in inputs]
    masks = masks or {}
    found = mine(*ours, **{k: fastdl.tensor(m) for k, m in masks.items()})
    expected = other(*reference, **{k: torch.tensor(m) for k, m in masks.items()})
    assert_close(found.detach(), expected.detach().numpy(), 1024)
    weight = np.random.default_rng(0).standard_normal(tuple(expected.shape))
    (found * fastdl.tensor(weight)).sum().backward()
    (expected * torch.tensor(weight)).sum().backward()
    for a, b in zip([*ours, *mine.parameters()], [*reference, *other.parameters()], strict=True):
        assert_close(a.grad, b.grad.numpy(), 2**14)


@pytest.mark.parametrize("options", [
    {}, {"norm_first": True}, {"activation": "gelu"}, {"bias": False, "layer_norm_eps": 1e-3},
], ids=str)  # fmt: skip
def test_layers(options):
    def make(kind):
        return lambda k: getattr(k, kind)(8, 2, 12, 0.0, batch_first=True, **options)

    assert_agree(make("TransformerEncoderLayer"), [SRC], {"src_key_padding_mask": HIDDEN})
    masks = {"tgt_mask": CAUSAL, "memory_key_padding_mask": HIDDEN}
    assert_agree(make("TransformerDecoderLayer"), [TGT, SRC], masks)


def test_stacks():
    def encoder(k):
        layer = k.TransformerEncoderLayer(8, 4, 12, 0.0)
        return k.TransformerEncoder(layer, 2, k.LayerNorm(8), **({} if k is nn else {"enable_nested_tensor": False}))

    assert_agree(encoder, [SRC.transpose(1, 0, 2)], {"src_key_padding_mask": HIDDEN})
    decoded = [a.transpose(1, 0, 2) for a in (TGT, SRC)]
    assert_agree(lambda k: k.TransformerDecoder(k.TransformerDecoderLayer(8, 4, 12, 0.0), 2), decoded)


@pytest.mark.parametrize("batch_first", [False, True])
def test_encoder_and_decoder(batch_first):
    inputs = [SRC, TGT] if batch_first else [SRC.transpose(1, 0, 2), TGT.transpose(1, 0, 2)]
    masks = {"tgt_mask": CAUSAL, "src_key_padding_mask": HIDDEN, "memory_key_padding_mask": HIDDEN}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about its fast paths
        assert_agree(lambda k: k.Transformer(8, 2, 2, 1, 12, 0.0, batch_first=batch_first), inputs, masks)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(mask.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(4).numpy())


def test_copies_have_weights_of_their_own():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12), 2)
    first, second = (layer.linear1.weight for layer in net.layers)
    assert (first == second).all() and first is not second
    with fastdl.no_grad():
        first.add_(1.0)
    assert (first != second).all()


def test_plans_and_errors():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), 2).eval()
    x = fastdl.tensor(SRC, dtype="float32")
    assert_close(fastdl.compile(net, x)(x), net(x).detach(), 64)
    with pytest.raises(ValueError, match=r"\[TransformerEncoderLayer\] expected activation relu, gelu or a function"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
    with pytest.raises(ValueError, match=r"expected embed_dim as a multiple of num_heads, got 8 and 3"):
        nn.TransformerDecoderLayer(8, 3)
    with pytest.raises(ValueError, match=r"\[Transformer\] expected src and tgt with 8 features"):
        nn.Transformer(8, 2, 1, 1, 4)(fastdl.ones(2, 1, 8), fastdl.ones(2, 1, 7))
