"""Optimizers: updates against the formulas, groups, state in PyTorch's layout, errors."""

import numpy as np
import pytest

import fastdl
from fastdl import optim


def leaf(*values, dtype="float64", device="cpu"):
    return fastdl.tensor(values, dtype=dtype, device=device, requires_grad=True)


def steps(optimizer, params, n):
    for _ in range(n):
        optimizer.zero_grad()
        sum((p * p * p).sum() for p in params).backward()
        optimizer.step()


def test_sgd_formula():
    p = leaf(1.0, 2.0)
    opt = optim.SGD([p], lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01)
    x, b = np.array([1.0, 2.0]), None
    for _ in range(3):
        g = 3 * x * x + 0.01 * x
        b = g if b is None else 0.9 * b + 0.5 * g
        x = x - 0.1 * b
    steps(opt, [p], 3)
    assert p.detach().numpy() == pytest.approx(x, rel=1e-14)


def test_nesterov_formula():
    p = leaf(1.0)
    x, b = 1.0, 0.0
    for _ in range(3):
        g = 3 * x * x
        b = 0.9 * b + g
        x -= 0.01 * (g + 0.9 * b)
    steps(optim.SGD([p], lr=0.01, momentum=0.9, nesterov=True), [p], 3)
    assert p.item() == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("cls,decoupled", [(optim.Adam, False), (optim.AdamW, True)])
def test_adam_formula(cls, decoupled, amsgrad):
    p = leaf(1.0, -2.0)
    x, m, v, top = np.array([1.0, -2.0]), 0.0, 0.0, 0.0
    for t in range(1, 4):
        g = 3 * x * x
        if decoupled:
            x = x * (1 - 0.1 * 0.2)
        else:
            g = g + 0.2 * x
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        top = np.maximum(top, v) if amsgrad else v
        x = x - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(top / (1 - 0.99**t)) + 1e-8)
    steps(cls([p], lr=0.1, betas=(0.9, 0.99), weight_decay=0.2, amsgrad=amsgrad), [p], 3)
    assert p.detach().numpy() == pytest.approx(x, rel=1e-12)


def test_groups_have_their_own_options():
    a, b = leaf(1.0), leaf(1.0)
    opt = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.25)
    (a + b).sum().backward()
    opt.step()
    assert (a.item(), b.item()) == (0.75, 0.5)
    opt.add_param_group({"params": [leaf(1.0)]})
    assert [g["lr"] for g in opt.param_groups] == [0.25, 0.5, 0.25]


def test_one_group_may_mix_dtypes_and_ages():
    a, b, c = leaf(1.0), leaf(1.0, dtype="float32"), leaf(1.0)
    for cls in (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), optim.AdamW):
        opt = cls([a, b, c])
        steps(opt, [a, b], 1)  # c has no gradient and stays
        assert c not in opt.state and c.item() == 1.0
        steps(opt, [a, b], 1)
        c.grad = fastdl.ones(1, dtype="float64")
        opt.step()
        assert c.item() < 1.0
        with fastdl.no_grad():
            c.fill_(1.0)


def test_one_backend_call_a_group(monkeypatch):
    params = [leaf(1.0, device="reference") for _ in range(5)]
    backend, calls = params[0]._backend, []
    real = backend.adam_step
    monkeypatch.setattr(backend, "adam_step", lambda *a: calls.append(len(a[0])) or real(*a))
    steps(optim.Adam(params), params, 2)
    assert calls == [5, 5]


def test_closure():
    p = leaf(3.0)
    opt = optim.SGD([p], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fastdl.no_grad():
        assert opt.step(closure).item() == 9.0
    assert p.item() == pytest.approx(2.4)


def test_zero_grad():
    p = leaf(1.0)
    opt = optim.SGD([p])
    (p * 2).sum().backward()
    opt.zero_grad(set_to_none=False)
    assert p.grad.item() == 0.0
    opt.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
        lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
        lambda p: optim.AdamW(p, lr=0.01),
        lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
        lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
        lambda p: optim.Adadelta(p),
    ],
)
def test_resume(make):
    a, b = leaf(1.0, 2.0), leaf(1.0, 2.0)
    first = make([a])
    steps(first, [a], 5)
    second = make([b])
    steps(second, [b], 2)
    third = make([b])
    third.load_state_dict(second.state_dict())
    steps(third, [b], 3)
    assert a.tolist() == b.tolist()


def test_state_layout():
    p = leaf(1.0, 2.0)
    opt = optim.Adam([p])
    steps(opt, [p], 2)
    state = opt.state_dict()
    assert set(state) == {"state", "param_groups"} and state["param_groups"][0]["params"] == [0]
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"} and state["state"][0]["step"].item() == 2.0
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)


