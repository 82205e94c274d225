"""Layers, state dicts and optimizers against PyTorch: the same numbers step by step."""

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def networks(kit):
    return kit.Sequential(
        kit.Conv2d(1, 8, 3), kit.ReLU(), kit.MaxPool2d(2), kit.Conv2d(8, 6, 3, padding=1), kit.Tanh(), kit.Flatten(),
        kit.Linear(6 * 5 * 5, 10),
    )  # fmt: skip


def twins():
    """The same network twice, with equal weights in float64."""
    theirs = networks(torch.nn).double()
    mine = networks(nn).to(fastdl.float64)
    mine.load_state_dict({name: fastdl.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    return mine, theirs


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.001, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.001, "maximize": True, "betas": (0.8, 0.99)}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_fifty_steps_stay_together(name, options):
    mine, theirs = twins()
    my_step = getattr(optim, name)(mine.parameters(), **options)
    their_step = getattr(torch.optim, name)(theirs.parameters(), **options)
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.standard_normal((4, 1, 12, 12)), rng.integers(0, 10, 4)
        my_step.zero_grad()
        loss = nn.CrossEntropyLoss()(mine(fastdl.tensor(x)), fastdl.tensor(y))
        loss.backward()
        my_step.step()
        their_step.zero_grad()
        expected = torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(y))
        expected.backward()
        their_step.step()
        assert abs(loss.item() - expected.item()) <= 1e-6 * max(1.0, abs(expected.item()))
    for (name, a), b in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6, atol=1e-6, err_msg=name)


def test_state_dicts_have_torch_names_and_shapes():
    mine, theirs = networks(nn), networks(torch.nn)
    assert {k: tuple(v.shape) for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in mine.state_dict().items()})


def test_layers_print_as_in_torch():
    assert repr(networks(nn)) == repr(networks(torch.nn))


@pytest.mark.parametrize(
    ("name", "options"),
    [("StepLR", {"step_size": 3, "gamma": 0.5}), ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01})],
)
def test_schedules(name, options):
    def rates(optimizer, scheduler):
        result = []
        for _ in range(20):
            result.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        return result

    mine = optim.SGD([nn.Parameter(fastdl.ones(1))], lr=0.1)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    np.testing.assert_allclose(
        rates(mine, getattr(optim.lr_scheduler, name)(mine, **options)),
        rates(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **options)),
        rtol=1e-9,
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_both_devices_agree_with_torch(device):
    mine, theirs = twins()
    mine = mine.to(device)
    x = np.random.default_rng(0).standard_normal((3, 1, 12, 12))
    out = mine(fastdl.tensor(x, device=device))
    np.testing.assert_allclose(
        out.detach().cpu().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10, atol=1e-10
    )
