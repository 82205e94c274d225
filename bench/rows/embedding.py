"""Lookups in a table of 50,000 rows: evenly spread, and as words are spread (Zipf), singly and in bags."""

import numpy as np

import fastdl
import fastdl.functional as F
from bench.row import Row, torch

ROWS_OF_TABLE, WIDTH, SHAPE = 50_000, 128, (64, 200)


def _indices(zipf: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    if not zipf:
        return rng.integers(0, ROWS_OF_TABLE, SHAPE)
    chances = 1.0 / np.arange(1, ROWS_OF_TABLE + 1)
    return rng.choice(ROWS_OF_TABLE, SHAPE, p=chances / chances.sum())


def _calls(function, tensors, backward):
    """One call of a function, or its gradient alone."""
    table = tensors[0]
    if not backward:
        return lambda: function(*tensors)
    table.requires_grad_()
    out = function(*tensors)
    grad = out.detach() + 1

    def gradient():
        table.grad = None
        out.backward(grad, retain_graph=True)

    return gradient


def _row(bag: bool, zipf: bool, backward: bool, goal: float) -> Row:
    def make():
        index = _indices(zipf)
        table = np.random.default_rng(1).standard_normal((ROWS_OF_TABLE, WIDTH)).astype(np.float32)
        ours = (lambda w, i: F.embedding_bag(i, w)) if bag else (lambda w, i: F.embedding(i, w))
        calls = {"fastdl": _calls(ours, [fastdl.tensor(table), fastdl.tensor(index)], backward)}
        if torch is not None:
            peer = torch.nn.functional.embedding_bag if bag else torch.nn.functional.embedding
            tensors = [torch.tensor(table), torch.tensor(index)]
            calls["PyTorch"] = _calls(lambda w, i: peer(i, w), tensors, backward)
        return calls

    read = 4.0 * WIDTH * SHAPE[0] * SHAPE[1]
    written = 4.0 * WIDTH * (ROWS_OF_TABLE if backward else SHAPE[0] if bag else SHAPE[0] * SHAPE[1])
    name = ("embedding_bag" if bag else "embedding") + (", gradient" if backward else "")
    return Row(name, {"indices": "Zipf" if zipf else "even"}, goal=goal, make=make, bytes=read + written)


ROWS = [
    _row(bag, zipf, backward, goal)
    for bag in (False, True)
    for zipf in (False, True)
    for backward, goal in ((False, 1.0), (True, 5.0))
]
