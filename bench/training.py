"""Whole steps beside PyTorch: the digits network, a tiny network (all overhead), and one addition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl
from fastdl import nn, optim

from .row import Row, torch


def digits_layers(kit: Any) -> Any:
    return kit.Sequential(
        kit.Conv2d(1, 32, 3), kit.ReLU(), kit.Conv2d(32, 32, 3), kit.ReLU(), kit.Dropout(0.25), kit.MaxPool2d(2),
        kit.Conv2d(32, 16, 3), kit.ReLU(), kit.Conv2d(16, 16, 3), kit.ReLU(), kit.Dropout(0.25), kit.MaxPool2d(2),
        kit.Flatten(), kit.Linear(256, 10),
    )  # fmt: skip


def tiny_layers(kit: Any) -> Any:
    return kit.Sequential(kit.Linear(2, 16), kit.Tanh(), kit.Linear(16, 2))


def step(model: Any, optimizer: Any, loss: Any, x: Any, y: Any) -> Callable[[], None]:
    """One training step of either library: their code is the same."""

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return run


def steps(layers: Callable[[Any], Any], shape: tuple[int, ...], classes: int) -> dict[str, Callable[[], None]]:
    """A training step in fastdl and in PyTorch's memory formats."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(np.float32), rng.integers(0, classes, shape[0])
    mine = layers(nn)
    runs = {
        "fastdl": step(mine, optim.Adam(mine.parameters()), nn.CrossEntropyLoss(), fastdl.tensor(x), fastdl.tensor(y))
    }
    if torch is not None:
        for name in ("PyTorch", "PyTorch channels_last")[: 2 if len(shape) == 4 else 1]:
            theirs, tx = layers(torch.nn), torch.from_numpy(x)
            if name.endswith("last"):
                theirs, tx = theirs.to(memory_format=torch.channels_last), tx.to(memory_format=torch.channels_last)
            optimizer = torch.optim.Adam(theirs.parameters())
            runs[name] = step(theirs, optimizer, torch.nn.CrossEntropyLoss(), tx, torch.from_numpy(y))
    return runs


def additions() -> dict[str, Callable[[], Any]]:
    """a + b of one element each, recorded for gradients."""
    a, b = fastdl.ones(1, requires_grad=True), fastdl.ones(1, requires_grad=True)
    runs: dict[str, Callable[[], Any]] = {"fastdl": lambda: a + b}
    if torch is not None:
        c, d = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        runs["PyTorch"] = lambda: c + d
    return runs


ROWS = [
    Row("digits network, training step, batch 128", goal=2.0, make=lambda: steps(digits_layers, (128, 1, 28, 28), 10)),
    Row("network 2-16-2, training step, batch 32", goal=5.0, make=lambda: steps(tiny_layers, (32, 2), 2)),
    Row("one-element a + b with gradients", goal=2.0, make=additions),
]
