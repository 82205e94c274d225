"""Data sets: anything with a length and items by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import random
from ..tensor import Tensor


class Dataset:
    """Base class: define `__len__` and `__getitem__(i)` (`torch.utils.data.Dataset`).

    A set that can fetch many items at once also defines `batch(indices)`, which returns a tuple of arrays with the
    items along the first axis; the loader then makes no Python loop over items.
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"[{type(self).__name__}] expected a __len__ method, got none")

    def __getitem__(self, i: int) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] expected a __getitem__ method, got none")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Base class of streams, which have no length and no items by number: define `__iter__`.

    The counterpart is `torch.utils.data.IterableDataset`.

    >>> class Squares(IterableDataset):
    ...     def __iter__(self):
    ...         return (i * i for i in range(5))
    >>> from fastdl.data import DataLoader
    >>> [batch.tolist() for batch in DataLoader(Squares(), 2)]
    [[0, 1], [4, 9], [16]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] expected an __iter__ method, got none")


class TensorDataset(Dataset):
    """Arrays or tensors of equal length; item i is the tuple of their i-th elements (`torch.utils.data.TensorDataset`).

    >>> len(TensorDataset(np.zeros((5, 2)), np.arange(5)))
    5
    """

    def __init__(self, *arrays: Tensor | np.ndarray) -> None:
        if not arrays:
            raise ValueError("[TensorDataset] expected at least one array, got none")
        self.arrays = tuple(a.detach().cpu().numpy() if isinstance(a, Tensor) else np.asarray(a) for a in arrays)
        lengths = [len(a) for a in self.arrays]
        if len(set(lengths)) != 1:
            raise ValueError(f"[TensorDataset] expected arrays of equal length, got {lengths}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        return tuple(a[i] for a in self.arrays)

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(a[indices] for a in self.arrays)


class Subset(Dataset):
    """Some items of another set (`torch.utils.data.Subset`)."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[int(self.indices[i])]

    def batch(self, indices: np.ndarray) -> Any:
        return fetch(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Sets one after another (`torch.utils.data.ConcatDataset`).

    >>> both = ConcatDataset([TensorDataset(np.arange(2)), TensorDataset(np.arange(5, 8))])
    >>> len(both), int(both[3][0])
    (5, 6)
    """

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] expected at least one set, got none")
        self.ends = np.cumsum([len(d) for d in self.datasets])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, i: int) -> Any:
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"[ConcatDataset] expected an index in [{-n}, {n - 1}], got {i}")
        i %= n
        part = int(np.searchsorted(self.ends, i, "right"))
        return self.datasets[part][i - (int(self.ends[part - 1]) if part else 0)]


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Disjoint random parts of the given lengths, or fractions that add up to 1 (`torch.utils.data.random_split`)."""
    n = len(dataset)
    sizes = [int(part) for part in lengths]
    if abs(sum(lengths) - 1.0) < 1e-9 and any(isinstance(part, float) for part in lengths):
        sizes = [int(n * part) for part in lengths]
        for i in range(n - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != n:
        raise ValueError(f"[random_split] expected lengths that add up to {n}, got {list(lengths)}")
    order = random.drawing(generator).numpy.permutation(n)
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def fetch(dataset: Any, indices: np.ndarray) -> Any:
    """The items as a tuple of arrays (or one array, if items are single), stacked along a new first axis."""
    if hasattr(dataset, "batch"):
        return dataset.batch(indices)
    return collate([dataset[int(i)] for i in indices])


def collate(items: list[Any]) -> Any:
    """Items stacked: numbers, arrays and tensors become one array, texts a list, tuples a tuple, dicts a dict."""
    first = items[0]
    if isinstance(first, tuple | list):
        return tuple(collate(list(part)) for part in zip(*items, strict=True))
    if isinstance(first, dict):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, Tensor | np.ndarray):
        arrays = [item.detach().cpu().numpy() if isinstance(item, Tensor) else np.asarray(item) for item in items]
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise ValueError(f"[collate] expected items of one shape (or a collate_fn), got {sorted(shapes)}")
        return np.stack(arrays)
    if isinstance(first, str | bytes):
        return list(items)
    if isinstance(first, float):
        return np.asarray(items, dtype=np.float32)
    return np.stack([np.asarray(item) for item in items])
