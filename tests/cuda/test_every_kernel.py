"""Registers, stack and occupancy of every kernel of the CUDA module, as nvcc compiled it: for sm_90a, and for every
other architecture that the module has machine code for. Products on tensor cores, whose shared memory is the launcher's
choice, have tests of their own beside this file.

All architectures at once, from the repository's root (an hour of compiling on two cores):

    FASTDL_CUDA=ON pip install --config-settings=cmake.define.FASTDL_CUDA_ARCHITECTURES=all . \\
        && pytest tests/cuda/test_every_kernel.py
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from .conftest import DEFAULT, built_architectures


@dataclass(frozen=True)
class Multiprocessor:
    """What one has for its blocks, by NVIDIA's table of compute capabilities."""

    threads: int
    blocks: int
    shared_kb: int
    reserved_shared: int = 1024  # of a block, by the system

    REGISTERS = 65536
    REGISTERS_AT_ONCE = 256  # that a warp is given


MULTIPROCESSORS = {
    "sm_75": Multiprocessor(1024, 16, 64, 0),
    "sm_80": Multiprocessor(2048, 32, 164),
    "sm_86": Multiprocessor(1536, 16, 100),
    "sm_89": Multiprocessor(1536, 24, 100),
    "sm_90a": Multiprocessor(2048, 32, 228),
    "sm_100": Multiprocessor(2048, 32, 228),
    "sm_120": Multiprocessor(1536, 24, 100),
}
WARP = 32
LEAST_SHARE = 0.5  # of the threads that a multiprocessor can have


