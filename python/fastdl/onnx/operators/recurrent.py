"""LSTM, GRU and RNN: by fastdl's kernel where it computes the same, else a step at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import functional as F
from ...functional import arithmetic, comparison, layout
from ...functional.activation import elu, leaky_relu
from ...functional.rearranging import chunk, flip
from ...functional.recurrent import pack_rows, recurrent, unpack_rows
from ...tensor import Tensor
from .activation import hard_sigmoid_of
from .indexing import reversed_steps
from .registry import Value, host, operator

# Order of the gates in fastdl's weights (PyTorch's), as places in those of ONNX.
GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_PARAMETERS = {"LeakyRelu": (0.01, None), "ThresholdedRelu": (1.0, None), "HardSigmoid": (0.2, 0.5), "Elu": (1.0, None),
               "Affine": (1.0, 0.0), "ScaledTanh": (1.0, 1.0)}  # fmt: skip
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "Sigmoid": lambda x, a, b: F.sigmoid(x),
    "Tanh": lambda x, a, b: F.tanh(x),
    "Relu": lambda x, a, b: F.relu(x),
    "Softsign": lambda x, a, b: F.softsign(x),
    "Softplus": lambda x, a, b: F.softplus(x),
    "LeakyRelu": lambda x, a, b: leaky_relu(x, a),
    "ThresholdedRelu": lambda x, a, b: F.threshold(x, a, 0.0),
    "HardSigmoid": lambda x, a, b: hard_sigmoid_of(x, a, b),
    "Elu": lambda x, a, b: elu(x, a),
    "Affine": lambda x, a, b: arithmetic.add(arithmetic.mul(x, a), b),
    "ScaledTanh": lambda x, a, b: arithmetic.mul(F.tanh(arithmetic.mul(x, b)), a),
}


class _Layer(NamedTuple):
    """What a node computes with, the same for all directions."""

    kind: str
    lengths: np.ndarray | None
    clip: float | None


class _Direction(NamedTuple):
    weights: list[Tensor]  # input, recurrent, and their biases
    h: Tensor | None
    c: Tensor | None
    peepholes: Tensor | None
    activations: list[Callable[[Tensor], Tensor]]


def _reordered(node: Any, kind: str, w: Value, r: Value, b: Value) -> list[list[Tensor]]:
    """For each direction its weights with gates in fastdl's order."""

    def rows(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(array, len(GATES[kind]))[i] for i in GATES[kind]])

    each = []
    for d in range(w.shape[0]):
        parts = [host(w)[d], host(r)[d], *(np.split(host(b)[d], 2) if b is not None else ())]
        each.append([node.tensor(np.ascontiguousarray(rows(p))) for p in parts])
    return each


def _activation(name: str, alpha: float | None, beta: float | None) -> Callable[[Tensor], Tensor]:
    if name not in _ACTIVATIONS:
        raise NotImplementedError(f"expected activations {', '.join(_ACTIVATIONS)}, got {name}")
    a, b = _PARAMETERS.get(name, (None, None))
    first, second = (a if alpha is None else alpha), (b if beta is None else beta)
    return lambda x: _ACTIVATIONS[name](x, first, second)


def _activations(node: Any, names: list[str]) -> list[Callable[[Tensor], Tensor]]:
    """Numbers are given for the activations that take some, in their order."""
    alphas, betas = iter(node.get("activation_alpha") or ()), iter(node.get("activation_beta") or ())
    found = []
    for name in names:
        a, b = _PARAMETERS.get(name, (None, None))
        found.append(
            _activation(name, None if a is None else next(alphas, None), None if b is None else next(betas, None))
        )
    return found


