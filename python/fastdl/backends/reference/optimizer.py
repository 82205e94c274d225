"""Optimizer steps over lists of arrays, in place; PyTorch's update rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray


def _check_params(op: str, params: Sequence[Array], what: str = "params") -> None:
    for i, param in enumerate(params):
        expect_float(op, f"{what}[{i}]", param)
        expected = f"{what} of one dtype, {params[0].dtype}"
        expect(param.dtype == params[0].dtype, TypeError, op, expected, f"{param.dtype} at position {i}")


def _check_like(op: str, what: str, states: Sequence[Array], params: Sequence[Array]) -> None:
    expect(len(states) == len(params), ValueError, op, f"{what} of {len(params)} arrays", len(states))
    for i, param in enumerate(params):
        expect_same_dtype(op, f"{what}[{i}]", states[i], param.dtype)
        expect_shape(op, f"{what}[{i}]", states[i], param.shape)


def _check_at_least_0(op: str, what: str, value: float) -> None:
    expect(value >= 0 and math.isfinite(value), ValueError, op, f"{what} of at least 0", number(value))


def _check_betas(op: str, beta1: float, beta2: float) -> None:
    expect(0 <= beta1 < 1, ValueError, op, "beta1 in [0, 1)", number(beta1))
    expect(0 <= beta2 < 1, ValueError, op, "beta2 in [0, 1)", number(beta2))


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], buffers: Sequence[Array], lr: float, momentum: float,
    dampening: float, weight_decay: float, nesterov: bool, maximize: bool, first: bool,
) -> None:  # fmt: skip
    """buffer = momentum * buffer + (1 - dampening) * grad (grad itself when `first`); param -= lr * buffer."""
    op = "sgd_step"
    _check_params(op, params)
    _check_like(op, "grads", grads, params)
    for what, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
        _check_at_least_0(op, what, value)
    expect(math.isfinite(dampening), ValueError, op, "a finite dampening", number(dampening))
    got = f"momentum {number(momentum)}, dampening {number(dampening)}"
    allowed = not nesterov or (momentum > 0 and dampening == 0)
    expect(allowed, ValueError, op, "momentum above 0 and dampening 0 with nesterov", got)
    if momentum or buffers:
        _check_like(op, "buffers", buffers, params)
    with quiet():
        for i, param in enumerate(params):
            g = -grads[i] if maximize else grads[i]
            g = g + weight_decay * param
            if momentum:
                buffer = buffers[i]
                buffer[...] = g if first else momentum * buffer + (1 - dampening) * g
                g = g + momentum * buffer if nesterov else buffer
            param -= lr * g


def adam_step(
    params: Sequence[Array], grads: Sequence[Array], exp_avgs: Sequence[Array], exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array], step: int, lr: float, beta1: float, beta2: float, eps: float,
    weight_decay: float, decoupled: bool, maximize: bool,
) -> None:  # fmt: skip
    """Adam, or AdamW when `decoupled`; AMSGrad when `max_exp_avg_sqs` is not empty. `step` is 1 the first time."""
    op = "adam_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("exp_avgs", exp_avgs), ("exp_avg_sqs", exp_avg_sqs)):
        _check_like(op, what, states, params)
    if max_exp_avg_sqs:
        _check_like(op, "max_exp_avg_sqs", max_exp_avg_sqs, params)
    expect(step >= 1, ValueError, op, "step of at least 1", step)
    _check_betas(op, beta1, beta2)
    for what, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
        _check_at_least_0(op, what, value)
    step_size = lr / (1 - beta1**step)
    correction = (1 - beta2**step) ** 0.5
    with quiet():
        for i, param in enumerate(params):
            g = -grads[i] if maximize else grads[i]
            if decoupled:
                param *= 1 - lr * weight_decay
            else:
                g = g + weight_decay * param
            m, v = exp_avgs[i], exp_avg_sqs[i]
            m[...] = beta1 * m + (1 - beta1) * g
            v[...] = beta2 * v + (1 - beta2) * g * g
            if max_exp_avg_sqs:
                np.maximum(max_exp_avg_sqs[i], v, out=max_exp_avg_sqs[i])
                v = max_exp_avg_sqs[i]
            param -= step_size * m / (np.sqrt(v) / correction + eps)


def rmsprop_step(
    params: Sequence[Array], grads: Sequence[Array], square_avgs: Sequence[Array], grad_avgs: Sequence[Array],
    buffers: Sequence[Array], lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
    maximize: bool,
) -> None:  # fmt: skip
    """Centered when `grad_avgs` is not empty: the mean of the gradient is taken off the mean of its square."""
    op = "rmsprop_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("square_avgs", square_avgs)):
        _check_like(op, what, states, params)
    if grad_avgs:
        _check_like(op, "grad_avgs", grad_avgs, params)
    if momentum or buffers:
        _check_like(op, "buffers", buffers, params)
    values = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
    for what, value in values.items():
        _check_at_least_0(op, what, value)
    with quiet():
        for i, param in enumerate(params):
            g = (-grads[i] if maximize else grads[i]) + weight_decay * param
            v = square_avgs[i]
            v[...] = alpha * v + (1 - alpha) * g * g
            if grad_avgs:
                grad_avgs[i] += (1 - alpha) * (g - grad_avgs[i])
                v = v - grad_avgs[i] ** 2
            update = g / (np.sqrt(v) + eps)
            if momentum:
                buffers[i][...] = update = momentum * buffers[i] + update
            param -= lr * update


def adagrad_step(
    params: Sequence[Array], grads: Sequence[Array], sums: Sequence[Array], step: int, lr: float, lr_decay: float,
    weight_decay: float, eps: float, maximize: bool,
) -> None:  # fmt: skip
    op = "adagrad_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("sums", sums)):
        _check_like(op, what, states, params)
    expect(step >= 1, ValueError, op, "step of at least 1", step)
    for what, value in (("lr", lr), ("lr_decay", lr_decay), ("weight_decay", weight_decay), ("eps", eps)):
        _check_at_least_0(op, what, value)
    with quiet():
        for i, param in enumerate(params):
            g = (-grads[i] if maximize else grads[i]) + weight_decay * param
            sums[i] += g * g
            param -= lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(sums[i]) + eps)


def adadelta_step(
    params: Sequence[Array], grads: Sequence[Array], square_avgs: Sequence[Array], acc_deltas: Sequence[Array],
    lr: float, rho: float, eps: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    op = "adadelta_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("square_avgs", square_avgs), ("acc_deltas", acc_deltas)):
        _check_like(op, what, states, params)
    expect(0 <= rho <= 1, ValueError, op, "rho in [0, 1]", number(rho))
    for what, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
        _check_at_least_0(op, what, value)
    with quiet():
        for i, param in enumerate(params):
            g = (-grads[i] if maximize else grads[i]) + weight_decay * param
            v, u = square_avgs[i], acc_deltas[i]
            v[...] = rho * v + (1 - rho) * g * g
            delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
            u[...] = rho * u + (1 - rho) * delta * delta
            param -= lr * delta


def adamax_step(
    params: Sequence[Array], grads: Sequence[Array], exp_avgs: Sequence[Array], exp_infs: Sequence[Array], step: int,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, maximize: bool,
) -> None:  # fmt: skip
    op = "adamax_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("exp_avgs", exp_avgs), ("exp_infs", exp_infs)):
        _check_like(op, what, states, params)
    expect(step >= 1, ValueError, op, "step of at least 1", step)
    _check_betas(op, beta1, beta2)
    for what, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
        _check_at_least_0(op, what, value)
    with quiet():
        for param, grad, m, u in zip(params, grads, exp_avgs, exp_infs, strict=True):
            g = (-grad if maximize else grad) + weight_decay * param
            m[...] = beta1 * m + (1 - beta1) * g
            u[...] = np.maximum(beta2 * u, np.abs(g) + eps)
            param -= lr / (1 - beta1**step) * m / u


def ahead_step(
    params: Sequence[Array], grads: Sequence[Array], exp_avgs: Sequence[Array], exp_avg_sqs: Sequence[Array],
    beta1: float, beta2: float, eps: float, weight_decay: float, keep: float, of_grad: float, of_mean: float,
    root: float, divided: bool, maximize: bool,
) -> None:  # fmt: skip
    """NAdam, whose steps look ahead by the gradient, and RAdam, whose first ones do without the quotient."""
    op = "ahead_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("exp_avgs", exp_avgs), ("exp_avg_sqs", exp_avg_sqs)):
        _check_like(op, what, states, params)
    _check_betas(op, beta1, beta2)
    for what, value in (("eps", eps), ("weight_decay", weight_decay)):
        _check_at_least_0(op, what, value)
    expect(root > 0, ValueError, op, "root above 0", number(root))
    with quiet():
        for param, grad, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
            g = (-grad if maximize else grad) + weight_decay * param
            m[...] = beta1 * m + (1 - beta1) * g
            v[...] = beta2 * v + (1 - beta2) * g * g
            update = of_grad * g + of_mean * m
            param[...] = keep * param - (update / (np.sqrt(v) / root + eps) if divided else update)


def rprop_step(
    params: Sequence[Array], grads: Sequence[Array], prevs: Sequence[Array], step_sizes: Sequence[Array],
    shrink: float, grow: float, least: float, most: float, maximize: bool,
) -> None:  # fmt: skip
    """A size grows while its gradient keeps its sign and shrinks when it turns, within [least, most]."""
    op = "rprop_step"
    _check_params(op, params)
    for what, states in (("grads", grads), ("prevs", prevs), ("step_sizes", step_sizes)):
        _check_like(op, what, states, params)
    got = f"({number(shrink)}, {number(grow)})"
    expect(0 < shrink < 1 < grow, ValueError, op, "0 < etas[0] < 1 < etas[1]", got)
    for what, value in (("step_sizes[0]", least), ("step_sizes[1]", most)):
        _check_at_least_0(op, what, value)
    with quiet():
        for param, grad, prev, size in zip(params, grads, prevs, step_sizes, strict=True):
            g = -grad if maximize else grad
            turned = g * prev
            size *= np.where(turned > 0, grow, np.where(turned < 0, shrink, turned * 0 + 1))
            np.clip(size, least, most, out=size)
            prev[...] = np.where(turned < 0, 0, g)  # after a turn it waits for a step
            param -= np.sign(prev) * size


# ---- gradients before a step -----------------------------------------------------------------------------------------


def _check_grads(op: str, grads: Sequence[Array]) -> None:
    expect(len(grads) > 0, ValueError, op, "at least one gradient", "none")
    _check_params(op, grads, "grads")


def grad_norm(grads: Sequence[Array], norm_type: float) -> Array:
    """(sum of |g|^p)^(1/p) over the numbers of all gradients; the largest |g| for an infinite p."""
    op = "grad_norm"
    _check_grads(op, grads)
    expect(norm_type > 0, ValueError, op, "norm_type above 0", number(norm_type))
    everything = np.abs(np.concatenate([g.reshape(-1) for g in grads]))
    with quiet():
        if math.isinf(norm_type):
            norm = everything.max(initial=0)
        else:
            norm = (everything.astype(np.float64) ** norm_type).sum() ** (1 / norm_type)
    return np.array(norm, grads[0].dtype)


def clip_by_norm_(grads: Sequence[Array], norm: Array, max_norm: float) -> None:
    """Every gradient times max_norm / (norm + 1e-6), unless that is 1 or more."""
    op = "clip_by_norm_"
    _check_grads(op, grads)
    expect_same_dtype(op, "norm", norm, grads[0].dtype)
    expect(norm.size == 1, ValueError, op, "norm with one element", f"shape {norm.shape}")
    expect(max_norm >= 0, ValueError, op, "max_norm of at least 0", number(max_norm))
    scale = max_norm / (norm.item() + 1e-6)
    if not scale >= 1:
        with quiet():
            for g in grads:
                g *= g.dtype.type(scale)


def clip_by_value_(grads: Sequence[Array], limit: float) -> None:
    op = "clip_by_value_"
    _check_grads(op, grads)
    expect(limit >= 0, ValueError, op, "clip_value of at least 0", number(limit))
    for g in grads:
        np.clip(g, -limit, limit, out=g)
