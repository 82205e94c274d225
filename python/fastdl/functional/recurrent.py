"""Recurrent layers over whole sequences, their cells, and the packing of sequences of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Node, fresh, record, recording
from ..outputs import record_several
from ..tensor import Tensor
from .arguments import expect_beside, expect_tensor, flag

Array = Any
States = tuple[Tensor, Tensor | None]


def _array(value: Any, first: Tensor, op: str, name: str) -> Array:
    return None if value is None else expect_beside(value, first, op, name)._array


# ---- a layer ---------------------------------------------------------------------------------------------------------


def _gradients(node: Node, saved: tuple[Any, ...], g: list[Array | None]) -> list[Array | None]:
    """Of x, the states and the weights, from those of the output, h_n and c_n."""
    k, (mode, x, h0, c0, weights, sizes, order, both, batch_first, out, gates, cells) = node.backend, saved
    has_h, has_c = h0 is not None, c0 is not None
    first = 1 + has_h + has_c  # weight
    needs = node.needs(0), has_h and node.needs(1), has_c and node.needs(2)
    need_weights = any(node.needs(i) for i in range(first, len(node.edges)))
    grad_c = g[2] if mode == "lstm" else None
    dx, dh, dc, dw = k.recurrent_bwd(
        mode, g[0], g[1], grad_c, x, h0, c0, weights, sizes, order, both, batch_first, out, gates, cells, *needs,
        need_weights,
    )  # fmt: skip
    return [dx, *([dh] if has_h else []), *([dc] if has_c else []), *(dw if need_weights else [None] * len(weights))]


@fresh
def _recurrent_bwd(node: Node, g: list[Array | None]) -> list[Array | None]:
    return _gradients(node, node.saved, g)


def recurrent(
    input: Tensor,
    weights: Sequence[Tensor],
    mode: str,
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    order: Tensor | None = None,
    bidirectional: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One recurrent layer over all steps of all sequences: (output, h_n, c_n); c_n is None but for "lstm".

    What `torch.nn.RNN`, `LSTM` and `GRU` do in one layer. Modes, with g = W_ih x + b_ih + W_hh h + b_hh:

    - "rnn_tanh", "rnn_relu": h' = tanh(g), max(g, 0) (Elman 1990)
    - "lstm": i, f, o = sigmoid(g), c' = f c + i tanh(g), h' = o tanh(c'); gates in the order i, f, g, o (Hochreiter and
      Schmidhuber 1997, Gers et al. 2000)
    - "gru": r, z = sigmoid(g), n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = n + z (h - n); gates in the order
      r, z, n (Cho et al. 2014)

    Shapes: input (T, N, I), (N, T, I) with `batch_first`, or packed rows (R, I) with `batch_sizes` (T,), the number of
    sequences at each step, longest first, and `order` (N,), the place of each in the states (None: its own). For each
    direction `weights` has weight_ih (G*H, I), weight_hh (G*H, H) and, or not, bias_ih and bias_hh (G*H,), with G = 1,
    4, 3 gates. States (D, N, H), zeros if None; output like the input with D*H numbers a row, D = 2 if bidirectional.

    Raises:
        TypeError: for arguments that are not Tensors, or dtypes that differ or are not float32 or float64.
        ValueError: for a mode that does not exist and shapes that do not fit together.

    >>> import fastdl
    >>> w_ih, w_hh = fastdl.ones(1, 2), fastdl.ones(1, 1)
    >>> out, h_n, c_n = recurrent(fastdl.ones(3, 1, 2), [w_ih, w_hh], "rnn_relu")
    >>> out.flatten().tolist(), h_n.tolist(), c_n
    ([2.0, 4.0, 6.0], [[[6.0]]], None)
    """
    op = "recurrent"
    x = expect_tensor(input, op)
    k = x._backend
    ws = [expect_beside(w, x, op, "weights") for w in weights]
    states = [s for s in (h_0, c_0) if s is not None]
    h, c = _array(h_0, x, op, "h_0"), _array(c_0, x, op, "c_0")
    sizes, place = _array(batch_sizes, x, op, "batch_sizes"), _array(order, x, op, "order")
    both, first = flag(bidirectional, op, "bidirectional"), flag(batch_first, op, "batch_first")
    training = recording(x, *states, *ws)
    arrays = [w._array for w in ws]
    result = k.recurrent(mode, x._array, h, c, arrays, sizes, place, both, first, training)
    outs = [Tensor(a, k) for a in result[:3] if a is not None]
    if training:
        saved = (mode, x._array, h, c, arrays, sizes, place, both, first, result[0], *result[3:])
        record_several(outs, _recurrent_bwd, (x, *states, *ws), saved)
    return outs[0], outs[1], outs[2] if len(outs) == 3 else None


# ---- cells -----------------------------------------------------------------------------------------------------------


@fresh
def _cell_bwd(node: Node, g: list[Array | None]) -> list[Array | None]:
    k, (shapes, steps, saved) = node.backend, node.saved
    whole = [None, *(a if a is None else k.reshape(a, steps) for a in g)]
    grads = _gradients(node, saved, whole)
    for i, shape in enumerate(shapes):
        grads[i] = grads[i] if grads[i] is None else k.reshape(grads[i], shape)
    return grads