def _run(
    node: Any, kind: str, x: Value, w: Value, r: Value, b: Value, lengths: Value, h0: Value, c0: Value, p: Value
) -> Any:
    batch_first = bool(node.get("layout", 0))
    steps = layout.transpose(node.tensor(x), 0, 1) if batch_first else node.tensor(x)
    sizes = None if lengths is None else host(lengths).astype(np.int64)
    if sizes is not None and (sizes == steps.shape[0]).all():
        sizes = None
    names = node.get("activations") or DEFAULTS[kind] * w.shape[0]
    layer = _Layer(kind, sizes, node.get("clip"))
    weights = node.prepared("weights", [w, r, b], lambda w, r, b: _reordered(node, kind, w, r, b))
    functions = _activations(node, names)
    each = len(functions) // w.shape[0]

    def of(value: Value, d: int) -> Tensor | None:
        return (
            None
            if value is None
            else layout.index(node.tensor(value), (slice(None), d) if batch_first and value is not p else d)
        )

    outs: list[tuple[Tensor, Any, Any]] = []
    for d in range(w.shape[0]):
        direction = _Direction(weights[d], of(h0, d), of(c0, d), of(p, d), functions[d * each : (d + 1) * each])
        backwards = d == 1 or node.get("direction", "forward") == "reverse"
        plain = _is_plain(node, layer, names[d * each : (d + 1) * each], direction)
        seen = _reversed(node, steps, sizes) if backwards else steps
        y, h, c = (
            _by_kernel(node, seen, layer, direction, names[d * each])
            if plain
            else _by_step(node, seen, layer, direction)
        )
        outs.append((_reversed(node, y, sizes) if backwards else y, h, c))
    axes = (2, 1) if batch_first else (1, 0)  # of the directions in all outputs, and in the states
    whole = layout.stack([layout.transpose(y, 0, 1) if batch_first else y for y, _, _ in outs], axes[0])
    last = [layout.stack([o[i] for o in outs], axes[1]) for i in (1, 2) if outs[0][i] is not None]
    return (whole, *last)


def _reversed(node: Any, x: Tensor, lengths: np.ndarray | None) -> Tensor:
    return flip(x, 0) if lengths is None else reversed_steps(node, x, lengths)


def _is_plain(node: Any, layer: _Layer, names: list[str], d: _Direction) -> bool:
    """Whether the kernel computes this."""
    usual = names == DEFAULTS[layer.kind] or (layer.kind == "RNN" and names == ["Relu"])
    if layer.kind == "GRU":
        usual = usual and bool(node.get("linear_before_reset", 0))
    no_empty = layer.lengths is None or layer.lengths.min(initial=1) > 0
    return usual and layer.clip is None and d.peepholes is None and not node.get("input_forget", 0) and no_empty


def _by_kernel(node: Any, x: Tensor, layer: _Layer, d: _Direction, name: str) -> tuple[Tensor, Tensor, Tensor | None]:
    mode = f"rnn_{name.lower()}" if layer.kind == "RNN" else layer.kind.lower()
    h, c = (None if s is None else layout.unsqueeze(s, 0) for s in (d.h, d.c))
    if layer.lengths is None:
        y, h_n, c_n = recurrent(x, d.weights, mode, h, c)
    else:
        order = np.argsort(-layer.lengths, kind="stable")
        at = node.tensor((layer.lengths[:, None] > np.arange(layer.lengths.max())).sum(0)), node.tensor(order)
        rows, h_n, c_n = recurrent(pack_rows(x, *at), d.weights, mode, h, c, *at)
        y = unpack_rows(rows, *at, steps=x.shape[0])
    return y, layout.squeeze(h_n, 0), None if c_n is None else layout.squeeze(c_n, 0)


# ---- a step at a time ------------------------------------------------------------------------------------------------


def _by_step(node: Any, x: Tensor, layer: _Layer, d: _Direction) -> tuple[Tensor, Tensor, Tensor | None]:
    step = {"LSTM": _lstm_step, "GRU": _gru_step, "RNN": _rnn_step}[layer.kind]
    size = d.weights[1].shape[1]
    nothing = node.tensor(np.zeros((x.shape[1], size), x.dtype.numpy))
    h, c = nothing if d.h is None else d.h, nothing if d.c is None else d.c
    w, _, *bias = d.weights
    inputs = F.linear(x, w, bias[0] if bias else None)
    ys = []
    for t in range(x.shape[0]):
        new_h, new_c = step(node, layer, d, layout.index(inputs, t), h, c)
        if layer.lengths is None:
            h, c, y = new_h, new_c, new_h
        else:
            running = node.tensor((layer.lengths > t)[:, None])
            h, c = comparison.where(running, new_h, h), comparison.where(running, new_c, c)
            y = comparison.where(running, new_h, nothing)
        ys.append(y)
    return layout.stack(ys, 0), h, c if layer.kind == "LSTM" else None


