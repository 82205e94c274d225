"""Recurrent layers: a batch, a single sequence, images row by row, a large model of two layers, training; cells."""

import numpy as np

import fastdl
from bench.row import Row, torch

GATES = {"LSTM": 4, "GRU": 3}


def _inference(layer, x):
    for p in layer.parameters():
        p.requires_grad_(False)
    return lambda: layer(x)


def _training(layer, x):
    x.requires_grad_()
    grad = layer(x)[0].detach() + 1

    def step():
        layer.zero_grad()
        x.grad = None
        layer(x)[0].backward(grad)

    return step


def _row(name: str, t: int, n: int, i: int, h: int, layers: int, goal: float, training: bool = False) -> Row:
    def make():
        calls = _training if training else _inference
        x = np.random.default_rng(0).standard_normal((t, n, i)).astype(np.float32)
        made = {"fastdl": calls(getattr(fastdl.nn, name)(i, h, layers), fastdl.tensor(x))}
        if torch is not None:
            made["PyTorch"] = calls(getattr(torch.nn, name)(i, h, layers), torch.tensor(x))
        return made

    weights = GATES[name] * h * sum((i if layer == 0 else h) + h for layer in range(layers))
    passes = 3 if training else 1
    case = name + (", training" if training else "")
    attributes = {"steps": t, "batch": n, "input": i, "hidden": h, "layers": layers}
    moved = 4.0 * (weights + t * n * (i + layers * h))
    return Row(case, attributes, goal=goal, make=make, flops=2.0 * passes * t * n * weights, bytes=passes * moved)


def _cell(name: str, n: int, i: int, h: int, goal: float) -> Row:
    """One step, without gradients."""

    def make():
        rng = np.random.default_rng(0)
        x, *states = (rng.standard_normal((n, k)).astype(np.float32) for k in (i, h, h))

        def step(kit, tensor):
            cell = getattr(kit, name)(i, h)
            for p in cell.parameters():
                p.requires_grad_(False)
            h_0, c_0 = map(tensor, states)
            given = tensor(x), (h_0, c_0) if name == "LSTMCell" else h_0
            return lambda: cell(*given)

        made = {"fastdl": step(fastdl.nn, fastdl.tensor)}
        if torch is not None:
            made["PyTorch"] = step(torch.nn, torch.tensor)
        return made

    weights = GATES.get(name.removesuffix("Cell"), 1) * h * (i + h)
    attributes = {"batch": n, "input": i, "hidden": h}
    return Row(name, attributes, goal=goal, make=make, flops=2.0 * n * weights, bytes=4.0 * (weights + n * (i + 2 * h)))


ROWS = [
    row
    for name in GATES
    for row in (
        _row(name, 100, 32, 128, 256, 1, 1.0),
        _row(name, 100, 1, 128, 256, 1, 1.4),
        _row(name, 28, 128, 28, 128, 1, 1.0),
        _row(name, 50, 64, 512, 512, 2, 1.0),
        _row(name, 100, 32, 128, 256, 1, 1.3, training=True),
    )
] + [_cell(name, n, 128, 256, 1.0) for name in ("LSTMCell", "GRUCell", "RNNCell") for n in (1, 8, 32)]
