"""Sorting and selection along the last axis and the first, with PyTorch's sort as it is by default: not stable."""

from functools import partial

import numpy as np

import fastdl
from bench.row import Row, torch


def _row(name, call, shape, dtype="float32", bytes=None):
    """`call(kit, x)`; integers come from the whole range of int64."""

    def make():
        rng = np.random.default_rng(0)
        x = rng.integers(-(2**62), 2**62, shape) if dtype == "int64" else rng.standard_normal(shape).astype(dtype)
        kits = {"fastdl": fastdl} if torch is None else {"fastdl": fastdl, "PyTorch": torch}
        return {label: partial(call, kit, kit.tensor(x)) for label, kit in kits.items()}

    return Row(name, {"x": shape, "dtype": dtype}, goal=1.0, make=make, bytes=bytes)


def _gradient(name, call, shape):
    """Of the values alone."""

    def make():
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        kits = {"fastdl": fastdl} if torch is None else {"fastdl": fastdl, "PyTorch": torch}
        return {label: _backward(kit, kit.tensor(x, requires_grad=True), call) for label, kit in kits.items()}

    return Row(f"{name}, gradient", {"x": shape}, goal=1.0, make=make)


def _backward(kit, x, call):
    out = call(kit, x)
    grad = kit.ones_like(out)

    def gradient():
        x.grad = None
        out.backward(grad, retain_graph=True)

    return gradient


MILLION, ROWS_OF, COLUMNS, LOGITS, CLASSES = (1_000_000,), (4096, 1000), (1000, 4096), (128, 32000), (128, 1000)
ROWS = [
    _row("sort", lambda kit, x: kit.sort(x), MILLION, bytes=16e6),
    _row("sort, axis 1", lambda kit, x: kit.sort(x, 1), ROWS_OF, bytes=16.0 * 4096e3),
    _row("sort, axis 0", lambda kit, x: kit.sort(x, 0), COLUMNS, bytes=16.0 * 4096e3),
    _row("sort, axis 1", lambda kit, x: kit.sort(x, 1), (20_000, 64), bytes=16.0 * 1280e3),
    _row("argsort", lambda kit, x: kit.argsort(x), MILLION, "int64", bytes=16e6),
    _row("topk, k 5", lambda kit, x: kit.topk(x, 5), LOGITS, bytes=4.0 * 4096e3),
    _row("topk, k 100", lambda kit, x: kit.topk(x, 100), (1, *MILLION), bytes=4e6),
    _row("topk, k 1000", lambda kit, x: kit.topk(x, 1000), MILLION, bytes=4e6),
    _row("topk, k 5", lambda kit, x: kit.topk(x, 5), CLASSES, bytes=4.0 * 128e3),
    _row("median, axis 1", lambda kit, x: kit.median(x, 1), ROWS_OF, bytes=4.0 * 4096e3),
    _row("median", lambda kit, x: kit.median(x), MILLION, bytes=4e6),
    _row("searchsorted", lambda kit, x: kit.searchsorted(kit.sort(x[:1000]).values, x), MILLION, bytes=12e6),
    _row("unique", lambda kit, x: kit.unique(x), MILLION, "int64"),
    _gradient("topk, k 5", lambda kit, x: kit.topk(x, 5).values, LOGITS),
    _gradient("sort, axis 1", lambda kit, x: kit.sort(x, 1).values, ROWS_OF),
]
