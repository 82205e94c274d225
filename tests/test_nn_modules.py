"""Layers, containers, hooks and functions beyond tests/test_nn.py: gradients by differences, behaviour, errors."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import nn
from fastdl.testing import gradcheck


def leaf(*shape, seed=0):
    return fastdl.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


FUNCTIONS = {
    "celu": F.celu,
    "mish": F.mish,
    "glu": lambda x: F.glu(x, 1),
    "softshrink": F.softshrink,
    "group_norm": lambda x: F.group_norm(x, 2),
    "instance_norm": lambda x: F.instance_norm(x),
    "rms_norm": lambda x: F.rms_norm(x, (6,)),
    "normalize": lambda x: F.normalize(x, dim=2),
    "unfold": lambda x: F.unfold(x.reshape(2, 1, 4, 6), 2, stride=2),
    "fold": lambda x: F.fold(x, (3, 4), 2),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "gaussian_nll": lambda x: F.gaussian_nll_loss(x, x * 0.5, x * x + 0.1),
    "multilabel": lambda x: F.multilabel_soft_margin_loss(x, (x > 0).double()),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name):
    gradcheck(FUNCTIONS[name], [leaf(2, 4, 6)])


def test_bilinear_gradients():
    gradcheck(F.bilinear, [leaf(3, 2), leaf(3, 4, seed=1), leaf(5, 2, 4, seed=2), leaf(5, seed=3)])


def test_dropout_of_channels():
    fastdl.manual_seed(0)
    out = nn.Dropout2d(0.5)(fastdl.ones(50, 40, 3, 3)).reshape(2000, 9)
    assert set(out.flatten().tolist()) == {0.0, 2.0} and (out.amax(1) == out.amin(1)).all()
    assert abs(out.mean().item() - 1) < 0.08
    x = fastdl.randn(200, 200)
    kept = nn.AlphaDropout(0.3)(x)
    assert abs(kept.mean().item()) < 0.03 and abs(kept.std().item() - 1) < 0.03
    layer = nn.Dropout1d(0.9).eval()
    assert layer(x) is x
    gradcheck(lambda x: seeded(lambda: F.dropout2d(x, 0.5)), [leaf(2, 3, 2, 2)])


def seeded(function):
    fastdl.manual_seed(1)
    return function()


def test_gumbel_softmax_draws_by_probability():
    fastdl.manual_seed(0)
    logits = fastdl.tensor([1.0, 3.0]).log().expand(3000, 2)
    drawn = F.gumbel_softmax(logits, hard=True)
    assert abs(drawn[:, 1].mean().item() - 0.75) < 0.03
    x = fastdl.zeros(4, 3, requires_grad=True)
    F.gumbel_softmax(x, hard=True)[:, 0].sum().backward()
    assert x.grad.abs().sum().item() > 0


def test_module_dict_and_parameter_containers():
    parts = nn.ModuleDict({"a": nn.Linear(2, 2)})
    parts["b"] = nn.ReLU()
    parts.update([("c", nn.Tanh())])
    assert list(parts.keys()) == ["a", "b", "c"] and len(parts) == 3 and parts.pop("b") is not parts["c"]
    del parts["c"]
    assert "c" not in parts and [type(m).__name__ for m in parts.values()] == ["Linear"]
    weights = nn.ParameterList([fastdl.ones(1)])
    weights += [fastdl.zeros(2)]
    weights[0] = fastdl.full((1,), 3.0)
    assert [p.tolist() for p in weights] == [[3.0], [0.0, 0.0]] and len(weights[:1]) == 1
    assert repr(nn.ParameterList([fastdl.ones(2, 3)])) == (
        "ParameterList(\n    (0): Parameter containing: [fastdl.float32 of size 2x3]\n)"
    )
    with pytest.raises(IndexError, match=r"\[ParameterList\] expected an index in \[-2, 1\], got 2"):
        weights[2]
    with pytest.raises(TypeError, match=r"\[ParameterDict\] expected a Parameter or a Tensor, got int"):
        nn.ParameterDict({"x": 1})


def test_hooks_with_keywords_and_order():
    class Scale(nn.Module):
        def forward(self, x, by=1.0):
            return x * by

    layer, order = Scale(), []
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": 3.0}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, out: order.append("second"))
    first = layer.register_forward_hook(lambda m, args, out: order.append("first"), prepend=True)
    assert layer(fastdl.ones(1), by=2.0).item() == 3.0 and order == ["first", "second"]
    first.remove()
    layer(fastdl.ones(1))
    assert order == ["first", "second", "second"]


def test_backward_hook_without_inputs_that_need_gradients():
    layer, seen = nn.Linear(2, 1), []
    handle = layer.register_full_backward_hook(lambda m, i, o: seen.append((i, o[0].tolist())))
    layer(fastdl.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])] and layer.weight.grad.tolist() == [[1.0, 1.0]]
    handle.remove()
    layer(fastdl.ones(1, 2)).sum().backward()
    assert len(seen) == 1


def test_names_and_replacement():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    assert net.get_buffer("0.running_mean").shape == (3,)
    net.set_submodule("1", nn.Linear(3, 5))
    assert net[1].out_features == 5
    state = net.state_dict(keep_vars=True)
    assert state["1.weight"] is net[1].weight
    shared = nn.ReLU()
    both = nn.Sequential(shared, shared)
    assert len(list(both.named_modules())) == 2 and len(list(both.named_modules(remove_duplicate=False))) == 3
    with pytest.raises(AttributeError, match=r"\[get_buffer\] expected a buffer named '1.weight'"):
        net.get_buffer("1.weight")


def test_sparse_initialisation():
    w = nn.init.sparse_(fastdl.empty(10, 4), 0.3, std=1.0)
    assert ((w == 0).long().sum(0) == 3).all()


@pytest.mark.parametrize(
    "call,error,message",
    [
        (lambda: F.glu(fastdl.ones(3)), ValueError, r"\[glu\] expected an even number"),
        (lambda: F.celu(fastdl.ones(3), 0), ValueError, r"\[celu\] expected alpha above 0"),
        (lambda: F.group_norm(fastdl.ones(2, 3), 2), ValueError, r"\[group_norm\] expected num_groups that divides"),
        (lambda: F.rms_norm(fastdl.ones(2, 3), (2,)), ValueError, r"\[rms_norm\] expected input that ends in"),
        (lambda: nn.GroupNorm(2, 3), ValueError, r"\[GroupNorm\] expected num_groups that divides"),
        (lambda: nn.MultiheadAttention(5, 2), ValueError, r"\[MultiheadAttention\] expected embed_dim as a multiple"),
        (lambda: nn.ZeroPad2d((1, 2)), ValueError, r"\[ZeroPad2d\] expected 4 numbers for padding, got 2"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(fastdl.ones(1, 2, 4, 4)), ValueError, r"input with 3 channels"),
        (lambda: F.fold(fastdl.ones(1, 2, 3), (2, 2), 2), ValueError, r"\[fold\] expected input \(N, C \* 4, 1\)"),
        (lambda: F.unfold(fastdl.ones(1, 1, 2, 2), 3), ValueError, r"\[unfold\] expected windows that fit"),
        (
            lambda: F.gaussian_nll_loss(*[fastdl.ones(2)] * 2, -fastdl.ones(2)),
            ValueError,
            r"expected var of at least 0",
        ),
        (lambda: F.margin_ranking_loss(1, fastdl.ones(1), fastdl.ones(1)), TypeError, r"expected a Tensor for input1"),
        (lambda: F.bilinear(*[fastdl.ones(2)] * 2, fastdl.ones(1, 3, 2)), ValueError, r"\[bilinear\] expected inputs"),
        (lambda: F.pdist(fastdl.ones(2)), ValueError, r"\[pdist\] expected a matrix"),
        (lambda: F.dropout2d(fastdl.ones(2)), ValueError, r"\[dropout2d\] expected input with 3 or 4 dimensions"),
        (lambda: nn.init.eye_(fastdl.ones(2)), ValueError, r"\[eye_\] expected a matrix"),
        (lambda: nn.init.dirac_(fastdl.ones(2, 2)), ValueError, r"\[dirac_\] expected a tensor with 3, 4 or 5"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
