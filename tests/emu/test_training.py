"""The course's digits network on the emulated GPU: the losses of the CPU, and of mixed precision."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import fastdl
from fastdl.amp import GradScaler, autocast
from fastdl.data import load_digits
from fastdl.functional import cross_entropy
from fastdl.models import digits_network
from fastdl.optim import Adam

EPS = float(np.finfo(np.float32).eps)


def losses(device: str, dtype: str | None = None, steps: int = 2) -> list[float]:
    fastdl.manual_seed(0)
    model = digits_network().to(device)
    optimizer = Adam(model.parameters(), lr=2e-3)
    scaler = GradScaler(device, enabled=dtype == "float16")
    images, labels = (fastdl.tensor(a[:2], device=device) for a in load_digits(train=4000)[0].arrays)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        with autocast(device, dtype=dtype, enabled=dtype is not None):
            loss = cross_entropy(model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        found.append(loss.item())
    return found


def test_two_steps_give_the_losses_of_the_cpu(emu: ModuleType) -> None:
    # The second loss has gone through some 3,000 sums of a gradient and through Adam, which divides by its size.
    assert losses("emu") == pytest.approx(losses("cpu"), rel=100 * EPS)
    assert emu.report() == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_gives_nearly_the_losses_of_float32(emu: ModuleType, dtype: str) -> None:
    bits = {"bfloat16": 8, "float16": 11}[dtype]
    assert losses("emu", dtype) == pytest.approx(losses("cpu"), rel=4 * 2.0**-bits)
    assert emu.report() == []
