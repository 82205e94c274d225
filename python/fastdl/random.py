"""Random numbers: one seed for everything (`fastdl.manual_seed`).

Weights, `fastdl.rand...` and dropout take numbers of one counter-based stream (csrc/core/philox.h), which kernels make
where the tensor lies: the same ones on every device, in graphs too. What is done on the host draws from NumPy's
generator, of the same seed: shuffles of data sets, augmentation, counts of events.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np


class Generator:
    """A seeded source of random numbers."""

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(int.from_bytes(os.urandom(7), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        if not isinstance(seed, int | np.integer):
            raise TypeError(f"[manual_seed] expected an int, got {type(seed).__name__}")
        self.seed = int(seed) % 2**64
        self.offset = 0  # next counter of the kernels' stream
        self.__dict__.pop("_numpy", None)
        return self

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator. Made at the first draw: numpy.random is not loaded by `import fastdl`."""
        made = self.__dict__.get("_numpy")
        if made is None:  # of threads that come here together all get the one that was put there first
            made = self.__dict__.setdefault("_numpy", np.random.Generator(np.random.Philox(self.seed)))
        return made

    def initial_seed(self) -> int:
        return self.seed

    def take_counters(self, n: int) -> int:
        """The first of n fresh counters of the kernels' stream."""
        first = self.offset
        self.offset += n
        return first

    def get_state(self) -> dict[str, Any]:
        return {"seed": self.seed, "offset": self.offset, "numpy": self.numpy.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seed, self.offset = state["seed"], state["offset"]
        self.numpy.bit_generator.state = state["numpy"]


class _Thread(threading.local):
    own: Generator | None = None


class _Default(Generator):
    """The source that everything draws from: the program's, or a thread's own within `own_generator`."""

    def __init__(self) -> None:
        self._program = Generator()
        self._thread = _Thread()

    @property
    def here(self) -> Generator:
        """What draws in this thread."""
        return self._thread.own or self._program

    @property
    def seed(self) -> int:  # type: ignore[override]
        return self.here.seed

    @property
    def numpy(self) -> np.random.Generator:
        return self.here.numpy

    def manual_seed(self, seed: int) -> Generator:
        self.here.manual_seed(seed)
        return self

    def take_counters(self, n: int) -> int:
        return self.here.take_counters(n)

    def get_state(self) -> dict[str, Any]:
        return self.here.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self.here.set_state(state)

    @contextlib.contextmanager
    def own_generator(self, seed: int) -> Iterator[Generator]:
        """What this thread draws inside comes from a seed, and no other thread's numbers change by it."""
        before, self._thread.own = self._thread.own, Generator(seed)
        try:
            yield self._thread.own
        finally:
            self._thread.own = before


default_generator = _Default()


def drawing(generator: Any) -> Generator:
    """The generator of a call: the one that it names, or the default."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"[random] expected a fastdl.Generator for generator, got {type(generator).__name__}")
    return generator


def _captures(backend: Any) -> bool:
    return hasattr(backend, "capturing") and backend.capturing()


def fill(kind: str, backend: Any, array: Any, a: Any, b: Any, generator: Any = None) -> None:
    """Random numbers into a backend's array: `uniform_` and `random_` from a to below b, or `normal_`."""
    source = default_generator.here if generator is None else drawing(generator)
    if generator is not None and generator is not default_generator and _captures(backend):
        raise RuntimeError(
            "[cuda graph] expected work that a graph can hold, got a draw from a generator other than the default one"
        )
    # numbers of a counter, as csrc/ops/random/random.h has them
    counters = (array.size + 3) // 4 if str(array.dtype) == "float32" else (array.size + 1) // 2
    getattr(backend, kind)(array, a, b, source.seed, source.take_counters(counters))


def manual_seed(seed: int) -> Generator:
    """Fixes every random number that follows: weights, shuffles, dropout, `rand` and the like.

    >>> import fastdl
    >>> a = fastdl.manual_seed(1) and fastdl.rand(3)
    >>> b = fastdl.manual_seed(1) and fastdl.rand(3)
    >>> fastdl.equal(a, b)
    True
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed in use."""
    return default_generator.seed


def get_rng_state() -> dict[str, Any]:
    """State of the generator, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    """Continues from a state that `get_rng_state` gave."""
    default_generator.set_state(state)
