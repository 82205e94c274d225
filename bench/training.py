"""Whole training steps beside PyTorch: networks of each kind, a tiny one (all overhead), and one addition.

A network is written once: `kit` is fastdl.nn or torch.nn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

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


def perceptron_layers(kit: Any) -> Any:
    return kit.Sequential(
        kit.Linear(784, 512), kit.ReLU(), kit.Linear(512, 512), kit.ReLU(), kit.Linear(512, 10)
    )  # fmt: skip


def lstm_layers(kit: Any) -> Any:
    """Reads an image row by row, and decides after the last one."""

    class Classifier(kit.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = kit.LSTM(28, 128, batch_first=True)
            self.head = kit.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    return Classifier()


def resnet18_layers(kit: Any) -> Any:
    """ResNet-18 (He et al., 2015): a stem and four stages of two residual blocks each."""

    class Block(kit.Module):
        def __init__(self, channels: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = kit.Conv2d(channels, out, 3, stride, 1, bias=False), kit.BatchNorm2d(out)
            self.conv2, self.bn2 = kit.Conv2d(out, out, 3, 1, 1, bias=False), kit.BatchNorm2d(out)
            self.relu, self.shortcut = kit.ReLU(), None
            if stride > 1 or channels != out:
                self.shortcut = kit.Sequential(kit.Conv2d(channels, out, 1, stride, bias=False), kit.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    stages = [b for c, k, s in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
              for b in (Block(c, k, s), Block(k, k, 1))]  # fmt: skip
    return resnet_layers(kit, stages, 512)


def resnet50_layers(kit: Any) -> Any:
    """ResNet-50: stages of 3, 4, 6 and 3 blocks of 1x1, 3x3 and 1x1 kernels; the stride is that of the 3x3."""

    class Block(kit.Module):
        def __init__(self, channels: int, width: int, stride: int) -> None:
            super().__init__()
            out = 4 * width
            self.conv1, self.bn1 = kit.Conv2d(channels, width, 1, bias=False), kit.BatchNorm2d(width)
            self.conv2, self.bn2 = kit.Conv2d(width, width, 3, stride, 1, bias=False), kit.BatchNorm2d(width)
            self.conv3, self.bn3 = kit.Conv2d(width, out, 1, bias=False), kit.BatchNorm2d(out)
            self.relu, self.shortcut = kit.ReLU(), None
            if stride > 1 or channels != out:
                self.shortcut = kit.Sequential(kit.Conv2d(channels, out, 1, stride, bias=False), kit.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
            return self.relu(self.bn3(self.conv3(y)) + (x if self.shortcut is None else self.shortcut(x)))

    stages = [b for c, w, s, count in ((64, 64, 1, 3), (256, 128, 2, 4), (512, 256, 2, 6), (1024, 512, 2, 3))
              for b in (Block(c, w, s), *(Block(4 * w, w, 1) for _ in range(count - 1)))]  # fmt: skip
    return resnet_layers(kit, stages, 2048)


def resnet_layers(kit: Any, stages: list[Any], channels: int) -> Any:
    """The stem and the head of a ResNet around its stages."""
    return kit.Sequential(
        kit.Conv2d(3, 64, 7, 2, 3, bias=False), kit.BatchNorm2d(64), kit.ReLU(), kit.MaxPool2d(3, 2, 1), *stages,
        kit.AdaptiveAvgPool2d(1), kit.Flatten(), kit.Linear(channels, 1000),
    )  # fmt: skip


def step(model: Any, optimizer: Any, loss: Any, x: Any, y: Any) -> Callable[[], None]:
    """One training step of either library: their code is the same."""

    def run() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return run


LIBRARIES = ("fastdl", "PyTorch", "PyTorch channels_last")


def training(library: str, layers: Callable[[Any], Any], shape: tuple[int, ...], classes: int) -> Callable[[], None]:
    """A training step in one library, on the same numbers in each."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(np.float32), rng.integers(0, classes, shape[0])
    if library == "fastdl":
        mine = layers(nn)
        return step(mine, optim.Adam(mine.parameters()), nn.CrossEntropyLoss(), fastdl.tensor(x), fastdl.tensor(y))
    theirs, tx = layers(torch.nn), torch.from_numpy(x)
    if library.endswith("last"):
        theirs, tx = theirs.to(memory_format=torch.channels_last), tx.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(theirs.parameters())
    return step(theirs, optimizer, torch.nn.CrossEntropyLoss(), tx, torch.from_numpy(y))


def libraries_for(shape: tuple[int, ...]) -> tuple[str, ...]:
    """fastdl and, if it is installed, PyTorch in its memory formats."""
    return LIBRARIES[: 1 if torch is None else 3 if len(shape) == 4 else 2]


def steps(layers: Callable[[Any], Any], shape: tuple[int, ...], classes: int) -> dict[str, Callable[[], None]]:
    """A training step in each library."""
    return {library: training(library, layers, shape, classes) for library in libraries_for(shape)}


def additions() -> dict[str, Callable[[], Any]]:
    """a + b of one element each, recorded for gradients."""
    a, b = fastdl.ones(1, requires_grad=True), fastdl.ones(1, requires_grad=True)
    runs: dict[str, Callable[[], Any]] = {"fastdl": lambda: a + b}
    if torch is not None:
        c, d = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        runs["PyTorch"] = lambda: c + d
    return runs


class Network(NamedTuple):
    """A network to train, on inputs of a shape, and the least ratio of PyTorch's time to fastdl's."""

    layers: Callable[[Any], Any]
    shape: tuple[int, ...]
    classes: int
    goal: float


NETWORKS = {
    "digits network, training step, batch 128": Network(digits_layers, (128, 1, 28, 28), 10, 2.2),
    "perceptron 784-512-512-10, training step, batch 128": Network(perceptron_layers, (128, 784), 10, 1.2),
    "LSTM classifier 28x28, training step, batch 128": Network(lstm_layers, (128, 28, 28), 10, 1.3),
    "ResNet-18, training step, batch 8 at 64 pixels": Network(resnet18_layers, (8, 3, 64, 64), 1000, 1.3),
    "ResNet-50, training step, batch 8 at 128 pixels": Network(resnet50_layers, (8, 3, 128, 128), 1000, 1.2),
    "network 2-16-2, training step, batch 32": Network(tiny_layers, (32, 2), 2, 8.0),
}
ROWS = [
    *(Row(name, goal=n.goal, make=partial(steps, n.layers, n.shape, n.classes)) for name, n in NETWORKS.items()),
    Row("one-element a + b with gradients", goal=2.0, make=additions),
]
