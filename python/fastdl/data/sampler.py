"""Orders in which a loader takes the items of a set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..creation import tensor
from ..random import drawing
from ..sampling import multinomial


class Sampler:
    """Base class: define `__iter__`, and `__len__` if it is known (`torch.utils.data.Sampler`)."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] expected an __iter__ method, got none")


class SequentialSampler(Sampler):
    """0, 1, 2, ... (`torch.utils.data.SequentialSampler`)."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))


class RandomSampler(SequentialSampler):
    """All items in random order (`torch.utils.data.RandomSampler`)."""

    def __init__(self, data_source: Any, generator: Any = None) -> None:
        super().__init__(data_source)
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter(drawing(self.generator).numpy.permutation(len(self)).tolist())


class SubsetRandomSampler(RandomSampler):
    """The items of a list in random order (`torch.utils.data.SubsetRandomSampler`).

    >>> sorted(SubsetRandomSampler([3, 5]))
    [3, 5]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__(indices, generator)

    def __iter__(self) -> Iterator[int]:
        return (int(self.data_source[i]) for i in super().__iter__())


class WeightedRandomSampler(Sampler):
    """Items drawn with the given weights: rare classes as often as others (`torch.utils.data.WeightedRandomSampler`).

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.weights = tensor(np.asarray(weights, np.float64))
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        return iter(multinomial(self.weights, self.num_samples, self.replacement, self.generator).tolist())


class BatchSampler(Sampler):
    """Lists of `batch_size` numbers of another sampler (`torch.utils.data.BatchSampler`).

    >>> list(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if batch_size < 1:
            raise ValueError(f"[BatchSampler] expected batch_size of at least 1, got {batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        items = iter(self.sampler)
        while batch := list(itertools.islice(items, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch
