"""Choosing by index and mask, and the gradients that add up by index."""

import numpy as np

import fastdl
from bench.row import Row, torch

SHAPE, COUNT = (20_000, 64), 50_000


def _row(name, function, inputs, backward=False, goal=1.0):
    """`function(kit, tensors)`; with `backward` the gradient alone."""

    def make():
        arrays = inputs(np.random.default_rng(0))
        kits = {"fastdl": fastdl} if torch is None else {"fastdl": fastdl, "PyTorch": torch}
        return {label: _call(function, kit, [kit.tensor(a) for a in arrays], backward) for label, kit in kits.items()}

    return Row(f"{name}, gradient" if backward else name, goal=goal, make=make)


def _call(function, kit, tensors, backward):
    if not backward:
        return lambda: function(kit, *tensors)
    tensors[0].requires_grad_()
    out = function(kit, *tensors)
    grad = kit.ones_like(out)

    def gradient():
        tensors[0].grad = None
        out.backward(grad, retain_graph=True)

    return gradient


def _table(rng):
    return [rng.standard_normal(SHAPE).astype(np.float32), rng.integers(0, SHAPE[0], COUNT)]


def _square(rng):
    return [rng.standard_normal((1000, 1000)).astype(np.float32), rng.integers(0, 1000, (1000, 1000))]


def _line(rng):
    return [rng.standard_normal(1_000_000).astype(np.float32)]


ROWS = [
    _row("x[index]", lambda kit, x, i: x[i], _table),
    _row("x[index]", lambda kit, x, i: x[i], _table, backward=True),
    _row("index_select, axis 1", lambda kit, x, i: kit.index_select(x, 1, i[0]), _square),
    _row("gather, axis 1", lambda kit, x, i: kit.gather(x, 1, i), _square),
    _row("gather, axis 1", lambda kit, x, i: kit.gather(x, 1, i), _square, backward=True),
    _row("gather, axis 0", lambda kit, x, i: kit.gather(x, 0, i), _square),
    _row("scatter_add, axis 1", lambda kit, x, i: kit.scatter_add(x, 1, i, x), _square),
    _row("x[x > 0]", lambda kit, x: x[x > 0], _line),
    _row("nonzero", lambda kit, x: kit.nonzero(x > 0), _line),
    _row("masked_fill", lambda kit, x: kit.masked_fill(x, x > 0, 0.0), _line),
]
