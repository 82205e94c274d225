"""Every layer that PyTorch has too: names and shapes of its state, both ways, and how it prints."""

import inspect

import numpy as np
import pytest

import fastdl
from fastdl import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

ARGUMENTS = {  # of layers that need some; the others take none
    "AdaptiveAvgPool1d": (3,), "AdaptiveAvgPool2d": ((3, 2),), "AdaptiveMaxPool1d": (3,), "AdaptiveMaxPool2d": (3,),
    "AvgPool1d": (2,), "AvgPool2d": ((3, 2), 2, 1), "BatchNorm1d": (4,), "BatchNorm2d": (4,), "BatchNorm3d": (4,),
    "Bilinear": (3, 4, 5), "ChannelShuffle": (2,), "CircularPad1d": (1,), "CircularPad2d": (1,), "CircularPad3d": (1,),
    "ConstantPad1d": (1, 0.5), "ConstantPad2d": (1, 0.5), "ConstantPad3d": (1, 0.5), "Conv1d": (2, 4, 3),
    "Conv2d": (4, 6, (3, 2), 2, 1, 1, 2), "ConvTranspose1d": (2, 4, 3), "ConvTranspose2d": (4, 6, 3, 2, 1, 1, 2),
    "Embedding": (5, 3), "EmbeddingBag": (5, 3), "Fold": ((4, 4), 2), "GroupNorm": (2, 4), "GRU": (3, 4, 2),
    "GRUCell": (3, 4), "InstanceNorm1d": (4,), "InstanceNorm2d": (4, 1e-5, 0.1, True, True), "InstanceNorm3d": (4,),
    "LayerNorm": ((4, 3),), "Linear": (3, 4), "LocalResponseNorm": (5,), "LPPool1d": (2, 3), "LPPool2d": (2, 3),
    "LSTM": (3, 4, 2, True, True, 0.1, True), "LSTMCell": (3, 4), "MaxPool1d": (2,), "MaxPool2d": (3, 2, 1),
    "MaxUnpool1d": (2,), "MaxUnpool2d": (2,), "ModuleDict": (), "MultiheadAttention": (8, 2), "PixelShuffle": (2,),
    "PixelUnshuffle": (2,), "PReLU": (3,), "ReflectionPad1d": (1,), "ReflectionPad2d": (1,), "ReflectionPad3d": (1,),
    "ReplicationPad1d": (1,), "ReplicationPad2d": (1,), "ReplicationPad3d": (1,), "RMSNorm": (4,), "RNN": (3, 4),
    "RNNCell": (3, 4), "Softmax": (1,), "Softmin": (1,), "LogSoftmax": (1,),
    "Threshold": (0.1, 2.0), "Transformer": (8, 2, 1, 2, 12), "TransformerDecoderLayer": (8, 2, 12),
    "TransformerDecoder": lambda library: (library.TransformerDecoderLayer(8, 2, 12), 2),
    "TransformerEncoder": lambda library: (library.TransformerEncoderLayer(8, 2, 12), 2),
    "TransformerEncoderLayer": (8, 2, 12), "Unflatten": (1, (2, 2)), "Unfold": (2,), "Upsample": (None, 2.0),
    "ZeroPad1d": (1,),
    "UpsamplingBilinear2d": (None, 2), "UpsamplingNearest2d": (None, 2), "ZeroPad2d": (1,), "ZeroPad3d": (1,),
}  # fmt: skip
# PyTorch's names of inner layers: a linear layer of another class, a module for the distance.
PRINTED_OTHERWISE = {
    "MultiheadAttention", "TripletMarginWithDistanceLoss", "Transformer", "TransformerDecoder",
    "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer",
}  # fmt: skip
OURS = {"BedOfNailsUnpool2d", "HingeLoss", "MAPELoss", "MSLELoss", "RMSELoss"}  # PyTorch has none of these
BASES = {"Module", "RNNBase"}
LAYERS = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
SHARED = sorted(name for name in LAYERS - OURS - BASES if issubclass(getattr(nn, name), nn.Module))


def layer(library, name):
    arguments = ARGUMENTS.get(name, ())
    return getattr(library, name)(*(arguments(library) if callable(arguments) else arguments))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch's advice on its own fast path
@pytest.mark.parametrize("name", SHARED)
def test_states_go_both_ways(name):
    mine, theirs = layer(nn, name), layer(torch.nn, name)
    state, expected = mine.state_dict(), theirs.state_dict()
    assert [(k, v.shape) for k, v in state.items()] == [(k, tuple(v.shape)) for k, v in expected.items()]
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in mine.named_buffers()] == [n for n, _ in theirs.named_buffers()]
    assert mine.load_state_dict({k: fastdl.from_dlpack(v) for k, v in expected.items()}) == ([], [])
    for key, value in mine.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[key].numpy(), err_msg=key)
    fresh = layer(torch.nn, name)
    fresh.load_state_dict({k: torch.from_dlpack(v.detach()) for k, v in mine.state_dict().items()})
    for key, value in fresh.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[key].numpy(), err_msg=key)


@pytest.mark.parametrize("name", [name for name in SHARED if name not in PRINTED_OTHERWISE])
def test_layers_print_alike(name):
    assert repr(layer(nn, name)) == repr(layer(torch.nn, name))


def test_penalties_are_weight_decay_and_lasso():
    def trained(decay, penalty):
        fastdl.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimizer = fastdl.optim.SGD(layer.parameters(), lr=0.1, weight_decay=decay)
        for i in range(20):
            fastdl.manual_seed(i + 1)
            optimizer.zero_grad()
            loss = layer(fastdl.randn(4, 3)).square().mean()
            (loss + penalty(layer.parameters())).backward()
            optimizer.step()
        return layer.weight.detach().numpy()

    penalty = nn.utils.l2_penalty
    np.testing.assert_allclose(trained(0.3, lambda _: 0.0), trained(0.0, lambda w: penalty(w, 0.3)), rtol=1e-5)
    assert np.abs(trained(0.0, lambda w: nn.utils.l1_penalty(w, 0.5))).max() < 0.06  # about lr * strength of 0
    with pytest.raises(ValueError, match=r"\[l1_penalty\] expected strength of at least 0, got -1"):
        nn.utils.l1_penalty([nn.Parameter(fastdl.ones(1))], -1)
    with pytest.raises(ValueError, match=r"\[l2_penalty\] expected a parameter that requires a gradient, got none"):
        nn.utils.l2_penalty([fastdl.ones(1)], 1)
