"""DataLoader: batches of a data set, shuffled, augmented and made ready ahead of the training step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import random
from ..creation import tensor
from .dataset import fetch

_END = object()


class DataLoader:
    """Iterates over batches as tensors (`torch.utils.data.DataLoader`).

    Args:
        dataset: anything with a length and items by number; see `Dataset`.
        batch_size: items a batch; the last batch may be smaller unless `drop_last`.
        shuffle: a new order in every epoch, drawn from the seed.
        transform: `transform(batch, rng)` on the tuple of arrays of a batch, e.g. `Augment`; `rng` is a
            `numpy.random.Generator` of the batch's own, so that results do not depend on timing.
        prefetch: batches made ready ahead by a thread; 0 makes each when it is asked for.
        device: where the tensors go.
        generator: source of the seed; default the one that `fastdl.manual_seed` sets.
        sampler: numbers of items in the order of an epoch, instead of `shuffle`; see `data.WeightedRandomSampler`.
        collate_fn: makes a batch of a list of items; by default they are stacked.
        num_workers, pin_memory: taken for the sake of PyTorch's programs; one thread makes batches ready either way.

    >>> from fastdl.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(np.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, drop_last: bool = False,
        transform: Callable[[Any, np.random.Generator], Any] | None = None, prefetch: int = 2, device: Any = "cpu",
        generator: random.Generator | None = None, sampler: Iterable[int] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None, num_workers: int = 0, pin_memory: bool = False,
    ) -> None:  # fmt: skip
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] expected sampler or shuffle, got both")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"[DataLoader] expected batch_size of at least 1, got {batch_size}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.prefetch = prefetch
        self.device = device
        self.generator = generator
        self.sampler, self.collate_fn = sampler, collate_fn
        self.num_workers, self.pin_memory = num_workers, pin_memory

    def __len__(self) -> int:
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        source = self.generator or random.default_generator
        seed = int(source.numpy.integers(2**63))  # one draw an epoch, whatever the data or the timing
        order = self._order(seed)
        return self._prefetched(seed, order) if self.prefetch > 0 else self._batches(seed, order)

    def _order(self, seed: int) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter(self.sampler, np.int64)
        n = len(self.dataset)
        return np.random.Generator(np.random.Philox(seed)).permutation(n) if self.shuffle else np.arange(n)

    def _batches(self, seed: int, order: np.ndarray) -> Iterator[Any]:
        for i in range(len(self)):
            items = order[i * self.batch_size : (i + 1) * self.batch_size]
            if self.collate_fn is None:
                batch = fetch(self.dataset, items)
            else:
                batch = self.collate_fn([self.dataset[int(j)] for j in items])
            if self.transform is not None:
                batch = self.transform(batch, np.random.Generator(np.random.Philox(key=(seed, i + 1))))
            yield _tensors(batch, self.device)

    def _prefetched(self, seed: int, order: np.ndarray) -> Iterator[Any]:
        ready: queue.Queue = queue.Queue(self.prefetch)
        stop = threading.Event()

        def put(item: Any) -> bool:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    return True
                except queue.Full:
                    continue
            return False

        def work() -> None:
            try:
                for batch in self._batches(seed, order):
                    if not put(batch):
                        return
                put(_END)
            except BaseException as error:  # raised again where the batch is asked for
                put(error)

        thread = threading.Thread(target=work, name="fastdl-loader", daemon=True)
        thread.start()
        try:
            while (item := ready.get()) is not _END:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:  # also when the loop over batches is left early
            stop.set()
            thread.join()


def _tensors(batch: Any, device: Any) -> Any:
    if isinstance(batch, tuple | list):
        return tuple(_tensors(part, device) for part in batch)
    if isinstance(batch, dict):
        return {key: _tensors(part, device) for key, part in batch.items()}
    return tensor(batch, device=device) if isinstance(batch, np.ndarray) else batch
