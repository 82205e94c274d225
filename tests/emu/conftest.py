"""The emulation's own tests: its kernels are in csrc/emu/selftest."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastdl import backends

ORDERS = [("ascending", 0), ("descending", 0), ("shuffled", 1), ("shuffled", 2)]


@pytest.fixture(name="emu")
def _emu() -> Iterator[ModuleType]:
    try:
        module = backends.get("emu")
    except RuntimeError as error:
        pytest.skip(str(error))
    module.clear_report()
    yield module
    module.set_order("ascending", 0)
    module.clear_report()


class Lab:
    """Runs a self test on NumPy arrays and gives its outputs back."""

    def __init__(self, emu: ModuleType) -> None:
        self.emu = emu

    def run(self, name: str, *operands: np.ndarray | tuple[tuple[int, ...], str]) -> list[np.ndarray]:
        """Operands are arrays, or (shape, dtype) of memory that nobody wrote. All come back."""
        arrays: list[Any] = [
            self.emu.from_numpy(np.ascontiguousarray(x), False) if isinstance(x, np.ndarray) else self.emu.empty(*x)
            for x in operands
        ]
        self.emu.selftest(name, *arrays)
        return [self.emu.to_numpy(a) for a in arrays]


@pytest.fixture(name="lab")
def _lab(emu: ModuleType) -> Lab:
    return Lab(emu)


@pytest.fixture(name="order", params=ORDERS, ids=lambda order: f"{order[0]}{order[1]}")
def _order(request: pytest.FixtureRequest, emu: ModuleType) -> tuple[str, int]:
    emu.set_order(*request.param)
    return request.param


@pytest.fixture(name="_hopper")
def _hopper(emu: ModuleType):
    """A device of compute capability 9.0, whatever the products' precision was set to."""
    emu.set_architecture(90)
    yield
    emu.set_architecture(80)
    emu.set_product_precision("float32")


@pytest.fixture(name="_finds_nothing")
def _finds_nothing(emu: ModuleType, order: tuple[str, int]):
    yield
    assert emu.report() == []


@pytest.fixture(name="run")
def _run(emu: ModuleType):
    """Calls a function of the device with NumPy arrays."""

    def run(name: str, *arguments: Any) -> Any:
        given = [emu.from_numpy(np.ascontiguousarray(a), False) if isinstance(a, np.ndarray) else a for a in arguments]
        out = getattr(emu, name)(*given)
        if isinstance(out, tuple):
            return tuple(None if a is None else emu.to_numpy(a) for a in out)
        return emu.to_numpy(out)

    return run
