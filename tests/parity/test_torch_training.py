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
    ("RMSprop", {"lr": 0.001}),
    ("RMSprop", {"lr": 0.001, "momentum": 0.9, "centered": True, "weight_decay": 0.01}),
    ("RMSprop", {"lr": 0.0001, "alpha": 0.9, "maximize": True}),
    ("Adagrad", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.02, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.01}),
    ("Adagrad", {"lr": 0.01, "eps": 1e-3, "maximize": True}),
    ("Adadelta", {"lr": 1.0, "rho": 0.8, "eps": 1e-5, "maximize": True}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "betas": (0.8, 0.95), "eps": 1e-4}),
    ("Adamax", {"lr": 0.01}),
    ("Adamax", {"lr": 0.005, "weight_decay": 0.1, "betas": (0.8, 0.99)}),
    ("NAdam", {"lr": 0.01}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "momentum_decay": 0.01, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9)}),
    ("RAdam", {"lr": 0.001, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Rprop", {"lr": 0.001}),
    ("Rprop", {"lr": 0.002, "etas": (0.4, 1.3), "step_sizes": (1e-5, 0.01)}),
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


SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [9, 2, 9, 14], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 4}),
    ("PolynomialLR", {"total_iters": 12, "power": 1.7}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.95}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6, "mode": "exp_range", "gamma": 0.9}),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 0.9, "total_iters": 7}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 25}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 4, "steps_per_epoch": 6, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 22, "anneal_strategy": "linear", "cycle_momentum": False}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedules(name, options):
    def rates(optimizer, scheduler):
        result = []
        for _ in range(options.get("total_steps", 24 if "epochs" in options else 50)):
            result += [scheduler.get_last_lr()[0], optimizer.param_groups[0]["momentum"]]
            optimizer.step()
            scheduler.step()
        return result

    mine = optim.SGD([nn.Parameter(fastdl.ones(1))], lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9)
    np.testing.assert_allclose(
        rates(mine, getattr(optim.lr_scheduler, name)(mine, **options)),
        rates(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **options)),
        rtol=1e-9,
    )


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_schedules_in_sequence_and_after_a_resume():
    def schedule(kit, optimizer):
        warm_up = kit.LinearLR(optimizer, 0.1, total_iters=4)
        parts = [warm_up, kit.StepLR(optimizer, 2), kit.ExponentialLR(optimizer, 0.9)]
        return kit.SequentialLR(optimizer, parts, milestones=[4, 9])

    mine = optim.SGD([nn.Parameter(fastdl.ones(1))], lr=0.1)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    ours, expected = schedule(optim.lr_scheduler, mine), schedule(torch.optim.lr_scheduler, theirs)
    for i in range(14):
        assert mine.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        if i == 6:  # go on with a new schedule that takes over the state
            saved, ours = ours.state_dict(), schedule(optim.lr_scheduler, mine)
            ours.load_state_dict(saved)
        mine.step(), theirs.step(), ours.step(), expected.step()


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "max", "cooldown": 2, "patience": 1}, {"threshold_mode": "abs", "threshold": 0.3, "min_lr": 0.02}],
)
def test_plateaus(options):
    options = {"patience": 2, "factor": 0.5, **options}
    mine = optim.SGD([nn.Parameter(fastdl.ones(1))], lr=0.1)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    ours = optim.lr_scheduler.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for figure in np.random.default_rng(0).standard_normal(40):
        ours.step(fastdl.tensor(figure))
        expected.step(figure)
        assert mine.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    for key in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "min_lrs"):
        assert ours.state_dict()[key] == expected.state_dict()[key]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clipping(norm_type, max_norm):
    rng = np.random.default_rng(0)
    shapes = [(40, 33), (7,), ()]
    mine = [nn.Parameter(fastdl.zeros(s, dtype="float64")) for s in shapes]
    theirs = [torch.nn.Parameter(torch.zeros(s, dtype=torch.float64)) for s in shapes]
    for a, b in zip(mine, theirs, strict=True):
        g = rng.standard_normal(a.shape)
        a.grad, b.grad = fastdl.tensor(g), torch.tensor(g)
    total = nn.utils.clip_grad_norm_(mine, max_norm, norm_type)
    assert total.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item(), rel=1e-12)
    nn.utils.clip_grad_value_(mine, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_both_devices_agree_with_torch(device):
    mine, theirs = twins()
    mine = mine.to(device)
    x = np.random.default_rng(0).standard_normal((3, 1, 12, 12))
    out = mine(fastdl.tensor(x, device=device))
    np.testing.assert_allclose(
        out.detach().cpu().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_averaged_models(kind):
    def run(kit, numbers, utils):
        net = kit.Sequential(kit.Linear(3, 2), kit.BatchNorm1d(2)).double()
        with numbers.no_grad():
            for p in net.parameters():
                p.fill_(0.5)
        average = utils.AveragedModel(net, avg_fn=utils.get_ema_avg_fn(0.9) if kind == "ema" else None)
        rate = utils.SWALR(kit_optimizer(kit, net), swa_lr=0.02, anneal_epochs=3)
        for i in range(6):
            with numbers.no_grad():
                for p in net.parameters():
                    p.add_(0.1 * (i + 1))
            net(numbers.tensor(np.random.default_rng(i).standard_normal((4, 3))))
            average.update_parameters(net)
            rate.optimizer.step()
            rate.step()
        batches = [numbers.tensor(np.random.default_rng(i).standard_normal((4, 3))) for i in range(3)]
        utils.update_bn(batches, average)
        return {k: v.numpy() for k, v in average.state_dict().items()}, rate.get_last_lr()

    def kit_optimizer(kit, net):
        return (optim if kit is nn else torch.optim).SGD(net.parameters(), lr=0.1)

    mine, rate = run(nn, fastdl, optim.swa_utils)
    theirs, expected = run(torch.nn, torch, torch.optim.swa_utils)
    assert rate == pytest.approx(expected, rel=1e-9) and mine.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_allclose(mine[key], value, rtol=1e-6, err_msg=key)


def test_schedules_at_once():
    def rates(kit, optimizer):
        parts = [kit.ConstantLR(optimizer, 0.1, 3), kit.ExponentialLR(optimizer, 0.9), kit.StepLR(optimizer, 4)]
        schedule, result = kit.ChainedScheduler(parts), []
        for _ in range(50):
            result.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return result

    mine = optim.SGD([nn.Parameter(fastdl.ones(1))], lr=0.1)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    np.testing.assert_allclose(rates(optim.lr_scheduler, mine), rates(torch.optim.lr_scheduler, theirs), rtol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_states_pass_between_the_libraries(name):
    """A training that PyTorch began goes on here: group options, states and their steps."""
    options = {"lr": 0.05, "momentum": 0.9} if name == "SGD" else {"lr": 0.05}
    theirs = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    their_step = getattr(torch.optim, name)([theirs], **options)

    def step(p, optimizer):
        optimizer.zero_grad()
        (p**4).sum().backward()
        optimizer.step()

    for _ in range(5):
        step(theirs, their_step)
    mine = nn.Parameter(fastdl.tensor(theirs.detach().numpy()))
    my_step = getattr(optim, name)([mine], **options)
    my_step.load_state_dict(their_step.state_dict())
    my_step.add_param_group({"params": [nn.Parameter(fastdl.ones(1))], "lr": 0.5})
    for _ in range(5):
        step(theirs, their_step)
        step(mine, my_step)
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-9)
    own = my_step.state_dict()["state"][0]
    assert set(own) == set(their_step.state_dict()["state"][0])


def test_every_optimizer_and_schedule_is_compared():
    """Those with tests of their own apart: rows alone, a closure, a figure, schedules of schedules."""
    own = {"Optimizer", "SparseAdam", "LBFGS"}
    kinds = {name for name in optim.__all__ if isinstance(getattr(optim, name), type)}
    assert kinds - own == {name for name, _ in OPTIMIZERS}
    own = {"LRScheduler", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"}
    kinds = {name for name in optim.lr_scheduler.__all__ if isinstance(getattr(optim.lr_scheduler, name), type)}
    assert kinds - own == {name for name, _ in SCHEDULES}
