"""DataLoader: batches of a data set, shuffled, augmented and made ready ahead of the training step."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import cuda, random
from ..creation import tensor
from ..random import default_generator
from ..tensor import Tensor
from .dataset import IterableDataset, collate
from .workers import END, Maker, Processes, WorkerInfo, in_threads, seed_of


class DataLoader:
    """Iterates over batches as tensors (`torch.utils.data.DataLoader`).

    Args:
        dataset: anything with a length and items by number (see `Dataset`), or an `IterableDataset`.
        batch_size: items a batch; the last batch may be smaller unless `drop_last`. None gives the items themselves.
        shuffle: a new order in every epoch, drawn from the seed.
        sampler: numbers of items in the order of an epoch, instead of `shuffle`; see `data.WeightedRandomSampler`.
        batch_sampler: lists of numbers, one a batch, instead of all these.
        num_workers: how many make batches ready; 0 is one thread, or none if `prefetch` is 0.
        collate_fn: makes a batch of a list of items; by default they are stacked.
        timeout: seconds to wait for a batch of a worker; 0 waits for ever.
        worker_init_fn: called as `worker_init_fn(id)` where a worker begins.
        multiprocessing_context: None makes workers threads, which suits NumPy and files; "fork", "spawn" or
            "forkserver" makes them processes, for sets that compute in Python.
        generator: source of the seed; default the one that `fastdl.manual_seed` sets.
        prefetch_factor: batches ahead for each worker thread (default 2). persistent_workers: processes live on from
            epoch to epoch.
        pin_memory: tensors that stay on the CPU lie in page-locked memory, from where a GPU copies by itself
            (`.to("cuda", non_blocking=True)`); changes nothing without a GPU. pin_memory_device: "cuda" or "emu".
        transform: `transform(batch, rng)` on the tuple of arrays of a batch, e.g. `Augment`; `rng` is a
            `numpy.random.Generator` of the batch's own.
        prefetch: batches made ready ahead without `num_workers`; 0 makes each when it is asked for.
        device: where the tensors go.

    Batches depend on the seed alone, not on the number or kind of workers: what a set draws with fastdl's random
    numbers comes from a generator of the batch's own.

    >>> from fastdl.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(np.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool = False, sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None, num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False, drop_last: bool = False,
        timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
        generator: random.Generator | None = None, *, prefetch_factor: int | None = None,
        persistent_workers: bool = False, transform: Callable[[Any, np.random.Generator], Any] | None = None,
        prefetch: int = 2, device: Any = "cpu", pin_memory_device: str = "",
    ) -> None:  # fmt: skip
        if batch_size is None:
            batch_size, collate_fn = 1, collate_fn or _only
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn, self.transform = collate_fn, transform
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self.pin_memory_device = pin_memory_device
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.generator, self.device, self.prefetch = generator, device, prefetch
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        self._processes: Processes | None = None
        self._check()

    def _check(self) -> None:
        if not hasattr(self.dataset, "__getitem__") and not hasattr(self.dataset, "__iter__"):
            raise TypeError(f"[DataLoader] expected a dataset, got {type(self.dataset).__name__}")
        if isinstance(self.multiprocessing_context, str):
            known = multiprocessing.get_all_start_methods()
            if self.multiprocessing_context not in known:
                got = repr(self.multiprocessing_context)
                raise ValueError(f"[DataLoader] expected multiprocessing_context None or one of {known}, got {got}")
        chosen = [n for n in ("sampler", "batch_sampler") if getattr(self, n) is not None]
        chosen += ["shuffle"] if self.shuffle else []
        if len(chosen) > 1:
            raise ValueError(f"[DataLoader] expected {' or '.join(chosen)}, got {'all' if chosen[2:] else 'both'}")
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"[DataLoader] expected batch_size of at least 1, got {self.batch_size}")
        for name in ("num_workers", "prefetch", "timeout"):
            if getattr(self, name) < 0:
                raise ValueError(f"[DataLoader] expected {name} of at least 0, got {getattr(self, name)}")
        if self.prefetch_factor is not None and self.prefetch_factor < 1:
            raise ValueError(f"[DataLoader] expected prefetch_factor of at least 1, got {self.prefetch_factor}")
        if self._is_stream() and chosen:
            raise ValueError(f"[DataLoader] expected no {chosen[0]} for an IterableDataset, got one")
        if self._is_stream() and self.multiprocessing_context is not None:
            raise ValueError("[DataLoader] expected threads for an IterableDataset, got a multiprocessing_context")

    def _is_stream(self) -> bool:
        return isinstance(self.dataset, IterableDataset)

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        source = self.generator or random.default_generator
        seed = int(source.numpy.integers(2**63))  # one draw an epoch, whatever the data or the timing
        if self._is_stream():
            return self._delivered(self._streamed(seed), None, 1)
        plan = self._plan(seed)
        if self.num_workers and self.multiprocessing_context is not None:
            return self._of_processes(seed, plan)
        maker = self._maker()
        return self._delivered(lambda i: maker(seed, i, plan[i]), len(plan), max(1, self.num_workers))

    def _maker(self) -> Maker:
        return Maker(self.dataset, self.collate_fn, self.transform)

    def _plan(self, seed: int) -> list[np.ndarray]:
        """The numbers of the items of each batch."""
        if self.batch_sampler is not None:
            return [np.asarray(batch, np.int64) for batch in self.batch_sampler]
        order = self._order(seed)
        batches = len(order) // self.batch_size if self.drop_last else -(-len(order) // self.batch_size)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(batches)]

    def _order(self, seed: int) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter(self.sampler, np.int64)
        n = len(self.dataset)
        return np.random.Generator(np.random.Philox(seed)).permutation(n) if self.shuffle else np.arange(n)

    def _streamed(self, seed: int) -> Callable[[int], Any]:
        """Batches of what a stream gives, one after another."""
        items, maker, stack = iter(self.dataset), self._maker(), self.collate_fn or collate

        def make(i: int) -> Any:
            with default_generator.own_generator(seed_of(seed, i)):
                found = list(itertools.islice(items, self.batch_size))
                if not found or (self.drop_last and len(found) < self.batch_size):
                    return END
                return maker.transformed(seed, i, stack(found))

        return make

    def _delivered(self, make: Callable[[int], Any], count: int | None, workers: int) -> Iterator[Any]:
        """Batches as tensors, from threads or, without prefetching, from here."""
        if not self.prefetch and not self.num_workers:
            numbers = range(count) if count is not None else itertools.count()
            for batch in itertools.takewhile(lambda batch: batch is not END, map(make, numbers)):
                yield self._tensors(batch)
            return
        ahead = workers * (self.prefetch_factor or 2) if self.num_workers else self.prefetch

        def converted(i: int) -> Any:
            batch = make(i)
            return batch if batch is END else self._tensors(batch)

        info = WorkerInfo(0, workers, self.dataset)
        yield from in_threads(converted, count, info, ahead, self.timeout or None, self.worker_init_fn)

    def _tensors(self, batch: Any) -> Any:
        made = tensors(batch, self.device)
        if self.pin_memory and (self.pin_memory_device or cuda.is_available()):
            return pinned(made, self.pin_memory_device or None)
        return made

    def _of_processes(self, seed: int, plan: list[np.ndarray]) -> Iterator[Any]:
        pool = self._processes
        self._processes = None  # two loops over one loader have workers of their own
        if pool is None:
            pool = Processes(self.multiprocessing_context, self.num_workers, self._maker(), self.worker_init_fn)
        whole = False
        try:
            for batch in pool.run(seed, plan, self.timeout or None):
                yield self._tensors(batch)
            whole = True
        finally:
            if whole and self.persistent_workers and self._processes is None:
                self._processes = pool
            else:
                pool.close()


def _only(items: list[Any]) -> Any:
    return items[0]


def tensors(batch: Any, device: Any) -> Any:
    """The arrays of a batch as tensors, also inside containers."""
    if isinstance(batch, list) and batch and isinstance(batch[0], str | bytes):
        return batch
    if isinstance(batch, tuple | list):
        return tuple(tensors(part, device) for part in batch)
    if isinstance(batch, dict):
        return {key: tensors(part, device) for key, part in batch.items()}
    return tensor(batch, device=device) if isinstance(batch, np.ndarray) else batch


def pinned(batch: Any, device: Any) -> Any:
    """The CPU tensors of a batch in page-locked memory, also inside containers."""
    if isinstance(batch, tuple | list):
        return type(batch)(pinned(part, device) for part in batch)
    if isinstance(batch, dict):
        return {key: pinned(part, device) for key, part in batch.items()}
    return batch.pin_memory(device) if isinstance(batch, Tensor) and batch._backend.NAME == "cpu" else batch
