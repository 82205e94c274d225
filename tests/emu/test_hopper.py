"""What compute capability 9.0 adds, in the emulation: its functions against NumPy, planted mistakes at their lines."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab
from .test_tensorcore import bfloat16

RNG = np.random.default_rng(0)
SOURCE = Path(__file__).parents[2] / "csrc" / "emu" / "selftest" / "hopper_bugs.cu"
PLANTED = re.compile(r" *// finds (.*)")
WRONG = re.compile(r"// wrong numbers (\w+)")


pytestmark = pytest.mark.usefixtures("_hopper")


# ---- the functions of cuda/hopper.cuh -------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_mbarriers_take_turns(lab: Lab, _finds_nothing: None, turns: int) -> None:
    x = RNG.integers(-50, 50, (turns, 32)).astype(np.int32)
    np.testing.assert_array_equal(lab.run("mbarrier_ping_pong", x, ((turns, 32), "int32"))[1], x + 1)


def test_one_lane_arrives_for_its_warp(lab: Lab, _finds_nothing: None) -> None:
    x = RNG.integers(-50, 50, 96).astype(np.int32)
    np.testing.assert_array_equal(lab.run("mbarrier_for_a_warp", x, ((96,), "int32"))[1], x[::-1])


@pytest.mark.parametrize("corner", [(0, 0, 0), (4, 1, 1), (20, 5, 1), (-7, -3, 0), (100, 0, 0), (0, 0, 2)], ids=str)
def test_box_arrives_swizzled_with_zeros_outside(lab: Lab, _finds_nothing: None, corner: tuple[int, int, int]) -> None:
    array = np.arange(1, 801, dtype=np.float32).reshape(2, 10, 40)
    out = lab.run("tensor_box", array, np.array(corner, np.int32), ((256,), "int32"))[2].view(np.float32)
    padded = np.zeros((6, 30, 200), np.float32)
    padded[2:4, 10:20, 50:88] = array[:, :, :38]
    column, row, matrix = corner[0] + 50, corner[1] + 10, corner[2] + 2
    box = padded[matrix, row : row + 8, column : column + 32].reshape(8, 8, 4)
    expected = np.stack([box[r][np.arange(8) ^ r] for r in range(8)])
    np.testing.assert_array_equal(out.reshape(8, 8, 4), expected)


@pytest.mark.parametrize("c", [0, 8])
@pytest.mark.parametrize("tap", [(0, 0), (1, 2), (1, 0)], ids=str)
@pytest.mark.parametrize("window", [(0, 0, 0), (2, 1, 0), (1, 3, 1), (0, 2, 2)], ids=str)
def test_run_of_pixels(
    lab: Lab, _finds_nothing: None, window: tuple[int, int, int], tap: tuple[int, int], c: int
) -> None:
    """Windows of 3 x 4 on images of 6 x 5, as selftest/hopper.cu has them."""
    images = np.arange(1, 3241, dtype=np.float32).reshape(3, 5, 6, 36)
    (x, y, image), (dx, dy) = window, tap
    start = np.array([c, -1 + 3 * x, -2 + 2 * y, image, dx, dy], np.int32)
    out = lab.run("tensor_pixels", images, start, ((256,), "int32"))[2].view(np.float32).reshape(8, 8, 4)
    padded = np.zeros((6, 20, 20, 48), np.float32)
    padded[:3, 5:10, 5:11, :36] = images
    first = (image * 4 + y) * 3 + x
    for row in range(8):
        n, at_y, at_x = np.unravel_index(first + row, (6, 4, 3))
        pixel = padded[n, 5 - 2 + 2 * at_y + dy, 5 - 1 + 3 * at_x + dx, c : c + 32].reshape(8, 4)
        np.testing.assert_array_equal(out[row], pixel[np.arange(8) ^ row])


@pytest.mark.parametrize("name", ["tensor_map_refused", "image_map_refused"])
def test_tensor_maps_that_the_driver_would_refuse(lab: Lab, name: str) -> None:
    with pytest.raises(RuntimeError, match=r"^\[cuda\] expected a tensor map that the driver accepts, got error 1"):
        lab.run(name, np.zeros(600, np.float32))


def _rows(kind: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers for rows of 128 bytes, and those rows as words."""
    x = RNG.standard_normal((rows, 32 if kind == "tfloat32" else 64)).astype(np.float32)
    if kind == "tfloat32":
        words = x.view(np.uint32) & np.uint32(0xFFFFE000)
        return words.view(np.float32), words.view(np.int32)
    if kind == "float16":
        half = x.astype(np.float16)
        return half.astype(np.float32), half.view(np.int32)
    x = bfloat16(x)
    return x, np.ascontiguousarray((x.view(np.uint32) >> 16).astype(np.uint16)).view(np.int32)


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "tfloat32"])
def test_product_of_a_warpgroup(lab: Lab, _finds_nothing: None, kind: str) -> None:
    (a, words_a), (b, words_b) = _rows(kind, 64), _rows(kind, 128)
    out = lab.run(f"wgmma_{kind}", words_a, words_b, ((64, 128), "float32"))[2]
    np.testing.assert_allclose(out, 2 * a.astype(np.float64) @ b.T.astype(np.float64), rtol=0, atol=1e-4)


