"""Optimizer steps over lists of arrays, in place; PyTorch's update rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape, number, quiet

Array = np.ndarray


def _check_params(op: str, params: Sequence[Array]) -> None:
    for i, param in enumerate(params):
        expect_float(op, f"params[{i}]", param)
        expected = f"params of one dtype, {params[0].dtype}"
        expect(param.dtype == params[0].dtype, TypeError, op, expected, f"{param.dtype} at position {i}")


def _check_like(op: str, what: str, states: Sequence[Array], params: Sequence[Array]) -> None:
    expect(len(states) == len(params), ValueError, op, f"{what} of {len(params)} arrays", len(states))
    for i, param in enumerate(params):
        expect_same_dtype(op, f"{what}[{i}]", states[i], param.dtype)
        expect_shape(op, f"{what}[{i}]", states[i], param.shape)


def _check_at_least_0(op: str, what: str, value: float) -> None:
    expect(value >= 0 and math.isfinite(value), ValueError, op, f"{what} of at least 0", number(value))


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
    expect(0 <= beta1 < 1, ValueError, op, "beta1 in [0, 1)", number(beta1))
    expect(0 <= beta2 < 1, ValueError, op, "beta2 in [0, 1)", number(beta2))
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
