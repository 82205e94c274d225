"""Planted mistakes are found: the right kind at the right line, in every order of threads."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import Lab

SOURCES = sorted((Path(__file__).parents[2] / "csrc" / "emu" / "selftest").glob("bugs_*.cu"))
INTEGERS = ("plain_add_for_atomic", "waits_in_a_loop", "one_offset_too_few", "index_not_checked",
            "counter_read_plainly", "scatter_without_atomics")  # fmt: skip
PLANTED = re.compile(r"// finds (\S+) (\w+)$")


def _planted() -> dict[str, list[tuple[str, int, set[str]]]]:
    """Name of the test -> files, lines and kinds, from the comments in the sources."""
    found: dict[str, list[tuple[str, int, set[str]]]] = {}
    for source in SOURCES:
        for number, line in enumerate(source.read_text().splitlines(), start=1):
            if match := PLANTED.search(line):
                found.setdefault(match[2], []).append((source.name, number, set(match[1].split("|"))))
    return found


def _operands(name: str) -> tuple[np.ndarray, tuple[tuple[int, ...], str]]:
    size = 62 if name == "vector_tail" else 64
    dtype = "int32" if name in INTEGERS else "float32"
    return np.arange(1, size + 1).astype(dtype), ((64,), dtype)


def test_there_are_many() -> None:
    assert len(_planted()) >= 60


SLOW = ("waits_in_a_loop",)  # found only after seconds
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in _planted()]


@pytest.mark.parametrize("name", NAMES)
def test_is_found_at_its_line(lab: Lab, emu: ModuleType, order: tuple[str, int], name: str) -> None:
    lab.run(name, *_operands(name))
    found = [(Path(f["file"]).name, f["line"], f["kind"]) for f in emu.report()]
    assert any(
        (file, line) == (f, n) and kind in kinds for f, n, kinds in _planted()[name] for file, line, kind in found
    ), found


def test_a_small_winograd_without_mistake(lab: Lab, emu: ModuleType, order: tuple[str, int]) -> None:
    """What the mistakes of bugs_winograd.cu are planted in convolves 32 x 2 pixels by the first nine of them."""
    x, out = lab.run("winograd_in_small", *_operands(""))
    padded, taps = np.pad(x.reshape(32, 2), 1).astype("float64"), x[:9].reshape(3, 3)
    expected = sum(taps[i, j] * padded[i : i + 32, j : j + 2] for i in range(3) for j in range(3))
    np.testing.assert_allclose(out.reshape(32, 2), expected, rtol=1e-5)
    assert emu.report() == []


def test_a_finding_says_who_and_where(lab: Lab, emu: ModuleType) -> None:
    lab.run("global_read_past_end", *_operands(""))
    (finding,) = emu.report()
    assert finding["kernel"] == "emu::read_past_end"
    assert finding["file"] == "csrc/emu/selftest/bugs_bounds.cu"
    assert finding["block"] == (0, 0, 0)
    assert finding["thread"] == (63, 0, 0)
    assert finding["count"] == 1
    assert finding["message"] == "reads 4 bytes, just past the end of an allocation of 256 bytes"


def test_a_race_names_both_accesses(lab: Lab, emu: ModuleType) -> None:
    lab.run("missing_barrier_in_loop", *_operands(""))
    assert any("bugs_races.cu:" in f["message"] for f in emu.report() if f["kind"] == "RACE")


def test_shared_memory_of_all_kinds_counts(lab: Lab, emu: ModuleType) -> None:
    lab.run("static_and_dynamic_shared", *_operands(""))
    (finding,) = emu.report()
    assert finding["kind"] == "SHARED_SIZE"
    assert "180000 bytes" in finding["message"]


def test_repeated_findings_are_one(lab: Lab, emu: ModuleType) -> None:
    lab.run("accumulates_into_nothing", *_operands(""))
    (finding,) = emu.report()
    assert finding["count"] == 64
    emu.clear_report()
    assert emu.report() == []


def test_a_stopped_launch_leaves_no_harm(lab: Lab, emu: ModuleType) -> None:
    for name in ("null_pointer", "shuffle_in_branch", "host_pointer"):
        lab.run(name, *_operands(name))
    emu.clear_report()
    x = np.arange(80, dtype=np.float32)
    np.testing.assert_array_equal(lab.run("dynamic_shared", x, ((80,), "float32"))[1], x[::-1])
    assert emu.report() == []


def test_what_was_written_into_a_gap_is_gone(lab: Lab, emu: ModuleType) -> None:
    lab.run("global_write_past_end", *_operands(""))
    emu.clear_report()
    out = lab.run("global_read_past_end", *_operands(""))[1]
    assert np.isnan(out[63])


def test_kernels_run_are_known(lab: Lab, emu: ModuleType) -> None:
    lab.run("shfl", np.zeros(32, np.float32), ((32,), "float32"))
    assert "emu::shuffle_index<float>" in emu.kernels_run()


def test_unknown_order(emu: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^\[set_order\] expected ascending, descending or shuffled, got sideways"):
        emu.set_order("sideways", 0)
