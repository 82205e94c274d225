"""Optimizer steps over lists of arrays, in place; PyTorch's update rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks import expect, expect_float, expect_same_dtype, expect_shape

Array = np.ndarray


def _check_lists(op: str, params: Sequence[Array], **others: Sequence[Array]) -> None:
    for what, arrays in others.items():
        expect(len(arrays) == len(params), ValueError, op, f"{len(params)} {what}", len(arrays))
    for i, param in enumerate(params):
        expect_float(op, f"params[{i}]", param)
        expect_same_dtype(op, f"params[{i}]", param, params[0].dtype)
        for what, arrays in others.items():
            expect_same_dtype(op, f"{what}[{i}]", arrays[i], param.dtype)
            expect_shape(op, f"{what}[{i}]", arrays[i], param.shape)


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], buffers: Sequence[Array], lr: float, momentum: float,
    dampening: float, weight_decay: float, nesterov: bool, maximize: bool, first: bool,
) -> None:  # fmt: skip
    """buffer = momentum * buffer + (1 - dampening) * grad (grad itself when `first`); param -= lr * buffer."""
    others = {"grads": grads, "buffers": buffers} if momentum else {"grads": grads}
    _check_lists("sgd_step", params, **others)
    with np.errstate(all="ignore"):
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
    others = {"grads": grads, "exp_avgs": exp_avgs, "exp_avg_sqs": exp_avg_sqs}
    if max_exp_avg_sqs:
        others["max_exp_avg_sqs"] = max_exp_avg_sqs
    _check_lists("adam_step", params, **others)
    expect(step >= 1, ValueError, "adam_step", "step of at least 1", step)
    step_size = lr / (1 - beta1**step)
    correction = (1 - beta2**step) ** 0.5
    with np.errstate(all="ignore"):
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
