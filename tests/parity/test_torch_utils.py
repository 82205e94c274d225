"""`utils.checkpoint`, weight norm and spectral norm against PyTorch."""

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.nn import utils
from fastdl.testing import assert_close
from fastdl.utils.checkpoint import checkpoint, checkpoint_sequential

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
RNG = np.random.default_rng(6)


def network():
    fastdl.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.4), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))


@pytest.mark.parametrize("run", [checkpoint, lambda net, x: checkpoint_sequential(net, 3, x)])
def test_a_checkpoint_changes_nothing(run):
    array, found = RNG.standard_normal((5, 4)).astype(np.float32), []
    for call in (lambda net, x: net(x), run):
        net, x = network(), fastdl.tensor(array, requires_grad=True)
        fastdl.manual_seed(7)
        out = call(net, x)
        out.square().sum().backward()
        found.append([out.detach(), x.grad, *(p.grad for p in net.parameters()), fastdl.rand(3)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_outputs_of_a_checkpoint_may_share_what_was_computed():
    def both(x):
        shared = (x * 0.5).exp()
        return shared * 2, shared.sin()

    array, found = RNG.standard_normal(3), []
    for call in (both, lambda x: checkpoint(both, x)):
        x = fastdl.tensor(array, requires_grad=True)
        a, b = call(x)
        (a.sum() + b.sum()).backward()
        found.append(x.grad.numpy())
    np.testing.assert_array_equal(*found)


def test_parameters_of_a_checkpoint_need_no_input_with_a_gradient():
    array, found = RNG.standard_normal((5, 4)).astype(np.float32), []
    for call in (lambda net, x: net(x), checkpoint, lambda net, x: checkpoint_sequential(net, 3, x)):
        net = network().eval()
        call(net, fastdl.tensor(array)).square().sum().backward()
        found.append([p.grad.numpy() for p in net.parameters()])
    for plain, once, parts in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, once)
        np.testing.assert_array_equal(plain, parts)


def test_checkpoints_of_several_tensors_and_options():
    x, y = (fastdl.tensor(RNG.standard_normal(3), requires_grad=True) for _ in range(2))
    a, b = checkpoint(lambda p, q, scale, power=1: (p * q * scale, q**power), x, y, 2.0, power=3)
    (a.sum() + (2 * b).sum()).backward()
    assert_close(x.grad, 2 * y.detach().numpy(), 4)
    assert_close(y.grad, 2 * x.detach().numpy() + 6 * y.detach().numpy() ** 2, 16)
    with fastdl.no_grad():
        assert not checkpoint(lambda v: v * 2, x).requires_grad
    with pytest.raises(TypeError, match=r"\[checkpoint\] expected a function, got int"):
        checkpoint(3, x)
    with pytest.raises(ValueError, match=r"\[checkpoint_sequential\] expected segments from 1 to 6, got 7"):
        checkpoint_sequential(network(), 7, x)


LAYERS = {
    "linear": (lambda k: k.Linear(4, 3), (5, 4)), "conv": (lambda k: k.Conv2d(2, 3, 3), (2, 2, 5, 5)),
    "transposed": (lambda k: k.ConvTranspose2d(2, 3, 2), (2, 2, 3, 3)),
}  # fmt: skip


def assert_agree(mine, other, array):
    assert sorted(mine.state_dict()) == sorted(other.state_dict())
    mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    for _ in range(3):
        mine.zero_grad()
        other.zero_grad()
        found, expected = mine(fastdl.tensor(array)), other(torch.tensor(array))
        assert_close(found.detach(), expected.detach().numpy(), 256)
        found.square().sum().backward()
        expected.square().sum().backward()
        theirs = dict(other.named_parameters())
        for name, p in mine.named_parameters():
            assert_close(p.grad, theirs[name].grad.numpy(), 4096)
    for name, value in other.state_dict().items():
        assert_close(mine.state_dict()[name], value.numpy(), 256)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("name", LAYERS)
def test_weight_norm(name, dim):
    make, shape = LAYERS[name]
    mine = utils.weight_norm(make(nn).double(), dim=dim)
    other = torch.nn.utils.weight_norm(make(torch.nn).double(), dim=dim)
    array = RNG.standard_normal(shape)
    assert_agree(mine, other, array)
    before = mine(fastdl.tensor(array)).detach()
    utils.remove_weight_norm(mine)
    assert sorted(mine.state_dict()) == ["bias", "weight"] and isinstance(mine.weight, nn.Parameter)
    np.testing.assert_array_equal(mine(fastdl.tensor(array)).detach().numpy(), before.numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm(name):
    make, shape = LAYERS[name]
    mine, other = make(nn).double(), make(torch.nn).double()
    mine, other = utils.spectral_norm(mine), torch.nn.utils.spectral_norm(other)
    array = RNG.standard_normal(shape)
    assert_agree(mine, other, array)
    mine.eval()
    other.eval()
    assert_close(mine(fastdl.tensor(array)).detach(), other(torch.tensor(array)).detach().numpy(), 256)
    utils.remove_spectral_norm(mine)
    assert sorted(mine.state_dict()) == ["bias", "weight"]
    with pytest.raises(ValueError, match=r"\[remove_spectral_norm\] expected a module with spectral_norm of 'weight'"):
        utils.remove_spectral_norm(mine)
    with pytest.raises(ValueError, match=r"\[weight_norm\] expected a module with a parameter 'other', got"):
        utils.weight_norm(mine, "other")
