"""Modules: registration, state, modes, hooks, printing, initial values; functions whose rules are not one kernel."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import fastdl
from fastdl import functional as F
from fastdl import nn
from fastdl.testing import assert_close, gradcheck


def small():
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))


def tensor64(*shape, seed=0):
    return fastdl.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


# ---- registration ----------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(fastdl.ones(1))
        self.body = nn.Linear(2, 2)
        self.register_buffer("count", fastdl.zeros(1))
        self.register_buffer("scratch", fastdl.zeros(1), persistent=False)

    def forward(self, x):
        return self.body(x) * self.scale


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "body.weight", "body.bias"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "body"]
    assert list(net.state_dict()) == ["scale", "count", "body.weight", "body.bias"]
    assert net.get_submodule("body") is net.body and net.get_parameter("body.bias") is net.body.bias
    assert "scale" in dir(net)


def test_shared_parameters_are_listed_once_and_saved_twice():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 1 and list(net.state_dict()) == ["0.weight", "1.weight"]


def test_assignment():
    net = Net()
    net.body = nn.Identity()
    assert [n for n, _ in net.named_parameters()] == ["scale"]
    net.scale = None
    assert net.scale is None and not list(net.parameters())
    with pytest.raises(TypeError, match=r"^\[Net\] expected a Parameter or None for scale, got Tensor$"):
        net.scale = fastdl.ones(1)
    net.scale = nn.Tanh()
    assert isinstance(net.scale, nn.Tanh) and "scale" not in net.state_dict() and not list(net.parameters())
    del net.body
    with pytest.raises(AttributeError, match="no attribute 'body'"):
        net.body  # noqa: B018 (reading it is the test)


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(fastdl.ones(1))

    with pytest.raises(AttributeError, match=r"expected super\(\).__init__\(\) first"):
        Early()


@pytest.mark.parametrize("name,error", [("a.b", KeyError), ("", KeyError), ("forward", KeyError), (3, TypeError)])
def test_bad_names(name, error):
    with pytest.raises(error, match=r"\[Module\] expected a"):
        nn.Module().register_buffer(name, fastdl.ones(1))


def test_no_forward():
    with pytest.raises(NotImplementedError, match=r"^\[Module\] expected a forward method, got none$"):
        nn.Module()(1)


# ---- state -----------------------------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    a, b = small(), small()
    assert repr(b.load_state_dict(a.state_dict())) == "<All keys matched successfully>"
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert fastdl.equal(p, q) and p is not q


def test_state_dict_shares_memory():
    layer = nn.Linear(2, 2)
    layer.state_dict()["bias"].fill_(7)
    assert layer.bias.tolist() == [7.0, 7.0]


def test_load_reports_like_pytorch():
    net = small()
    before = net[0].weight.tolist()
    state = {**net.state_dict(), "extra": fastdl.ones(1), "0.weight": fastdl.ones(2, 2)}
    del state["0.bias"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Sequential:\n\tMissing key(s) in state_dict: "0.bias". \n\t'
        'Unexpected key(s) in state_dict: "extra". \n\tsize mismatch for 0.weight: copying a param with shape (2, 2) '
        "from checkpoint, the shape in current model is (2, 1, 3, 3)."
    )
    assert net[0].weight.tolist() == before
    del state["0.weight"]
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["0.weight", "0.bias"] and keys.unexpected_keys == ["extra"]


def test_load_casts_and_accepts_numpy():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert layer.weight.dtype is fastdl.float32 and layer.weight.tolist() == [[1.0, 2.0]]
    with pytest.raises(TypeError, match=r"^\[load_state_dict\] expected a mapping for state_dict, got list$"):
        layer.load_state_dict([])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(duplicate):
    net = small()
    other = duplicate(net)
    x = fastdl.rand(2, 1, 4, 4)
    assert fastdl.equal(net(x), other(x))
    with fastdl.no_grad():
        other[0].weight.zero_()
    assert net[0].weight.detach().abs().sum().item() > 0


# ---- modes, devices, gradients ---------------------------------------------------------------------------------------


def test_train_and_eval():
    net = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    assert net.eval() is net and not net[1][0].training
    x = fastdl.ones(8)
    assert net(x) is x
    assert net.train()[1][0].training
    with pytest.raises(ValueError, match=r"^\[train\] expected mode of type bool, got int$"):
        net.train(1)


def test_to_keeps_parameters():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    assert layer.double() is layer and layer.weight is weight and weight.dtype is fastdl.float64
    layer.to("reference", fastdl.float32)
    assert weight.device == "reference" and layer(fastdl.ones(1, 2, device="reference")).device == "reference"
    with pytest.raises(TypeError, match=r"^\[to\] expected dtype float32 or float64 for a module, got fastdl.int64$"):
        layer.to(fastdl.int64)


def test_to_leaves_integer_buffers_alone():
    net = nn.Identity()
    net.register_buffer("count", fastdl.tensor([2**40 + 1]))
    assert net.double().count.tolist() == [2**40 + 1] and net.count.dtype is fastdl.int64


def test_zero_grad_and_requires_grad():
    layer = nn.Linear(2, 1)
    layer(fastdl.ones(1, 2)).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    assert layer.weight.grad is None
    assert not layer.requires_grad_(False)(fastdl.ones(1, 2)).requires_grad


def test_apply_visits_inner_modules_first():
    seen = []
    small().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Conv2d", "ReLU", "Flatten", "Linear", "Sequential"]


def test_hooks():
    net, seen = nn.Identity(), []
    before = net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    after = net.register_forward_hook(lambda m, args, out: seen.append(args[0].item()) or out * 10)
    assert net(fastdl.ones(1)).item() == 20.0 and seen == [2.0]
    before.remove()
    after.remove()
    assert net(fastdl.ones(1)).item() == 1.0


# ---- containers ------------------------------------------------------------------------------------------------------


def test_sequential():
    net = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Linear(2, 2)))
    assert net.second is net[1] and net[-1] is net[1] and list(net[:1].state_dict()) == []
    assert [n for n, _ in net[1:].named_parameters()] == ["second.weight", "second.bias"]
    net = nn.Sequential(nn.ReLU(), nn.Tanh()).append(nn.Sigmoid())
    del net[0]
    assert [n for n, _ in net.named_children()] == ["0", "1"] and len(net) == 2
    with pytest.raises(IndexError, match=r"^\[Sequential\] expected an index in \[-2, 1\], got 2$"):
        net[2]
    with pytest.raises(TypeError, match=r"^\[add_module\] expected a Module or None for 0, got int$"):
        nn.Sequential(3)


def test_module_list():
    layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    assert [type(m).__name__ for m in layers] == ["Tanh", "Linear", "Linear", "ReLU"]
    assert list(layers.state_dict()) == ["1.weight", "1.bias", "2.weight", "2.bias"]


def test_repr():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding="same", bias=False), nn.ModuleList([nn.ReLU(), nn.ReLU(True)]))
    assert repr(net) == (
        "Sequential(\n  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=same, bias=False)\n"
        "  (1): ModuleList(\n    (0): ReLU()\n    (1): ReLU(inplace=True)\n  )\n)"
    )


# ---- layers ----------------------------------------------------------------------------------------------------------

BAD_LAYERS = [
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), ValueError, "[Conv2d] expected padding_mode zeros, reflect, "),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"),
        ValueError,
        "[ConvTranspose2d] expected padding_mode zeros, got 'reflect'",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 2, 2)(fastdl.ones(1, 1, 2, 2), (3, 4)),
        ValueError,
        "[ConvTranspose2d] expected output_size between 4 and 5, got 3",
    ),
    (lambda: nn.Conv1d(1, 1, (3, 3)), TypeError, "[Conv1d] expected an int for kernel_size, got (3, 3)"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "[Conv2d] expected in_channels that 2 groups divide, got 3"),
    (lambda: nn.Conv2d(1, 1, 3, 2, "same"), ValueError, "[Conv2d] expected stride 1 with padding='same', got (2, 2)"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "[Conv2d] expected padding 'same', 'valid' or numbers"),
    (lambda: nn.Conv2d(1, 1, "3"), TypeError, "[Conv2d] expected an int or two for kernel_size, got '3'"),
    (lambda: nn.Linear(2.0, 1), TypeError, "[Linear] expected an int for in_features, got float"),
    (lambda: nn.Linear(-1, 1), ValueError, "[Linear] expected in_features of at least 0, got -1"),
    (lambda: nn.Dropout(1.5), ValueError, "[Dropout] expected p between 0 and 1, got 1.5"),
    (
        lambda: nn.CrossEntropyLoss(reduction="avg"),
        ValueError,
        "[CrossEntropyLoss] expected reduction none, mean or sum",
    ),
    (lambda: nn.Linear(2, 1)(None), TypeError, "[linear] expected a Tensor for input, got NoneType"),
    (lambda: F.softmax(fastdl.ones(2), None), TypeError, "[softmax] expected an int for dim, got NoneType"),
    (lambda: F.conv2d(fastdl.ones(2), fastdl.ones(2)), ValueError, "[conv2d] expected input with 3 or 4 dimensions"),
    (
        lambda: F.pad(fastdl.ones(2), (1, 1), "mirror"),
        ValueError,
        "[pad] expected mode constant, reflect, replicate or",
    ),
    (
        lambda: F.pad(fastdl.ones(2), (1, 1), "reflect"),
        NotImplementedError,
        "[pad] expected pad of the last 1 to 3 axes",
    ),
    (
        lambda: F.pad(fastdl.ones(1, 2), (2, 0), "reflect"),
        ValueError,
        "[pad] expected at least 3 elements on axis 1 for mode 'reflect', got 2",
    ),
    (lambda: F.pad(fastdl.ones(2), (-3, 0)), ValueError, "[pad] expected to cut off at most what shape (2,) has"),
    (lambda: F.one_hot(fastdl.tensor([3]), 3), IndexError, "[one_hot] expected class indices in [0, 3), got 3"),
    (
        lambda: F.nll_loss(fastdl.ones(1, 2), fastdl.tensor([2])),
        IndexError,
        "[nll_loss] expected class indices in [0, 2), got 2",
    ),
    (
        lambda: F.linear(fastdl.ones(1, 2), fastdl.ones(1, 2, device="reference")),
        ValueError,
        "[linear] expected tensors on one device, got cpu and reference",
    ),
]


@pytest.mark.parametrize("call,error,message", BAD_LAYERS, ids=range(len(BAD_LAYERS)))
def test_bad_layers(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error and str(caught.value).startswith(message)


def test_initial_values():
    fastdl.manual_seed(0)
    a = nn.Linear(100, 400)
    fastdl.manual_seed(0)
    assert fastdl.equal(a.weight, nn.Linear(100, 400).weight)
    for values in (a.weight, a.bias):
        assert 0.095 < values.detach().abs().max().item() <= 0.1  # uniform within 1 / sqrt(fan_in)
    q = nn.init.orthogonal_(fastdl.empty(8, 3, 2, 2)).reshape(8, 12)
    assert_close((q @ q.t()).numpy(), np.eye(8, dtype=np.float32))
    t = nn.init.trunc_normal_(fastdl.empty(1000), std=2.0, a=-1.0, b=1.0)
    assert t.abs().max().item() <= 1


def test_relu_inplace():
    x = fastdl.tensor([-1.0, 1.0])
    assert F.relu(x, inplace=True) is x and x.tolist() == [0.0, 1.0]
    leaf = fastdl.tensor([-1.0, 2.0], requires_grad=True)
    y = leaf * leaf * leaf
    F.relu(y, inplace=True).sum().backward()
    assert y.tolist() == [0.0, 8.0] and leaf.grad.tolist() == [0.0, 12.0]
    with pytest.raises(RuntimeError, match=r"^\[relu\] expected an input inside the graph for inplace"):
        F.relu(leaf, inplace=True)


def test_backward_computes_only_what_is_needed(monkeypatch):
    x, w = fastdl.ones(1, 1, 4, 4, device="reference"), fastdl.ones(1, 1, 3, 3, device="reference", requires_grad=True)

    def unwanted(*_):
        raise AssertionError("the input needs no gradient")

    monkeypatch.setattr(x._backend, "conv2d_bwd_input", unwanted)
    F.conv2d(x, w).sum().backward()
    assert w.grad.shape == w.shape


@pytest.mark.parametrize("padding", [(1, 2), (0, 1, -1, 2), (-1, -1, 0, 0, 1, 0)])
def test_pad_gradient(padding):
    assert gradcheck(lambda x: F.pad(x, padding, value=3.0), tensor64(2, 3, 4))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_loss_gradients(reduction):
    target, weight = fastdl.tensor([0, 2, -100]), fastdl.tensor([0.5, 1.0, 2.0], dtype="float64")
    x = tensor64(3, 3)
    assert gradcheck(lambda x: F.nll_loss(x, target, weight, reduction=reduction), x)
    assert gradcheck(lambda x: F.cross_entropy(x, target, weight, reduction=reduction, label_smoothing=0.1), x)
    assert gradcheck(lambda x, t: F.mse_loss(x, t, reduction=reduction), [x, tensor64(3, 3, seed=1)])
    probabilities = F.softmax(tensor64(3, 3, seed=2).detach(), 1).requires_grad_()
    assert gradcheck(lambda x, t: F.cross_entropy(x, t, weight, reduction=reduction), [x, probabilities])


def test_nll_loss_ignores_infinities_of_other_classes():
    x = fastdl.tensor([[0.0, -np.inf]], requires_grad=True)
    loss = F.nll_loss(x, fastdl.tensor([0]))
    loss.backward()
    assert loss.item() == 0.0 and x.grad.tolist() == [[-1.0, 0.0]]


def test_empty_batches():
    net = small()
    out = net(fastdl.zeros(0, 1, 4, 4))
    out.sum().backward()
    assert out.shape == (0, 3) and net[0].weight.grad.abs().sum().item() == 0


# ---- summary ---------------------------------------------------------------------------------------------------------


def test_summary():
    net = small()
    net[3].requires_grad_(False)
    found = fastdl.summary(net, (1, 4, 4))
    assert [(r.name, r.type, r.output_shape, r.params) for r in found.rows] == [
        ("0", "Conv2d", (None, 2, 4, 4), 20),
        ("1", "ReLU", (None, 2, 4, 4), 0),
        ("2", "Flatten", (None, 32), 0),
        ("3", "Linear", (None, 3), 99),
    ]
    assert (found.total_params, found.trainable_params) == (119, 20)
    lines = str(found).splitlines()
    assert lines[2].split() == ["Layer", "(type)", "Output", "Shape", "Param", "#"]
    assert "Total params: 119 (476.00 B)" in lines and "Non-trainable params: 99 (396.00 B)" in lines
    assert net.training and not net[0]._forward_hooks
