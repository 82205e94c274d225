"""Steps over 60 matrices of 256 x 256 and clipping of their gradients, beside PyTorch's defaults."""

import numpy as np

import fastdl
from bench.row import Row, torch

COUNT, SIZE = 60, 256
NUMBERS = COUNT * SIZE * SIZE


def _parameters(kit, parameter):
    rng = np.random.default_rng(0)
    params = []
    for _ in range(COUNT):
        w, g = (rng.standard_normal((SIZE, SIZE)).astype(np.float32) for _ in range(2))
        p = parameter(kit.tensor(w))
        p.grad = kit.tensor(g)
        params.append(p)
    return params


def _each(run):
    """`run(library, parameters)` for fastdl and PyTorch."""
    calls = {"fastdl": run(fastdl, _parameters(fastdl, fastdl.nn.Parameter))}
    if torch is not None:
        calls["PyTorch"] = run(torch, _parameters(torch, torch.nn.Parameter))
    return calls


def _step(name, streams, **options):
    """`streams`: numbers read and written for each parameter."""

    def make():
        return _each(lambda kit, params: getattr(kit.optim, name)(params, lr=1e-4, **options).step)

    return Row(f"{name} step", {**options, "matrices": COUNT}, goal=2.0, make=make, bytes=4.0 * NUMBERS * streams)


def _clip(name, limit, streams):
    def make():
        return _each(lambda kit, params: lambda: getattr(kit.nn.utils, name)(params, limit))

    return Row(name, {"limit": limit, "matrices": COUNT}, goal=2.0, make=make, bytes=4.0 * NUMBERS * streams)


ROWS = [
    _step("Adam", 7),
    _step("AdamW", 7),
    _step("SGD", 5, momentum=0.9),
    _step("RMSprop", 5),
    _step("Adagrad", 5),
    _clip("clip_grad_norm_", 1e9, 1),
    _clip("clip_grad_norm_", 0.0, 3),
]
