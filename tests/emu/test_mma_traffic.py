"""Products on tensor cores, as the profile counts their accesses: no bank conflicts in the exchanged panels, neither of
copies nor of fragments, and whole sectors of the operands."""

from __future__ import annotations

import numpy as np
import pytest

from fastdl import emu as emulation

from .test_product_precision import EPSILON

pytestmark = pytest.mark.skipif(not emulation.is_available(), reason="this build has no emulation module")
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


# A whole tile each: matrices either way up, a convolution with its gradients, a stride.
WINDOW = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
CALLS = {
    "matmul": ("matmul", normal(128, 128), normal(128, 128), False, True),
    "matmul, turned": ("matmul", normal(128, 128), normal(128, 128), True, False),
    "large tiles": ("matmul", normal(1024, 64), normal(64, 2048), False, False),
    "conv2d": ("conv2d", normal(2, 64, 8, 8), normal(64, 64, 3, 3), None, *WINDOW, "none", None),
    "conv2d_bwd_input": ("conv2d_bwd_input", normal(2, 64, 8, 8), normal(64, 64, 3, 3), (8, 8), *WINDOW),
    "conv2d_bwd_weight": ("conv2d_bwd_weight", normal(2, 64, 8, 8), normal(2, 64, 8, 8), (3, 3), *WINDOW),
}
# Sectors for each that could hold the bytes.
MOST_SECTORS = 1.1
EXEMPT = {
    ("prepare_along_k", "read"): "the eight numbers of a chunk are two accesses to one sector",
}


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("name", CALLS)
def test_panels_meet_each_bank_once(emu, run, precision, name):
    emu.set_product_precision(precision)
    try:
        with emulation.profile() as profile:
            run(*CALLS[name])
    finally:
        emu.set_product_precision("float32")
    lines = [line for line in profile.lines if line.kernel.startswith(("mma_", "prepare_", "turn_"))]
    shared = [line for line in lines if line.space == "shared" and line.kernel.startswith("mma_")]
    assert shared
    assert [str(line) for line in shared if line.units > line.ideal] == []
    for kernel in {line.kernel for line in lines}:
        for kind in ("read", "write"):
            moved = [line for line in lines if (line.kernel, line.space, line.kind) == (kernel, "global", kind)]
            if (kernel.split("<")[0], kind) in EXEMPT:
                continue
            units, ideal = sum(line.units for line in moved), sum(line.ideal for line in moved)
            assert units <= MOST_SECTORS * ideal, (kernel, kind, [str(line) for line in moved])


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.usefixtures("_hopper")
def test_warpgroups_write_whole_sectors(emu, run, precision):
    """Operands come by the copy engine and go to the products; what threads move is the result."""
    emu.set_product_precision(precision)
    with emulation.profile() as profile:
        run("matmul", normal(128, 64), normal(64, 128), False, False)
    lines = [line for line in profile.lines if line.kernel.startswith("wgmma_product")]
    assert {line.kind for line in lines if line.space == "global"} == {"write"}
    for line in lines:
        if line.kind == "atomic":  # mbarriers: lanes of a warp ask for the same one
            continue
        assert line.units <= (MOST_SECTORS if line.space == "global" else 1) * line.ideal, str(line)
