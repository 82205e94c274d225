"""Registers, stack and occupancy of every kernel of the CUDA module, as nvcc compiled it for sm_90a. Products on tensor
cores, whose shared memory is the launcher's choice, have tests of their own beside this file."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

# A multiprocessor of 9.0.
REGISTERS, SHARED, THREADS, BLOCKS = 65536, 228 * 1024, 2048, 32
WARP, REGISTERS_AT_ONCE, RESERVED_SHARED = 32, 256, 1024
LEAST_SHARE = 0.5  # of the threads that a multiprocessor can have


@dataclass(frozen=True)
class Kernel:
    name: str
    registers: int
    stack: int
    local: int
    shared: int
    threads: int

    def share(self) -> float:
        """Resident threads of those that a multiprocessor can have."""
        of_warp = -(-self.registers * WARP // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE
        by_registers = REGISTERS // of_warp // -(-self.threads // WARP)
        by_shared = SHARED // (self.shared + RESERVED_SHARED)
        return min(by_registers, by_shared, THREADS // self.threads, BLOCKS) * self.threads / THREADS


@dataclass(frozen=True)
class Exempt:
    """Kernels (a regular expression of name and template arguments) that may have fewer threads, and why."""

    kernels: str
    least_share: float
    reason: str


EXEMPT = [
    Exempt("mma_(windows|taps)<.*", 0.125, "sums in registers; bars of their own in test_machine_code.py"),
    Exempt("wgmma_(windows|product)<.*", 0.1875, "one block of three warpgroups; bars in test_hopper_code.py"),
    Exempt(r"((matmul|product)_tiles|conv_(taps|windows))<GemmTile<(float, 128|double).*", 0.25,
           "64 (of doubles 16) sums and their operands in the registers of a thread, two blocks"),
    Exempt(r"((matmul|product)_tiles|conv_(taps|windows))<GemmTile<float, 64.*", 0.375, "likewise, 16 sums"),
    Exempt("multiply_points<.*", 0.25, "likewise, 64 sums"),
    Exempt("distance_tiles<.*", 0.25, "likewise, 16 sums of differences"),
    Exempt("gradient_tiles<GemmTile<float, .*", 0.25, "likewise, and what the differences are weighed with"),
    Exempt("gradient_tiles<GemmTile<double, .*", 0.125, "likewise"),
    Exempt("softmax_bwd_held<double, 32>", 0.125, "32 doubles of a row and of its gradient in a lane"),
    Exempt("softmax_(bwd_)?held<.*, (16|32)>", 0.25, "a row in the registers of a warp: read once"),
    Exempt("(forward|backward)_step<double, .*", 0.3, "blocks of 64 threads, units by samples in registers"),
    Exempt("(forward|backward)_step<float, .*", 0.4, "likewise"),
    Exempt("move_by_digit<.*", 0.375, "keys of a block in shared memory, to be written in runs"),
    Exempt("pool_bins<double, false>", 0.25, "divisions of 64 bits"),
    Exempt("(pool_bins|average_bins|gather_gradients|backward_kernel)<.*", 0.25, "many bounds of windows at once"),
]  # fmt: skip
# The words of the product of a large angle with 2 / pi, in a branch that angles below 10^5 do not take.
STACK = r"unary_kernel<\(Unary\)1[12], .*"  # sin, cos


@pytest.fixture(name="every_kernel", scope="module")
def _every_kernel(built_kernels) -> list[Kernel]:
    return [Kernel(*k) for k in built_kernels]


def test_there_are_many(every_kernel):
    assert len(every_kernel) > 1000


def test_nothing_is_kept_in_memory(every_kernel):
    """A stack is where spilled registers go, and arrays whose indices the compiler does not know."""
    found = [k for k in every_kernel if (k.stack, k.local) != (0, 0)]
    assert [k for k in found if not re.fullmatch(STACK, k.name)] == []
    assert found


def test_half_of_the_threads_are_resident(every_kernel):
    for k in every_kernel:
        rule = next((e for e in EXEMPT if re.fullmatch(e.kernels, k.name)), None)
        assert k.share() >= (rule.least_share if rule else LEAST_SHARE), k


@pytest.mark.parametrize("rule", EXEMPT, ids=lambda e: e.kernels)
def test_exemptions_are_needed(every_kernel, rule):
    found = [k.share() for k in every_kernel if re.fullmatch(rule.kernels, k.name)]
    assert found
    assert min(found) < LEAST_SHARE
