"""Distance matrices of 2,000 x 2,000 rows, beside torch.cdist and, where PyTorch has no metric, SciPy."""

import numpy as np

import fastdl
import fastdl.functional as F
from bench.row import Row, torch

try:
    from scipy.spatial import distance as scipy_distance
except ImportError:
    scipy_distance = None
ROWS_EACH = 2000


def _row(width, p=2.0, metric=None, backward=False, goal=1.0):
    def make():
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal((ROWS_EACH, width)).astype(np.float32) for _ in range(2)]
        calls = {"fastdl": _call(lambda a, b: F.cdist(a, b, p, metric=metric), fastdl, arrays, backward)}
        if torch is not None and metric is None:
            calls["PyTorch"] = _call(lambda a, b: torch.cdist(a, b, p), torch, arrays, backward)
        if scipy_distance is not None and metric is not None:
            calls["SciPy"] = lambda: scipy_distance.cdist(*arrays, metric)
        return calls

    attributes = {"width": width, **({"metric": metric} if metric else {"p": p})}
    name = "cdist, forward and gradient" if backward else "cdist"
    return Row(name, attributes, goal=goal, make=make, flops=3.0 * ROWS_EACH**2 * width * (3 if backward else 1))


def _call(function, kit, arrays, backward):
    tensors = [kit.tensor(a, requires_grad=backward) for a in arrays]
    if not backward:
        return lambda: function(*tensors)
    grad = kit.ones(ROWS_EACH, ROWS_EACH)

    def both():
        for t in tensors:
            t.grad = None
        function(*tensors).backward(grad)

    return both


ROWS = [
    _row(3),
    _row(64),
    _row(256),
    _row(64, 1.0),
    _row(64, float("inf")),
    _row(64, 3.0),
    _row(64, 1.5),
    _row(64, metric="canberra"),
    _row(3, backward=True),
    _row(64, backward=True),
    _row(64, 1.0, backward=True),
]
