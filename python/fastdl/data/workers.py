"""Who makes the batches of a `DataLoader` ready: threads, or processes of which none outlives its parent.

A batch depends on the loader's seed and on the batch's number alone. What a set or a transform draws with fastdl's
random numbers comes from a generator of the batch's own, so batches are the same for any number of workers of any kind.
"""

from __future__ import annotations

import collections
import itertools
import os
import random as python_random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any

import numpy as np

from ..random import default_generator
from .dataset import fetch

END = object()
_GOLDEN = 0x9E3779B97F4A7C15
_here = threading.local()


@dataclass(frozen=True)
class WorkerInfo:
    """The worker that runs: `id` from 0 to `num_workers` - 1, and its set (`torch.utils.data.get_worker_info`)."""

    id: int
    num_workers: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The worker of a `DataLoader` that this is called in; None outside (`torch.utils.data.get_worker_info`).

    >>> get_worker_info() is None
    True
    """
    return getattr(_here, "info", None)


def seed_of(seed: int, batch: int) -> int:
    """The seed of what is drawn for a batch."""
    return (seed + (batch + 1) * _GOLDEN) % 2**64


@dataclass
class Maker:
    """Makes batches of arrays of items."""

    dataset: Any
    collate_fn: Callable[[list[Any]], Any] | None
    transform: Callable[[Any, np.random.Generator], Any] | None

    def __call__(self, seed: int, i: int, items: np.ndarray) -> Any:
        with default_generator.own_generator(seed_of(seed, i)):
            if self.collate_fn is None:
                batch = fetch(self.dataset, items)
            else:
                batch = self.collate_fn([self.dataset[int(j)] for j in items])
            return self.transformed(seed, i, batch)

    def transformed(self, seed: int, i: int, batch: Any) -> Any:
        if self.transform is None:
            return batch
        return self.transform(batch, np.random.Generator(np.random.Philox(key=(seed, i + 1))))


# ---- threads ---------------------------------------------------------------------------------------------------------


def in_threads(
    make: Callable[[int], Any], count: int | None, info: WorkerInfo, ahead: int, timeout: float | None,
    begin: Callable[[int], None] | None,
) -> Iterator[Any]:  # fmt: skip
    """make(0), make(1), ... in order, up to `count` or to END; `ahead` of them are made before they are asked for."""
    ids = itertools.count()

    def enter() -> None:
        number = next(ids)
        _here.info = WorkerInfo(number, info.num_workers, info.dataset)
        if begin is not None:
            begin(number)

    numbers = iter(range(count)) if count is not None else itertools.count()
    pool = ThreadPoolExecutor(info.num_workers, "fastdl-loader", enter)
    try:
        waiting = collections.deque(pool.submit(make, i) for i in itertools.islice(numbers, ahead))
        while waiting:
            try:
                batch = waiting.popleft().result(timeout)
            except TimeoutError:
                raise RuntimeError(_late(timeout)) from None
            if batch is END:
                return
            waiting.extend(pool.submit(make, i) for i in itertools.islice(numbers, 1))
            yield batch
    finally:  # also when the loop over batches is left early
        pool.shutdown(wait=True, cancel_futures=True)


def _late(timeout: float | None) -> str:
    return f"[DataLoader] expected a batch within {timeout} seconds, got none"


# ---- processes -------------------------------------------------------------------------------------------------------


class Processes:
    """Worker processes with a pipe each.

    A worker has one task at a time and gets the next as soon as its batch was taken, so nobody ever writes to someone
    who is writing. It ends when told to, when its pipe breaks, or when its parent is gone.
    """

    def __init__(self, kind: Any, workers: int, maker: Maker, begin: Callable[[int], None] | None) -> None:
        context: Any = get_context(kind) if isinstance(kind, str) else kind
        self.pipes: list[Any] = []
        self.members: list[Any] = []
        try:
            for i in range(workers):
                mine, theirs = context.Pipe()
                inherited = [*self.pipes, mine] if context.get_start_method() == "fork" else []
                info = WorkerInfo(i, workers, maker.dataset)
                process = context.Process(target=_work, name=f"fastdl-loader-{i}", daemon=True,
                                          args=(theirs, inherited, maker, info, begin))  # fmt: skip
                self.pipes.append(mine)
                process.start()
                self.members.append(process)
                theirs.close()
        except BaseException:
            self.close()
            raise

    def run(self, seed: int, plan: Sequence[np.ndarray], timeout: float | None) -> Iterator[Any]:
        """The batches of a plan in order."""
        n = len(self.members)
        for i in range(min(n, len(plan))):
            self.pipes[i].send((seed, i, plan[i]))
        for i in range(len(plan)):
            batch = self._take(i % n, timeout)
            if i + n < len(plan):
                self.pipes[i % n].send((seed, i + n, plan[i + n]))
            yield batch

    def _take(self, worker: int, timeout: float | None) -> Any:
        pipe, process = self.pipes[worker], self.members[worker]
        ready = connection.wait([pipe, process.sentinel], timeout)
        if not ready:
            raise RuntimeError(_late(timeout))
        try:
            if pipe not in ready and not pipe.poll():
                raise EOFError
            batch, error = pipe.recv()
        except (EOFError, ConnectionError):
            process.join(5)
            raise RuntimeError(
                f"[DataLoader] expected worker {worker} to live, got exit code {process.exitcode}"
            ) from None
        if error is not None:
            raise error
        return batch

    def close(self) -> None:
        """Ends the workers and waits until they are gone."""
        for pipe in self.pipes:
            pipe.close()
        for process in self.members:
            process.terminate()
        for process in self.members:
            process.join(5)
            if process.exitcode is None:
                process.kill()
                process.join()
        self.pipes, self.members = [], []

    def __del__(self) -> None:
        self.close()


def _work(pipe: Any, inherited: list[Any], maker: Maker, info: WorkerInfo, begin: Callable[[int], None] | None) -> None:
    """What a worker process does."""
    from ..settings import set_num_threads

    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends its workers
    for other in inherited:  # or a pipe would not break when the parent goes
        other.close()
    set_num_threads(1)
    _here.info = info
    if begin is not None:
        begin(info.id)
    try:
        while os.getppid() == parent:
            if not pipe.poll(1.0):
                continue
            seed, i, items = pipe.recv()
            own = seed_of(seed, i)
            python_random.seed(own)
            np.random.seed(own % 2**32)  # noqa: NPY002 - sets that draw from it should differ by batch
            answer: tuple[Any, Exception | None]
            try:
                answer = (maker(seed, i, items), None)
            except Exception as error:
                answer = (None, _portable(error, info.id))
            pipe.send(answer)
    except (EOFError, ConnectionError):
        return


def _portable(error: Exception, worker: int) -> Exception:
    """The error with a word on where it happened; as a RuntimeError if it cannot travel."""
    import pickle

    error.add_note(f"in worker {worker} of a DataLoader") if hasattr(error, "add_note") else None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"[DataLoader] worker {worker}: {type(error).__name__}: {error}")
    return error