def descriptor(address: int) -> int:
    """Of a tile with k contiguous and 128-byte swizzle: address, and 1024 bytes from eight rows to the next eight."""
    return 1 << 62 | (1024 // 16) << 32 | 1 << 16 | address // 16


def test_descriptor_of_a_tile(lab: Lab, _finds_nothing: None) -> None:
    low, high, address = (int(v) & 0xFFFFFFFF for v in lab.run("matrix_descriptor", ((3,), "int32"))[0])
    assert low | high << 32 == descriptor(address)


def test_registers_move_between_warpgroups(lab: Lab, _finds_nothing: None) -> None:
    np.testing.assert_array_equal(lab.run("registers_move", ((256,), "int32"))[0], np.arange(256))


def test_architectures(emu: ModuleType) -> None:
    assert emu.device_name() == "CUDA emulation (compute capability 9.0)"
    with pytest.raises(ValueError, match=r"^\[set_architecture\] expected 75, 80, 89 or 90, got 120"):
        emu.set_architecture(120)


# ---- planted mistakes -----------------------------------------------------------------------------------------------


def _planted() -> dict[str, list[tuple[int, set[str]]]]:
    """Name of the test -> lines and kinds, from the comments above the lines."""
    found: dict[str, list[tuple[int, set[str]]]] = {}
    pending: list[str] = []
    for number, line in enumerate(SOURCE.read_text().splitlines(), start=1):
        if match := PLANTED.fullmatch(line):
            pending += match[1].split(", ")
            continue
        for kinds, name in (pair.split(" ") for pair in pending):
            found.setdefault(name, []).append((number, set(kinds.split("|"))))
        pending = []
    return found


def _product(k: int = 320) -> tuple[list, np.ndarray]:
    a, b = (bfloat16(RNG.standard_normal((rows, k))) for rows in (64, 128))
    words = [np.ascontiguousarray((x.view(np.uint32) >> 16).astype(np.uint16)).view(np.int32) for x in (a, b)]
    return [*words, np.zeros((64, 128), np.float32)], a.astype(np.float64) @ b.T.astype(np.float64)


@pytest.mark.parametrize("k", [8, 64, 72, 320])
def test_the_ring_without_a_mistake(lab: Lab, _finds_nothing: None, k: int) -> None:
    operands, expected = _product(k)
    np.testing.assert_allclose(lab.run("ring_product", *operands)[2], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", list(_planted()))
def test_mistake_is_found_at_its_line(lab: Lab, emu: ModuleType, order: tuple[str, int], name: str) -> None:
    lab.run(name, *_product()[0])
    found = [(f["line"], f["kind"]) for f in emu.report() if f["file"].endswith(SOURCE.name)]
    assert any(line == number and kind in kinds for number, kinds in _planted()[name] for line, kind in found), found


@pytest.mark.parametrize("name", WRONG.findall(SOURCE.read_text()))
def test_mistake_shows_in_the_numbers(lab: Lab, emu: ModuleType, order: tuple[str, int], name: str) -> None:
    operands, expected = _product()
    assert np.abs(lab.run(name, *operands)[2] - expected).max() > 0.1
    assert emu.report() == []


def test_who_waits_for_which_phase_is_named(lab: Lab, emu: ModuleType) -> None:
    lab.run("too_many_bytes", *_product()[0])
    messages = [f["message"] for f in emu.report() if f["kind"] == "DEADLOCK"]
    said = "threads wait for mbarrier 0 in phase 0, which lacks 0 of 1 arrivals and 1024 bytes"
    assert any(said in m for m in messages), messages
