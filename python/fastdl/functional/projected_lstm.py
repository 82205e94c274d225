"""LSTM whose states are projected to fewer numbers, made of other functions: one product of the input for all steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..creation import tensor, zeros
from ..tensor import Tensor
from .activation import sigmoid, tanh
from .arguments import expect_beside, expect_tensor, flag
from .indexing import index_select
from .layout import cat, index, stack, transpose
from .linear import linear
from .rearranging import parts


def _expect_float(value: Any, first: Tensor, op: str, name: str) -> Tensor:
    found = expect_beside(value, first, op, name)
    if found.dtype != first.dtype:
        raise TypeError(f"[{op}] expected {name} of dtype {first.dtype.name}, got {found.dtype.name}")
    return found


class _Weights(NamedTuple):
    """Of one direction."""

    ih: Tensor
    hh: Tensor
    bias: Tensor | None  # the sum of both
    hr: Tensor


def _weights_of(weights: Sequence[Tensor], columns: int, directions: int, op: str) -> list[_Weights]:
    each = len(weights) // directions
    if each not in (3, 5) or len(weights) != each * directions:
        raise ValueError(f"[{op}] expected 3 or 5 weights for each of {directions} directions, got {len(weights)}")
    last = weights[each - 1]
    if last.ndim != 2:
        raise ValueError(f"[{op}] expected weight_hr with 2 dimensions, got shape {last.shape}")
    proj, hidden = last.shape
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * hidden, columns), "weight_hh": (4 * hidden, proj)}
    shapes |= {"bias_ih": (4 * hidden,), "bias_hh": (4 * hidden,)} if each == 5 else {}
    shapes["weight_hr"] = (proj, hidden)
    found = []
    for d in range(directions):
        group = weights[d * each : (d + 1) * each]
        for (name, shape), w in zip(shapes.items(), group, strict=True):
            if w.shape != shape:
                raise ValueError(f"[{op}] expected {name} of shape {shape}, got shape {w.shape}")
        found.append(_Weights(group[0], group[1], group[2] + group[3] if each == 5 else None, group[-1]))
    return found


def _sizes_of(batch_sizes: Tensor, rows: int, op: str) -> list[int]:
    sizes = batch_sizes.tolist()
    for t, n in enumerate(sizes):
        if n < 1 or (t > 0 and n > sizes[t - 1]):
            raise ValueError(f"[{op}] expected batch_sizes that are at least 1 and never grow, got {n} at step {t}")
    if not sizes or sum(sizes) != rows:
        raise ValueError(f"[{op}] expected batch_sizes that add up to {rows} rows, got {sizes}")
    return sizes


def _order_of(order: Tensor, batch: int, op: str) -> tuple[Tensor, Tensor]:
    """The places of sequences in the states, and the sequences of places."""
    places = order.tolist()
    if sorted(places) != list(range(batch)):
        raise ValueError(f"[{op}] expected order that names each of {batch} sequences once, got {places}")
    return order, tensor(np.argsort(places), device=order.device)


def _resized(state: Tensor, n: int, first: Tensor, ended: list[Tensor]) -> Tensor:
    """The state of the first n sequences: others begin with their first state, or end."""
    count = state.shape[0]
    if n > count:
        return cat([state, index(first, slice(count, n))])
    if n < count:
        ended.append(index(state, slice(n, count)))
        return index(state, slice(n))
    return state


def _walk(
    rows: Tensor, sizes: list[int], w: _Weights, h_0: Tensor, c_0: Tensor, backwards: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps of a direction; sequences in the order of the rows."""
    hidden = w.hr.shape[1]
    products = parts(linear(rows, w.ih, w.bias), sizes, 0)
    outs: list[Any] = [None] * len(sizes)
    ended: tuple[list[Tensor], list[Tensor]] = ([], [])
    h, c = h_0, c_0
    if backwards and sizes:
        h, c = index(h_0, slice(sizes[-1])), index(c_0, slice(sizes[-1]))
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        h, c = _resized(h, sizes[t], h_0, ended[0]), _resized(c, sizes[t], c_0, ended[1])
        i, f, g, o = parts(products[t] + linear(h, w.hh), [hidden] * 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = outs[t] = linear(sigmoid(o) * tanh(c), w.hr)
    out = cat(outs) if outs else zeros(0, w.hr.shape[0], dtype=rows.dtype, device=rows.device)
    h, c = (cat([s, *reversed(gone)]) if gone else s for s, gone in zip((h, c), ended, strict=True))
    return out, h, c


def lstm_projected(
    input: Tensor,
    weights: Sequence[Tensor],
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    order: Tensor | None = None,
    bidirectional: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """One LSTM layer with projected states, h' = W_hr (o tanh(c')): (output, h_n, c_n).

    What `torch.nn.LSTM` does with `proj_size` (Sak et al. 2014). Arguments as of `recurrent` with "lstm"; for each
    direction `weights` has weight_ih (4*H, I), weight_hh (4*H, P), or not bias_ih and bias_hh (4*H,), and weight_hr
    (P, H). h_0 and h_n (D, N, P), c_0 and c_n (D, N, H); output with D*P numbers a row.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ.
        ValueError: for shapes that do not fit together.

    >>> import fastdl
    >>> w_ih, w_hh, w_hr = fastdl.ones(12, 4), fastdl.ones(12, 2), fastdl.ones(2, 3)
    >>> out, h_n, c_n = lstm_projected(fastdl.ones(5, 1, 4), [w_ih, w_hh, w_hr])
    >>> out.shape, h_n.shape, c_n.shape
    ((5, 1, 2), (1, 1, 2), (1, 1, 3))
    """
    op = "lstm_projected"
    x = expect_tensor(input, op)
    both, first = flag(bidirectional, op, "bidirectional"), flag(batch_first, op, "batch_first")
    directions = 2 if both else 1
    dims = 3 if batch_sizes is None else 2
    if x.ndim != dims:
        raise ValueError(f"[{op}] expected input with {dims} dimensions, got shape {x.shape}")
    if not isinstance(weights, Sequence):
        raise TypeError(f"[{op}] expected weights as a list of Tensors, got {type(weights).__name__}")
    by_direction = _weights_of([_expect_float(w, x, op, "weights") for w in weights], x.shape[-1], directions, op)
    if batch_sizes is None:
        by_step = transpose(x, 0, 1) if first else x
        steps, batch = by_step.shape[:2]
        rows, sizes = by_step.reshape(steps * batch, x.shape[-1]), [batch] * steps
    else:
        rows, sizes = x, _sizes_of(expect_beside(batch_sizes, x, op, "batch_sizes"), x.shape[0], op)
        batch = sizes[0]
    proj, hidden = by_direction[0].hr.shape
    states = []
    for name, state, width in (("h_0", h_0, proj), ("c_0", c_0, hidden)):
        shape = (directions, batch, width)
        if state is not None and _expect_float(state, x, op, name).shape != shape:
            raise ValueError(f"[{op}] expected {name} of shape {shape}, got shape {state.shape}")
        states.append(zeros(*shape, dtype=x.dtype, device=x.device) if state is None else state)
    places, inverse = (None, None) if order is None else _order_of(expect_beside(order, x, op, "order"), batch, op)
    outs, last_h, last_c = [], [], []
    for d, w in enumerate(by_direction):
        h, c = (index(s, d) if places is None else index_select(index(s, d), 0, places) for s in states)
        out, h, c = _walk(rows, sizes, w, h, c, d == 1)
        outs.append(out)
        last_h.append(h if inverse is None else index_select(h, 0, inverse))
        last_c.append(c if inverse is None else index_select(c, 0, inverse))
    out = cat(outs, 1)
    if batch_sizes is None:
        out = out.reshape(len(sizes), batch, directions * proj)
        out = transpose(out, 0, 1) if first else out
    return out, stack(last_h), stack(last_c)
