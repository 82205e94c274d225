"""The setting of the numbers that products take, and products with it."""

from __future__ import annotations

import threading
from types import ModuleType

import pytest

import fastdl


@pytest.fixture(autouse=True)
def _ends_as_it_began(emu: ModuleType):
    yield
    fastdl.set_float32_matmul_precision("highest")


def test_names_are_those_of_pytorch(emu: ModuleType) -> None:
    assert fastdl.get_float32_matmul_precision() == "highest"
    assert emu.get_product_precision() == "float32"
    for name, numbers in (("high", "tf32"), ("medium", "bfloat16"), ("highest", "float32")):
        fastdl.set_float32_matmul_precision(name)
        assert fastdl.get_float32_matmul_precision() == name
        assert emu.get_product_precision() == numbers


def test_bad_names(emu: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^\[set_float32_matmul_precision\] expected highest, .*, got tf32$"):
        fastdl.set_float32_matmul_precision("tf32")
    with pytest.raises(TypeError, match=r"^\[set_float32_matmul_precision\] expected a str, got int$"):
        fastdl.set_float32_matmul_precision(16)
    with pytest.raises(ValueError, match=r"^\[set_product_precision\] expected float32, tf32, .*, got float64$"):
        emu.set_product_precision("float64")


def test_is_the_threads_own(emu: ModuleType) -> None:
    fastdl.set_float32_matmul_precision("high")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(emu.get_product_precision()))
    thread.start()
    thread.join()
    assert seen == ["float32"]
    assert emu.get_product_precision() == "tf32"
