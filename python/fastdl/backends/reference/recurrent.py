"""Recurrent layers, one step after the other, and packed sequences.

Sequence j of a packed batch is the j-th longest; `order[j]` is its place in the batch, so in the states. At step t the
first `batch_sizes[t]` sequences are alive, and their rows lie together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checks import Shape, expect, expect_array, expect_float, expect_ndim, expect_same_dtype, expect_shape, new, quiet
from .elementwise_unary import sigmoid

Array = np.ndarray
MODES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}  # gates


# ---- checks ----------------------------------------------------------------------------------------------------------


def _rows_of_steps(op: str, batch_sizes: Array) -> list[Array]:
    """Rows of each step in packed data."""
    expect_ndim(op, "batch_sizes", batch_sizes, 1)
    expect_same_dtype(op, "batch_sizes", batch_sizes, np.dtype("int64"))
    expect(batch_sizes.size > 0, ValueError, op, "batch_sizes of at least one step", f"shape {batch_sizes.shape}")
    for t, n in enumerate(batch_sizes):
        shrinks = n >= 1 and (t == 0 or n <= batch_sizes[t - 1])
        expect(shrinks, ValueError, op, "batch_sizes that are at least 1 and never grow", f"{n} at step {t}")
        expect(n < 2**40, ValueError, op, "batch_sizes below 2^40", n)
    ends = np.cumsum(batch_sizes)
    return [np.arange(end - n, end) for n, end in zip(batch_sizes, ends, strict=True)]


def _checked_order(op: str, order: Array | None, batch: int) -> Array:
    if order is None:
        return np.arange(batch)
    expect_same_dtype(op, "order", order, np.dtype("int64"))
    expect(order.shape == (batch,), ValueError, op, f"order of shape ({batch},)", f"shape {order.shape}")
    seen: set[int] = set()
    for i, place in enumerate(order.tolist()):
        once = 0 <= place < batch and place not in seen
        expect(once, ValueError, op, f"order that names each of {batch} sequences once", f"{place} at position {i}")
        seen.add(place)
    return order


class _Layer:
    """The checked arguments of a layer: rows of each step, places of the states, weights of each direction."""

    def __init__(
        self, op: str, mode: str, x: Array, h0: Array | None, c0: Array | None, weights: Sequence[Array],
        batch_sizes: Array | None, order: Array | None, bidirectional: bool, batch_first: bool,
    ) -> None:  # fmt: skip
        expect(mode in MODES, ValueError, op, "mode rnn_tanh, rnn_relu, lstm or gru", mode)
        self.mode = mode
        expect_float(op, "input", x)
        if batch_sizes is not None:
            expect_ndim(op, "input", x, 2)
            self.rows = _rows_of_steps(op, batch_sizes)
            self.batch, rows = int(batch_sizes[0]), int(batch_sizes.sum())
            expect(rows == x.shape[0], ValueError, op, f"input of {rows} rows for batch_sizes", f"shape {x.shape}")
        else:
            expect_ndim(op, "input", x, 3)
            self.batch, steps = x.shape[:2] if batch_first else x.shape[1::-1]
            places = np.arange(self.batch)
            self.rows = [places * steps + t if batch_first else t * self.batch + places for t in range(steps)]
        self.order = _checked_order(op, order, self.batch)
        self.directions = 2 if bidirectional else 1
        self._take_weights(op, weights, x)
        self.states = (self.directions, self.batch, self.hidden)
        self.out_shape = (*x.shape[:-1], self.directions * self.hidden)
        expect_like(op, "h_0", h0, self.states, x.dtype)
        expect(c0 is None or mode == "lstm", ValueError, op, "no c_0 but for lstm", "one")
        expect_like(op, "c_0", c0, self.states, x.dtype)

    def _take_weights(self, op: str, weights: Sequence[Array], x: Array) -> None:
        each = len(weights) // self.directions
        whole = len(weights) == each * self.directions and each in (2, 4)
        expect(whole, ValueError, op, f"2 or 4 weights for each of {self.directions} directions", len(weights))
        expect(weights[1].ndim == 2, ValueError, op, "weight_hh with 2 dimensions", f"shape {weights[1].shape}")
        self.hidden = weights[1].shape[1]
        n = MODES[self.mode] * self.hidden
        shapes: dict[str, Shape] = {
            "weight_ih": (n, x.shape[-1]), "weight_hh": (n, self.hidden), "bias_ih": (n,), "bias_hh": (n,)
        }  # fmt: skip
        self.weights = [weights[d * each : (d + 1) * each] for d in range(self.directions)]
        for group in self.weights:
            for w, (name, shape) in zip(group, shapes.items(), strict=False):
                expect_same_dtype(op, name, w, x.dtype)
                expect_shape(op, name, w, shape)

    def biases(self, d: int) -> tuple[Array, Array]:
        group = self.weights[d]
        zero = np.zeros(MODES[self.mode] * self.hidden, group[0].dtype)
        return (group[2], group[3]) if len(group) == 4 else (zero, zero)

    def steps(self, d: int) -> list[Array]:
        """Rows in the order in which direction d meets them."""
        return self.rows[::-1] if d else self.rows

    def first_state(self, state: Array | None, d: int, dtype: np.dtype) -> Array:
        """States of direction d, longest sequence first."""
        return np.zeros(self.states[1:], dtype) if state is None else state[d][self.order]


def expect_like(op: str, what: str, a: Array | None, shape: Shape, dtype: np.dtype) -> None:
    if a is not None:
        expect_same_dtype(op, what, a, dtype)
        expect_shape(op, what, a, shape)


# ---- cells -----------------------------------------------------------------------------------------------------------


def _cell(mode: str, gx: Array, gh: Array, h: Array, c: Array) -> tuple[Array, Array, tuple[Array, ...]]:
    """New h, new c and the gates from the products gx = W_ih x + b_ih and gh = W_hh h + b_hh."""
    if mode == "lstm":
        i, f, g, o = np.split(gx + gh, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        return o * np.tanh(c), c, (i, f, g, o)
    if mode == "gru":
        (rx, zx, nx), (rh, zh, nh) = np.split(gx, 3, axis=1), np.split(gh, 3, axis=1)
        r, z = sigmoid(rx + rh), sigmoid(zx + zh)
        n = np.tanh(nx + r * nh)
        return (1 - z) * n + z * h, c, (r, z, n, nh)
    g = gx + gh
    return (np.tanh(g) if mode == "rnn_tanh" else np.maximum(g, 0)), c, ()


def _cell_bwd(
    mode: str, dh: Array, dc: Array, gates: tuple[Array, ...], before: tuple[Array, Array], after: tuple[Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """Gradients of gx and of gh, what reaches the old h past W_hh, and the gradient of the old c."""
    (h, c), (new_h, new_c) = before, after
    if mode == "lstm":
        i, f, g, o = gates
        tanh_c = np.tanh(new_c)
        dc = dc + dh * o * (1 - tanh_c**2)
        d = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)], axis=1
        )
        return d, d, np.zeros_like(dh), dc * f
    if mode == "gru":
        r, z, n, nh = gates
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz = dn * nh * r * (1 - r), dh * (h - n) * z * (1 - z)
        return np.concatenate([dr, dz, dn], axis=1), np.concatenate([dr, dz, dn * r], axis=1), dh * z, dc
    d = dh * (1 - new_h**2) if mode == "rnn_tanh" else np.where(new_h <= 0, 0, dh)
    return d, d, np.zeros_like(dh), dc


# ---- layers ----------------------------------------------------------------------------------------------------------


class _Walk:
    """A direction of a layer: the last states, and of each step the rows, gates and states around it."""

    def __init__(self, layer: _Layer, d: int, x: Array, h0: Array | None, c0: Array | None) -> None:
        w_ih, w_hh = layer.weights[d][:2]
        b_ih, b_hh = layer.biases(d)
        self.h, self.c = layer.first_state(h0, d, x.dtype).copy(), layer.first_state(c0, d, x.dtype).copy()
        self.steps = []
        for rows in layer.steps(d):
            n = len(rows)
            before = self.h[:n].copy(), self.c[:n].copy()
            gx, gh = x[rows] @ w_ih.T + b_ih, before[0] @ w_hh.T + b_hh
            h, c, gates = _cell(layer.mode, gx, gh, *before)
            self.h[:n], self.c[:n] = h, c
            self.steps.append((rows, gates, before, (h, c)))


def recurrent(
    mode: str, x: Array, h0: Array | None, c0: Array | None, weights: Sequence[Array], batch_sizes: Array | None,
    order: Array | None, bidirectional: bool, batch_first: bool, training: bool,
) -> tuple[Array, Array, Array | None, Array | None, Array | None]:  # fmt: skip
    """The last two results are what `recurrent_bwd` wants of a compiled backend; here it computes everything again."""
    layer = _Layer("recurrent", mode, x, h0, c0, weights, batch_sizes, order, bidirectional, batch_first)
    flat = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    out = new((len(flat), layer.directions * layer.hidden), x.dtype)
    h_n, c_n = new(layer.states, x.dtype), new(layer.states, x.dtype)
    with quiet():
        for d in range(layer.directions):
            walk = _Walk(layer, d, flat, h0, c0)
            for rows, _, _, (h, _) in walk.steps:
                out[rows, d * layer.hidden : (d + 1) * layer.hidden] = h
            h_n[d, layer.order], c_n[d, layer.order] = walk.h, walk.c
    return out.reshape(layer.out_shape), h_n, c_n if mode == "lstm" else None, None, None


def recurrent_bwd(
    mode: str, grad_out: Array | None, grad_h: Array | None, grad_c: Array | None, x: Array, h0: Array | None,
    c0: Array | None, weights: Sequence[Array], batch_sizes: Array | None, order: Array | None, bidirectional: bool,
    batch_first: bool, out: Array, gates: Array | None, cells: Array | None, need_x: bool, need_h0: bool,
    need_c0: bool, need_weights: bool,
) -> tuple[Array | None, Array | None, Array | None, list[Array]]:  # fmt: skip
    op = "recurrent_bwd"
    layer = _Layer(op, mode, x, h0, c0, weights, batch_sizes, order, bidirectional, batch_first)
    expect_like(op, "grad_out", grad_out, layer.out_shape, x.dtype)
    expect_like(op, "grad_h", grad_h, layer.states, x.dtype)
    none = mode == "lstm" or (grad_c is None and not need_c0)
    expect(none, ValueError, op, "no gradient of c but for lstm", "one")
    expect_like(op, "grad_c", grad_c, layer.states, x.dtype)
    expect_like(op, "out", out, layer.out_shape, x.dtype)
    flat = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    dout = np.zeros(layer.out_shape, x.dtype) if grad_out is None else grad_out
    dout = dout.reshape(len(flat), layer.directions * layer.hidden)
    dx, dh0, dc0 = np.zeros_like(flat), new(layer.states, x.dtype), new(layer.states, x.dtype)
    grads = []
    with quiet():
        for d in range(layer.directions):
            w_ih, w_hh = layer.weights[d][:2]
            dw_ih, dw_hh = np.zeros_like(w_ih), np.zeros_like(w_hh)
            db_ih, db_hh = np.zeros(len(w_ih), x.dtype), np.zeros(len(w_ih), x.dtype)
            dh, dc = layer.first_state(grad_h, d, x.dtype).copy(), layer.first_state(grad_c, d, x.dtype).copy()
            for rows, kept, before, after in reversed(_Walk(layer, d, flat, h0, c0).steps):
                n = len(rows)
                step_dh = dh[:n] + dout[rows, d * layer.hidden : (d + 1) * layer.hidden]
                dgx, dgh, past, dc[:n] = _cell_bwd(mode, step_dh, dc[:n], kept, before, after)
                dh[:n] = dgh @ w_hh + past
                dx[rows] += dgx @ w_ih
                dw_ih += dgx.T @ flat[rows]
                dw_hh += dgh.T @ before[0]
                db_ih += dgx.sum(0)
                db_hh += dgh.sum(0)
            dh0[d, layer.order], dc0[d, layer.order] = dh, dc
            grads += [dw_ih, dw_hh, db_ih, db_hh][: len(layer.weights[d])]
    return (
        dx.reshape(x.shape) if need_x else None,
        dh0 if need_h0 else None,
        dc0 if need_c0 else None,
        grads if need_weights else [],
    )


# ---- packed sequences ------------------------------------------------------------------------------------------------


def pack_rows(x: Array, batch_sizes: Array, order: Array | None, batch_first: bool) -> Array:
    op = "pack_rows"
    expect_array(op, "input", x)
    rows = _rows_of_steps(op, batch_sizes)
    batch = int(batch_sizes[0])
    places = _checked_order(op, order, batch)
    expect(x.ndim >= 2, ValueError, op, "input with at least 2 dimensions", f"shape {x.shape}")
    by_step = x.swapaxes(0, 1) if batch_first else x
    fits = by_step.shape[1] == batch and by_step.shape[0] >= len(rows)
    expected = f"input of {batch} sequences and at least {len(rows)} steps"
    expect(fits, ValueError, op, expected, f"shape {x.shape}")
    return np.concatenate([by_step[t, places[: len(r)]] for t, r in enumerate(rows)])


def unpack_rows(
    data: Array, batch_sizes: Array, order: Array | None, batch_first: bool, steps: int, padding: float
) -> Array:
    op = "unpack_rows"
    expect_array(op, "data", data)
    rows = _rows_of_steps(op, batch_sizes)
    batch, count = int(batch_sizes[0]), int(batch_sizes.sum())
    places = _checked_order(op, order, batch)
    fits = 1 <= data.ndim < 8 and data.shape[0] == count
    expect(fits, ValueError, op, f"data of {count} rows", f"shape {data.shape}")
    expect(steps >= len(rows), ValueError, op, f"at least {len(rows)} steps", steps)
    out = new((steps, batch, *data.shape[1:]), data.dtype)
    out[...] = padding
    for t, r in enumerate(rows):
        out[t, places[: len(r)]] = data[r]
    return np.ascontiguousarray(out.swapaxes(0, 1)) if batch_first else out