def _cell(
    op: str, mode: str, input: Tensor, h: Tensor, c: Tensor | None, weights: Sequence[Tensor | None]
) -> list[Tensor]:
    """One step, a sequence of one: h', or (h', c')."""
    x = expect_tensor(input, op)
    k, given = x._backend, [expect_beside(w, x, op, "weights") for w in weights if w is not None]
    if x.ndim not in (1, 2):
        raise ValueError(f"[{op}] expected input with 1 or 2 dimensions, got shape {x.shape}")
    states = [h] if c is None else [h, c]
    for name, state in zip("hc", states, strict=False):
        if expect_beside(state, x, op, name).ndim != x.ndim:
            raise ValueError(f"[{op}] expected {name} with {x.ndim} dimensions, got shape {state.shape}")
    # Arrays and not tensors: six views of tensors would take as long as a small step.
    lead = (1,) if x.ndim == 2 else (1, 1)
    first, *before = [k.reshape(t._array, lead + t.shape) for t in (x, *states)]
    h_0, c_0 = before if c is not None else (*before, None)
    arrays, training = [w._array for w in given], recording(x, *states, *given)
    out, h_n, c_n, gates, cells = k.recurrent(mode, first, h_0, c_0, arrays, None, None, False, False, training)
    outs = [Tensor(k.reshape(a, h.shape), k) for a in (h_n, c_n) if a is not None]
    if training:
        shapes = [t.shape for t in (x, *states)]
        saved = (mode, first, h_0, c_0, arrays, None, None, False, False, out, gates, cells)
        record_several(outs, _cell_bwd, (x, *states, *given), (shapes, lead + h.shape, saved))
    return outs


def lstm_cell(
    input: Tensor, hx: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One step of an LSTM: (h', c') from input (N, I) or (I,) and hx = (h, c) (`torch.lstm_cell`).

    >>> import fastdl
    >>> h = c = fastdl.zeros(2, 3)
    >>> h, c = lstm_cell(fastdl.ones(2, 4), (h, c), fastdl.ones(12, 4), fastdl.ones(12, 3))
    >>> h.shape, round(c[0, 0].item(), 4)
    ((2, 3), 0.9814)
    """
    h, c = _cell("lstm_cell", "lstm", input, hx[0], hx[1], (w_ih, w_hh, b_ih, b_hh))
    return h, c


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of a GRU: h' from input (N, I) or (I,) and h (`torch.gru_cell`)."""
    return _cell("gru_cell", "gru", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of an RNN: tanh(W_ih x + b_ih + W_hh h + b_hh) (`torch.rnn_tanh_cell`)."""
    return _cell("rnn_tanh_cell", "rnn_tanh", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """One step of an RNN with relu (`torch.rnn_relu_cell`)."""
    return _cell("rnn_relu_cell", "rnn_relu", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


# ---- sequences of different lengths ----------------------------------------------------------------------------------


@fresh
def _pack_bwd(node: Node, g: Array) -> tuple[Array]:
    sizes, order, batch_first, steps = node.saved
    return (node.backend.unpack_rows(g, sizes, order, batch_first, steps, 0.0),)


@fresh
def _unpack_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.pack_rows(g, *node.saved),)


def pack_rows(input: Tensor, batch_sizes: Tensor, order: Tensor | None = None, batch_first: bool = False) -> Tensor:
    """Rows (R, *) of a padded batch (T, N, *), step after step, the longest sequence first; arguments as `recurrent`.

    >>> import fastdl
    >>> padded = fastdl.tensor([[1, 4], [2, 5], [3, 0]])
    >>> pack_rows(padded, fastdl.tensor([2, 2, 1])).tolist()
    [1, 4, 2, 5, 3]
    """
    op = "pack_rows"
    x = expect_tensor(input, op)
    sizes, place = _array(batch_sizes, x, op, "batch_sizes"), _array(order, x, op, "order")
    first = flag(batch_first, op, "batch_first")
    out = Tensor(x._backend.pack_rows(x._array, sizes, place, first), x._backend)
    if recording(x):
        record(out, _pack_bwd, (x,), (sizes, place, first, x.shape[1 if first else 0]))
    return out


def unpack_rows(
    data: Tensor, batch_sizes: Tensor, order: Tensor | None = None, batch_first: bool = False,
    steps: int | None = None, padding: float = 0.0,
) -> Tensor:  # fmt: skip
    """A padded batch of `steps` steps (None: as many as the longest sequence has) from packed rows."""
    op = "unpack_rows"
    x = expect_tensor(data, op, "data")
    sizes, place = _array(batch_sizes, x, op, "batch_sizes"), _array(order, x, op, "order")
    first = flag(batch_first, op, "batch_first")
    count = batch_sizes.shape[0] if steps is None else steps
    out = Tensor(x._backend.unpack_rows(x._array, sizes, place, first, count, padding), x._backend)
    if recording(x):
        record(out, _unpack_bwd, (x,), (sizes, place, first))
    return out