def _clipped(layer: _Layer, x: Tensor) -> Tensor:
    return x if layer.clip is None else comparison.clamp(x, -layer.clip, layer.clip)


def _recurrent_part(d: _Direction, h: Tensor) -> Tensor:
    return F.linear(h, d.weights[1], d.weights[3] if len(d.weights) > 2 else None)


def _rnn_step(node: Any, layer: _Layer, d: _Direction, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return d.activations[0](_clipped(layer, arithmetic.add(x, _recurrent_part(d, h)))), c


def _lstm_step(node: Any, layer: _Layer, d: _Direction, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    gate, inner, outer = d.activations
    i, f, g, o = chunk(arithmetic.add(x, _recurrent_part(d, h)), 4, 1)
    if d.peepholes is not None:
        p_i, p_o, p_f = chunk(d.peepholes, 3, 0)
        i, f = (arithmetic.add(v, arithmetic.mul(p, c)) for v, p in ((i, p_i), (f, p_f)))
    i = gate(_clipped(layer, i))
    f = arithmetic.sub(1.0, i) if node.get("input_forget", 0) else gate(_clipped(layer, f))
    new_c = arithmetic.add(arithmetic.mul(f, c), arithmetic.mul(i, inner(_clipped(layer, g))))
    if d.peepholes is not None:
        o = arithmetic.add(o, arithmetic.mul(p_o, new_c))
    return arithmetic.mul(gate(_clipped(layer, o)), outer(_clipped(layer, new_c))), new_c


def _gru_step(node: Any, layer: _Layer, d: _Direction, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Without linear_before_reset the reset gate acts on the state, before its product."""
    gate, inner = d.activations
    size = h.shape[1]
    xr, xz, xn = chunk(x, 3, 1)
    hr, hz, hn = chunk(_recurrent_part(d, h), 3, 1)
    r, z = (gate(_clipped(layer, arithmetic.add(a, b))) for a, b in ((xr, hr), (xz, hz)))
    if node.get("linear_before_reset", 0):
        n = arithmetic.add(xn, arithmetic.mul(r, hn))
    else:
        weight = layout.index(d.weights[1], slice(2 * size, None))
        bias = layout.index(d.weights[3], slice(2 * size, None)) if len(d.weights) > 2 else None
        n = arithmetic.add(xn, F.linear(arithmetic.mul(r, h), weight, bias))
    n = inner(_clipped(layer, n))
    return arithmetic.add(n, arithmetic.mul(z, arithmetic.sub(h, n))), c


# ---- operators -------------------------------------------------------------------------------------------------------


@operator("LSTM")
def lstm(
    node: Any, x: Value, w: Value, r: Value, b: Value = None, lengths: Value = None, h0: Value = None,
    c0: Value = None, p: Value = None,
) -> Any:  # fmt: skip
    if (h0 is None) != (c0 is None):  # the kernel wants both or none
        given = h0 if c0 is None else c0
        zeros = arithmetic.mul(node.tensor(given), 0.0)
        h0, c0 = (zeros if v is None else v for v in (h0, c0))
    return _run(node, "LSTM", x, w, r, b, lengths, h0, c0, p)


@operator("GRU")
def gru(node: Any, x: Value, w: Value, r: Value, b: Value = None, lengths: Value = None, h0: Value = None) -> Any:
    return _run(node, "GRU", x, w, r, b, lengths, h0, None, None)


@operator("RNN")
def rnn(node: Any, x: Value, w: Value, r: Value, b: Value = None, lengths: Value = None, h0: Value = None) -> Any:
    return _run(node, "RNN", x, w, r, b, lengths, h0, None, None)
