"""Gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import grad, no_grad
from ..creation import tensor
from ..tensor import Tensor
from .tolerance import host


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether backward agrees with (f(x + eps) - f(x - eps)) / (2 eps) (`torch.autograd.gradcheck`).

    `func` takes the inputs and returns a tensor or several. Those inputs that are tensors and require a gradient are
    checked, and must be float64. The check multiplies the outputs by fixed random numbers, so one backward pass and two
    forward passes an element suffice, and compares |a - n| <= atol + rtol * |n| element by element.

    Raises:
        TypeError: for an input to check that is not float64.
        ValueError: if no input requires a gradient.
        AssertionError: if a gradient is wrong and `raise_exception`.

    >>> import fastdl
    >>> gradcheck(lambda x: x * x, fastdl.tensor([1.0, 2.0], dtype="float64", requires_grad=True))
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("[gradcheck] expected an input that requires a gradient, got none")
    for i in checked:
        if given[i].dtype is not dtypes.float64:
            raise TypeError(f"[gradcheck] expected input {i} of dtype float64, got {given[i].dtype.name}")
    outs = _outputs(func, given)
    cotangents = _cotangents(outs)
    analytic = grad(outs, [given[i] for i in checked], cotangents, allow_unused=True)
    for i, found in zip(checked, analytic, strict=True):
        a = np.zeros(given[i].shape) if found is None else host(found)
        n = _numerical(func, given, i, cotangents, eps)
        if a.shape != n.shape or not np.allclose(a, n, rtol=rtol, atol=atol, equal_nan=True):
            if raise_exception:
                raise AssertionError(f"[gradcheck] gradient of input {i}: {_worst(a, n)}")
            return False
    return True


def _outputs(func: Callable[..., Any], inputs: list[Any]) -> list[Tensor]:
    out = func(*inputs)
    outs = list(out) if isinstance(out, tuple | list) else [out]
    return [o for o in outs if isinstance(o, Tensor) and o.is_floating_point() and o.requires_grad]


def _cotangents(outs: list[Tensor]) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [tensor(rng.uniform(0.5, 1.5, o.shape), dtype=o.dtype, device=o.device) for o in outs]


def _numerical(func: Callable[..., Any], inputs: list[Any], which: int, cotangents: list[Tensor], eps: float) -> Any:
    weights = [host(c) for c in cotangents]
    x = host(inputs[which]).copy()
    out = np.zeros(x.shape)
    places = x.reshape(-1)

    def weighted_sum() -> float:
        moved = tensor(x, dtype="float64", device=inputs[which].device)
        results = func(*[moved if i == which else v for i, v in enumerate(inputs)])
        results = list(results) if isinstance(results, tuple | list) else [results]
        floats = [r for r in results if isinstance(r, Tensor) and r.is_floating_point()]
        return sum(float((host(r) * w).sum()) for r, w in zip(floats, weights, strict=True))

    with no_grad():
        for i in range(x.size):
            kept = places[i]
            places[i] = kept + eps
            above = weighted_sum()
            places[i] = kept - eps
            below = weighted_sum()
            places[i] = kept
            out.reshape(-1)[i] = (above - below) / (2 * eps)
    return out


def _worst(a: np.ndarray, n: np.ndarray) -> str:
    if a.shape != n.shape:
        return f"shape {a.shape}, not {n.shape}"
    at = np.unravel_index(int(np.nan_to_num(np.abs(a - n), nan=np.inf).argmax()), a.shape)
    return f"element {tuple(int(i) for i in at)} is {a[at]:.9g}, but the differences give {n[at]:.9g}"