@dataclass(frozen=True)
class Kernel:
    name: str
    registers: int
    stack: int
    local: int
    shared: int
    threads: int

    def share(self, m: Multiprocessor) -> float:
        """Resident threads of those that a multiprocessor can have."""
        of_warp = -(-self.registers * WARP // m.REGISTERS_AT_ONCE) * m.REGISTERS_AT_ONCE
        by_registers = m.REGISTERS // of_warp // -(-self.threads // WARP)
        by_shared = m.shared_kb * 1024 // max(1, self.shared + m.reserved_shared)
        return min(by_registers, by_shared, m.threads // self.threads, m.blocks) * self.threads / m.threads


@dataclass(frozen=True)
class Bar:
    """Kernels (a regular expression of name and template arguments) with a bar of their own, and why."""

    kernels: str
    bar: float  # EXEMPT: the least share of threads; ON_STACK: the most bytes
    reason: str
    architectures: tuple[str, ...] = tuple(MULTIPROCESSORS)


EXEMPT = [
    Bar("move_by_digit<.*", 0.25, "64 or 100 KB of shared memory", ("sm_75", "sm_86", "sm_89", "sm_120")),
    Bar("depthwise_fwd<.*", 0.375, "78 registers, mostly of addresses", ("sm_100",)),
    Bar("iou_matrix<double, true, 2>", 0.375, "70 registers, of boxes in doubles", ("sm_80",)),
    Bar("backward_step<double, .*", 0.1875, "18 KB of shared memory for 64 threads",
           ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120")),
    Bar("backward_step<float, .*", 0.25, "14 KB of shared memory for 64 threads",
           ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120")),
    Bar("forward_step<double, .*", 0.28, "100 registers, units by samples", ("sm_100",)),
    Bar("forward_step<float, .*", 0.375, "10 KB of shared memory for 64 threads", ("sm_120",)),
    Bar("add_in_order<.*", 0.33, "blocks of a warp, of which there may be 16", ("sm_86",)),
    Bar("replayed_step_kernel<double, (Adam|Ahead)<double> >", 0.375, "68 to 76 registers, of steps in doubles",
           ("sm_100",)),
    Bar("mma_(windows|taps)<.*", 0.125, "sums in registers; bars of their own in test_machine_code.py"),
    Bar("wgmma_(windows|product)<.*", 0.1875, "one block of three warpgroups; bars in test_hopper_code.py"),
    Bar(r"((matmul|product)_tiles|conv_(taps|windows))<GemmTile<(float, 128|double).*", 0.25,
           "64 (of doubles 16) sums and their operands in the registers of a thread, two blocks"),
    Bar(r"((matmul|product)_tiles|conv_(taps|windows))<GemmTile<float, 64.*", 0.375, "likewise, 16 sums"),
    Bar("multiply_points<.*", 0.25, "likewise, 64 sums"),
    Bar("distance_tiles<.*", 0.25, "likewise, 16 sums of differences"),
    Bar("gradient_tiles<GemmTile<float, .*", 0.25, "likewise, and what the differences are weighed with"),
    Bar("gradient_tiles<GemmTile<double, .*", 0.125, "likewise"),
    Bar("softmax_bwd_held<double, 32>", 0.125, "32 doubles of a row and of its gradient in a lane"),
    Bar("softmax_(bwd_)?held<.*, (16|32)>", 0.25, "a row in the registers of a warp: read once"),
    Bar("(forward|backward)_step<double, .*", 0.3, "blocks of 64 threads, units by samples in registers"),
    Bar("(forward|backward)_step<float, .*", 0.4, "likewise"),
    Bar("move_by_digit<.*", 0.375, "keys of a block in shared memory, to be written in runs"),
    Bar("pool_bins<double, false>", 0.25, "divisions of 64 bits"),
    Bar("(pool_bins|average_bins|gather_gradients|backward_kernel)<.*", 0.25, "many bounds of windows at once"),
]  # fmt: skip


ON_STACK = [
    Bar(r"unary_kernel<\(Unary\)(1[12]|21), .*", 40, "sin, cos, tan: the words of the product of a large angle "
            "with 2 / pi, in a branch that angles below 10^5 do not take"),
    # A division that is not of usual numbers is a call, before which ptxas 13.0 saves what it could have kept.
    Bar("forward_kernel<(false, float|true, double|double)>", 16, "moments of normalization", ("sm_100", "sm_120")),
    Bar(r"share_sums_kernel<\(Loss\)\d+, double>", 16, "losses with quotients of doubles", ("sm_100", "sm_120")),
    Bar(r"backward_step<double, \(Cell\)[01]>", 16, "simple cells back in time, in doubles", ("sm_100",)),
    Bar("fill_lists<double>", 8, "bounds of bins, quotients of doubles", ("sm_100", "sm_120")),
    Bar(r"gradient_tiles<GemmTile<double, .*<double, \(Metric\)3, .*", 8,
            "powers of doubles: all 255 registers are taken", ("sm_120",)),
]  # fmt: skip


pytestmark = pytest.mark.parametrize("architecture", [a for a in built_architectures() if a in MULTIPROCESSORS])


@pytest.fixture(name="every_kernel")
def _every_kernel(built_kernels, architecture) -> list[Kernel]:
    return [Kernel(*k) for k in built_kernels(architecture)]


def test_there_are_many(every_kernel):
    assert len(every_kernel) > 1000


def test_nothing_is_kept_in_memory(every_kernel, architecture):
    """A stack is where spilled registers go, and arrays whose indices the compiler does not know."""
    rules = [rule for rule in ON_STACK if architecture in rule.architectures]
    for k in every_kernel:
        most = max((rule.bar for rule in rules if re.fullmatch(rule.kernels, k.name)), default=0)
        assert (k.stack <= most, k.local) == (True, 0), k
    for rule in rules:  # each is needed
        assert any(k.stack for k in every_kernel if re.fullmatch(rule.kernels, k.name)), rule


def test_half_of_the_threads_are_resident(every_kernel, architecture):
    for k in every_kernel:
        fits = [e for e in EXEMPT if architecture in e.architectures and re.fullmatch(e.kernels, k.name)]
        assert k.share(MULTIPROCESSORS[architecture]) >= (fits[0].bar if fits else LEAST_SHARE), k


@pytest.mark.parametrize("rule", EXEMPT, ids=lambda e: e.kernels)
def test_exemptions_are_needed(every_kernel, architecture, rule):
    found = [k.share(MULTIPROCESSORS[architecture]) for k in every_kernel if re.fullmatch(rule.kernels, k.name)]
    assert found
    everywhere = len(rule.architectures) == len(MULTIPROCESSORS)
    assert architecture not in ((DEFAULT,) if everywhere else rule.architectures) or min(found) < LEAST_SHARE