BAD = [
    (lambda: optim.SGD([leaf(1.0)], lr=-1), ValueError, "[SGD] expected lr of at least 0, got -1"),
    (
        lambda: optim.SGD([leaf(1.0)], nesterov=True),
        ValueError,
        "[SGD] expected momentum above 0 and dampening 0 with nesterov, got momentum 0 and dampening 0",
    ),
    (lambda: optim.Adam([leaf(1.0)], betas=(0.9, 1.0)), ValueError, "[Adam] expected betas[1] in [0, 1), got 1.0"),
    (lambda: optim.AdamW([]), ValueError, "[AdamW] expected at least one parameter, got none"),
    (
        lambda: optim.SGD(leaf(1.0)),
        TypeError,
        "[SGD] expected an iterable of tensors or dicts for params, got a Tensor",
    ),
    (lambda: optim.SGD([1.0]), TypeError, "[SGD] expected a Tensor in params, got float"),
    (lambda: optim.SGD([leaf(1.0) * 2]), ValueError, "[SGD] expected leaf tensors, got the output of an operation"),
    (
        lambda: optim.SGD([fastdl.tensor([1])]),
        TypeError,
        "[SGD] expected params of dtype float32 or float64, got int64",
    ),
    (
        lambda: optim.SGD([leaf(1.0)]).load_state_dict({"param_groups": [{"params": [0, 1]}], "state": {}}),
        ValueError,
        "[load_state_dict] expected groups of [1] parameters, got [2]",
    ),
]


@pytest.mark.parametrize("call,error,message", BAD, ids=range(len(BAD)))
def test_bad_calls(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error and str(caught.value) == message


def test_same_parameter_twice():
    p = leaf(1.0)
    with pytest.raises(ValueError, match=r"^\[SGD\] expected each parameter once, got one of shape \(1,\) again$"):
        optim.SGD([{"params": [p]}, {"params": [p]}])


def test_adamax_and_nadam_formulas():
    p, q = leaf(1.0, -2.0), leaf(1.0, -2.0)
    x, m, u = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 4):
        g = 3 * x * x
        m, u = 0.9 * m + 0.1 * g, np.maximum(0.99 * u, np.abs(g) + 1e-8)
        x = x - 0.1 / (1 - 0.9**t) * m / u
    steps(optim.Adamax([p], lr=0.1, betas=(0.9, 0.99)), [p], 3)
    assert p.detach().numpy() == pytest.approx(x, rel=1e-12)
    y, m, v, product = np.array([1.0, -2.0]), 0.0, 0.0, 1.0
    for t in range(1, 4):
        g = 3 * y * y
        mu, following = (0.9 * (1 - 0.5 * 0.96 ** (s * 0.004)) for s in (t, t + 1))
        product *= mu
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        ahead = (1 - mu) / (1 - product) * g + following / (1 - product * following) * m
        y = y - 0.1 * ahead / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    steps(optim.NAdam([q], lr=0.1, betas=(0.9, 0.99)), [q], 3)
    assert q.detach().numpy() == pytest.approx(y, rel=1e-12)


def test_rprop_grows_and_turns():
    p = leaf(1.0)
    opt = optim.Rprop([p], lr=0.5, etas=(0.5, 1.5))
    places = []
    for _ in range(4):
        opt.zero_grad()
        (p * p).sum().backward()
        opt.step()
        places.append(p.item())
    # by 0.5, by 0.75 past the minimum, then a wait with half of it, then back by that
    assert places == [0.5, -0.25, -0.25, 0.125]


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda p: optim.Adamax(p, betas=(1.0, 0.9)), r"\[Adamax\] expected betas\[0\] in \[0, 1\)"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), r"\[NAdam\] expected momentum_decay of at least 0"),
        (lambda p: optim.Rprop(p, etas=(1.5, 2)), r"\[Rprop\] expected 0 < etas"),
        (lambda p: optim.swa_utils.get_ema_avg_fn(2), r"\[get_ema_avg_fn\] expected decay in \[0, 1\]"),
        (lambda p: optim.lr_scheduler.CyclicLR(optim.Adagrad(p), 0.1, 1), r"\[CyclicLR\] expected an optimizer with"),
        (lambda p: optim.lr_scheduler.ChainedScheduler([]), r"\[ChainedScheduler\] expected at least one"),
    ],
)
def test_more_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call([leaf(1.0)])


@pytest.mark.parametrize("name", ["StepLR", "PolynomialLR", "ReduceLROnPlateau", "CyclicLR"])
def test_schedules_take_optimizers(name):
    arguments = {"StepLR": (1,), "CyclicLR": (0.1, 1.0)}.get(name, ())
    with pytest.raises(TypeError, match=rf"^\[{name}\] expected an Optimizer for optimizer, got int$"):
        getattr(optim.lr_scheduler, name)(3, *arguments)
