"""What the kernels' accesses cost, counted on aligned sizes: shared memory without bank conflicts, global memory in
whole sectors. What cannot be so is listed here, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

import fastdl
from fastdl import emu
from fastdl.testing import OpCase
from tests.cases import rooms, serves

from .aligned import sizes_of
from .conftest import Lab

pytestmark = pytest.mark.skipif(not emu.is_available(), reason="this build has no emulation module")
MOST_SECTORS = 1.1  # of the ideal, over all global accesses of a kernel


@dataclass(frozen=True)
class Exempt:
    """Kernels (a regular expression of the name up to its template arguments) that may do worse, how much, and why."""

    kernels: str
    most: float  # of the ideal
    reason: str
    room: str = ""  # of several that have kernels of this name


EXEMPT_SHARED = [
    Exempt("count_digits", 6.3, "a digit of a key says which counter it adds to"),
    Exempt("move_by_digit|sort_short_lines", 2.0, "a digit, or a network of neighbours 1, 2, 4, ... apart"),
    Exempt("collect_first|find_rank", 1.9, "counters by digit; those of the first digit are few"),
    Exempt("add_in_order", 1.4, "an index says which cell a value is added to"),
    Exempt("count_bins", 8.5, "a number says which counter it adds to"),
]
EXEMPT_GLOBAL = [
    # Gathers: data say where a thread reads or writes.
    Exempt("sum_chunks|join_chunks", 8.0, "indexed lookups; a chunk's pieces are a line's numbers"),
    Exempt("copy_lines", 1.35, "indexed lookups, and the indices themselves"),
    Exempt("gather_numbers|scatter_numbers|find_latest_numbers|scatter_sorted", 3.0, "indexed lookups of numbers"),
    Exempt("find_first_lookups|mean_scales", 3.7, "where an index stands first, how often it stands there"),
    Exempt("sum_bags|visit_flags|count_flags", 1.6, "places of what was chosen"),
    Exempt("write_chosen", 5.2, "places of what was chosen, few in many"),
    Exempt("count_digits|move_by_digit", 1.8, "a tile's keys of each digit, one run behind another"),
    Exempt("sort_short_lines", 4.8, "lines across rows: a number of each row"),
    Exempt("put_chosen|store_places", 2.8, "places of what was chosen in a line"),
    Exempt("search", 4.7, "bisection"),
    Exempt("order_boxes", 2.1, "boxes in the order of their scores"),
    Exempt("gather_kernel|note_kernel|fetch_kernel|reduce_arg", 3.1, "positions of maxima"),
    Exempt("take_in_turn", 1.2, "the boxes that are left"),
    Exempt("average_bins|pool_bins|gather_gradients|fill_lists|turn_lists", 2.7, "windows of regions"),
    Exempt("find_first_failure", 5.0, "the first of the five numbers of each region"),
    # A thread asks for the rest of a sector with its next access.
    Exempt("pool_windows|corners_kernel|shuffle_kernel", 1.8, "windows of two steps"),
    Exempt("backward_kernel", 2.2, "windows of two steps", "upsample"),
    Exempt("max_kernel|mean_kernel", 2.2, "windows of two steps", "adaptive_pool2d"),
    Exempt("max_gradient_kernel", 6.4, "a thread adds the gradients of a plane, in order"),
    Exempt("compare_kernel|cast_kernel|iou_matrix", 2.0, "packs of 32 bytes and more take several accesses"),
    Exempt("run_along_rows", 1.55, "packs of 32 bytes: places of extremes"),
    Exempt("move_units", 2.5, "columns of boxes: one number of each four"),
    Exempt("gradient_tiles", 2.5, "a thread's numbers of a tile, four in a row, once for the whole sum"),
    Exempt("forward_step|backward_step", 2.5, "a thread owns four neighbouring units"),
    Exempt("conv_windows", 3.1, "a phase of a transposed convolution writes every other pixel"),
    # Little memory: what comes of a channel, a row, a tile or the weights, besides the arrays themselves.
    Exempt("row_means_kernel|parameters_kernel|statistics_kernel", 3.4, "pairs of numbers of each channel"),
    Exempt("sum_rows", 1.6, "the weight of each row's class"),
    Exempt("parts_of_columns", 1.25, "what each part comes to"),
    Exempt("run_before", 3.0, "what each part comes to, in up to three numbers"),
    Exempt("matmul_tiles", 1.25, "the bias of a tile's columns"),
    Exempt("product_tiles", 1.25, "the norms of a tile's columns"),
    Exempt("conv_taps|depthwise_fwd|depthwise_bwd_input", 1.2, "pixels under windows that do not start at a sector"),
    Exempt("arrange_weights", 4.5, "weights change places once, before the product"),
]
# Kernels that no case launches at an aligned size, and where their traffic is looked at, or why nowhere.
ELSEWHERE = {
    "mma_windows|mma_taps|turn_taps|prepare_(along|across)_k": "test_mma_traffic.py",
    "transform_(tiles|weights)|multiply_points|make_(outputs|weights)": "test_winograd.py",
    "wgmma_(product|windows)": "the copy engine brings all operands",
    "replayed_step_kernel": "the step of an optimizer, in a graph: the body of step_kernel",
    "add_integers": "an index says which number a thread adds to, atomically",
}


def limit(rules: list[Exempt], usual: float, line: emu.LineTraffic) -> float:
    name = line.kernel.split("<")[0]
    fits = [rule.most for rule in rules if re.fullmatch(rule.kernels, name) and f"/{rule.room}" in line.file]
    return fits[0] if fits else usual


def cases():
    for room, room_cases in rooms().items():
        for case in room_cases:
            if serves(case, "emu"):
                yield from (pytest.param(case, a, id=f"{case.name}-{i}") for i, a in enumerate(sizes_of(room, case)))


def profiled(case: OpCase, attributes: dict) -> emu.Profile:
    arrays = case.rounded(case.make(attributes, seed=1), "float32")
    with emu.profile() as profile:
        case.run_on(arrays, "emu", "float32", attributes)
    return profile


def test_exemptions_have_a_use() -> None:
    """An exemption that matches no kernel of this build is out of date."""
    names = {name.split("<")[0] for name, _, _ in fastdl.backends.get("emu").kernels()}
    for rule in [*EXEMPT_SHARED, *EXEMPT_GLOBAL]:
        assert all(part in names for part in rule.kernels.split("|")), rule


@pytest.mark.parametrize(("case", "attributes"), list(cases()))
def test_accesses_are_ideal(case: OpCase, attributes: dict) -> None:
    profile = profiled(case, attributes)
    assert profile.lines
    for kernel in {line.kernel for line in profile.lines}:
        for space, rules, usual in (("shared", EXEMPT_SHARED, 1.0), ("global", EXEMPT_GLOBAL, MOST_SECTORS)):
            lines = [line for line in profile.lines if (line.kernel, line.space) == (kernel, space)]
            units, ideal = sum(line.units for line in lines), sum(line.ideal for line in lines)
            worst = sorted(lines, key=lambda line: line.ideal - line.units)[:3]
            most = limit(rules, usual, worst[0]) if worst else usual
            assert units <= most * ideal, (space, units / ideal, *map(str, worst))


def test_every_kernel_has_an_aligned_size() -> None:
    """Or a place where its traffic is looked at."""
    seen: set[str] = set()
    for param in cases():
        case, attributes = param.values
        seen |= {k.kernel.split("<")[0] for k in profiled(case, attributes).kernels}
    names = {name.split("<")[0] for name, _, _ in fastdl.backends.get("emu").kernels()}
    missing = {name for name in names - seen if not name.startswith("emu::")}
    listed = {name for name in names for pattern in ELSEWHERE if re.fullmatch(pattern, name)}
    assert missing == listed


# ---- the counters themselves, on accesses whose cost is known --------------------------------------------------------


@pytest.mark.parametrize(
    ("stride", "sectors", "wavefronts"),
    [(0, 1, 1), (1, 4, 1), (2, 8, 2), (4, 16, 4), (8, 32, 8), (32, 32, 32), (33, 32, 1)],
)
def test_strided_accesses(lab: Lab, stride: int, sectors: int, wavefronts: int) -> None:
    x = np.zeros(33 * 32, np.float32)
    with emu.profile() as profile:
        lab.run("strided", x, np.array([stride], np.int32), ((32,), "float32"))
    reads = {line.space: line for line in profile.lines if line.kind == "read" and line.bytes == 4}
    strided = [line for line in profile.lines if line.kind == "read" and line.requests == 1 and line.bytes == 4]
    assert sorted((line.space, line.units) for line in strided) == [
        ("global", 1),
        ("global", sectors),
        ("shared", wavefronts),
    ]
    assert reads["shared"].ideal == 1
    assert reads["shared"].kernel == "emu::strided"


@pytest.mark.parametrize("words", [1, 2, 4])
def test_vectors_take_as_many_wavefronts_as_words(lab: Lab, words: int) -> None:
    with emu.profile() as profile:
        lab.run(f"shared_vectors_{words}", np.zeros(32 * words, np.float32), ((32 * words,), "float32"))
    shared = [line for line in profile.lines if line.space == "shared"]
    assert [(line.bytes, line.units, line.ideal) for line in shared] == [(4 * words, words, words)] * 2


def test_atomics_of_one_word_go_one_by_one(lab: Lab) -> None:
    with emu.profile() as profile:
        lab.run("shared_histogram", np.zeros(96, np.int32), ((4,), "int32"))
    (line,) = [line for line in profile.lines if line.space == "shared" and line.kind == "atomic"]
    assert (line.requests, line.per_request, line.ideal_per_request) == (3, 32, 1)


def test_lanes_meet_again_after_a_barrier(lab: Lab) -> None:
    """What a lane does less often than its neighbours is the same request again after the next barrier."""
    with emu.profile() as profile:
        lab.run("uneven_loop", np.zeros(64, np.float32), ((64,), "float32"))
    line = next(line for line in profile.lines if line.kind == "read" and line.space == "global")
    assert (line.requests, line.units) == (4, 14)


def test_bytes_moved_and_floor(lab: Lab) -> None:
    x = np.zeros(33 * 32, np.float32)
    with emu.profile() as profile:
        for _ in range(2):
            lab.run("strided", x, np.array([8], np.int32), ((32,), "float32"))
    (kernel,) = profile.kernels
    assert (kernel.launches, kernel.read, kernel.read_floor) == (2, 2 * 33 * 32, 2 * (32 + 1) * 4)
    assert (kernel.written, kernel.written_floor) == (2 * 128, 2 * 128)
    assert "2 launches" in str(kernel)


def test_table_prints_the_worst_line_first(lab: Lab) -> None:
    with emu.profile() as profile:
        lab.run("strided", np.zeros(33 * 32, np.float32), np.array([32], np.int32), ((32,), "float32"))
    head, first = str(profile).splitlines()[:2]
    assert head.split() == ["kernel", "line", "space", "kind", "bytes", "requests", "per", "request", "ideal", "ratio"]
    assert first.startswith("emu::strided  profile.cu:")
    assert first.endswith("32.00")


def test_off_until_asked_for_and_one_at_a_time() -> None:
    with emu.profile() as outer:
        with pytest.raises(RuntimeError, match=r"^\[profile\] expected one profile at a time"), emu.profile():
            pass
        fastdl.ones(8, device="emu").sum()
    assert outer.kernels
    fastdl.ones(8, device="emu").sum()
    assert fastdl.backends.get("emu").profiled_lines() == []


def test_profile_ends_with_an_error() -> None:
    with pytest.raises(ValueError, match="mine"), emu.profile():
        raise ValueError("mine")
    with emu.profile() as profile:
        pass
    assert profile.lines == []
