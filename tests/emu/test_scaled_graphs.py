"""Mixed precision in CUDA graphs: steps that the device skips, scales and counts that the host learns of afterwards,
against the same steps done eagerly, bit for bit."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastdl
from fastdl import cuda, nn, optim
from fastdl.amp import GradScaler, autocast
from fastdl.functional import cross_entropy

from .test_graph_training import OPTIMIZERS, state_of

INFINITE = {3, 4, 7}  # steps whose batch overflows
STEPS = 11


class Training:
    """Steps whose gradients are too large now and then; all of a step may be captured, or all but the new scale."""

    def __init__(self, make: Callable[[Any], Any], captured: bool, update_outside: bool = False) -> None:
        fastdl.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to("emu")
        self.optimizer = make(self.model.parameters())
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=STEPS)
        self.scaler = GradScaler("emu", init_scale=64.0, growth_interval=2)
        self.x = fastdl.zeros(6, 4, device="emu")
        self.y = fastdl.tensor([0, 1, 2, 0, 1, 2], device="emu")
        self.captured, self.update_outside = captured, update_outside

    def step(self) -> fastdl.Tensor:
        self.optimizer.zero_grad()
        with autocast("emu", dtype="float16"):
            loss = cross_entropy(self.model(self.x), self.y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.scaler.step(self.optimizer)
        if not self.update_outside:
            self.scaler.update()
        self.schedule.step()
        return loss

    def run(self) -> list[Any]:
        rng, graph, seen = np.random.default_rng(0), cuda.CUDAGraph(device="emu"), []
        for i in range(STEPS):
            batch = rng.standard_normal((6, 4)).astype(np.float32)
            self.x.copy_(fastdl.tensor(batch * (np.inf if i in INFINITE else 1)))
            if self.captured and i == 2:
                with cuda.graph(graph):
                    loss = self.step()
            if self.captured and i >= 2:
                graph.replay()
            else:
                loss = self.step()
            if self.update_outside:
                self.scaler.update()
            seen.append(np.isfinite(loss.item()))
            if i % 3 == 0:  # in between nobody asks
                seen.append((self.scaler.get_scale(), self.optimizer.state_dict()["param_groups"][0]["lr"]))
        return [
            *seen,
            state_of(self.optimizer),
            self.scaler.state_dict(),
            [p.tolist() for p in self.model.parameters()],
        ]


@pytest.mark.parametrize("outside", [False, True], ids=["", "update outside"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_captured_steps_are_eager_steps(emu: ModuleType, name: str, outside: bool) -> None:
    got = Training(OPTIMIZERS[name], True, outside).run()
    expected = Training(OPTIMIZERS[name], False, outside).run()
    assert got == expected
    assert expected.count(False) == len(INFINITE)
    assert emu.report() == []


def test_parameters_of_two_dtypes(emu: ModuleType) -> None:
    """An overflow among the doubles skips the step of the floats, too."""

    def train(captured: bool) -> list[Any]:
        a = fastdl.tensor([1.0, 2.0], device="emu", requires_grad=True)
        b = fastdl.tensor([3.0], dtype="float64", device="emu", requires_grad=True)
        factor = fastdl.ones(1, dtype="float64", device="emu")
        optimizer, scaler = optim.Adam([a, b], lr=0.1), GradScaler("emu", init_scale=4.0)
        graph, seen = cuda.CUDAGraph(device="emu"), []

        def step() -> None:
            optimizer.zero_grad()
            for loss in scaler.scale([(a * a).sum(), (b * factor).sum()]):
                loss.backward()
            scaler.step(optimizer)
            scaler.update()

        step()
        if captured:
            with cuda.graph(graph):
                step()
        for value in (1.0, np.inf, 2.0):
            factor.fill_(value)
            graph.replay() if captured else step()
            seen += [a.tolist(), b.tolist()]
        return [*seen, scaler.get_scale()]

    assert train(True) == train(False)
    assert emu.report() == []


def scaled_step(optimizer: optim.Optimizer, scaler: GradScaler, w: fastdl.Tensor, x: fastdl.Tensor) -> None:
    optimizer.zero_grad()
    scaler.scale((w * w * x).sum()).backward()
    scaler.step(optimizer)
    scaler.update()


def test_eager_steps_go_on_after_replays(emu: ModuleType) -> None:
    def train(captured: bool) -> list[float]:
        w, x = fastdl.ones(3, device="emu", requires_grad=True), fastdl.ones(3, device="emu")
        optimizer, scaler = optim.Adam([w], lr=0.1), GradScaler("emu", init_scale=4.0)
        graph = cuda.CUDAGraph(device="emu")

        step = functools.partial(scaled_step, optimizer, scaler, w, x)

        step()
        if captured:
            with cuda.graph(graph):
                step()
        for value in (np.inf, 1.0, np.nan):
            x.fill_(value)
            graph.replay() if captured else step()
        x.fill_(1.0)
        step()
        optimizer.step()
        return [*w.tolist(), scaler.get_scale(), float(optimizer.state_dict()["state"][0]["step"])]

    assert train(True) == train(False)


def test_loaded_scales_count_in_replays(emu: ModuleType) -> None:
    """The scale that was loaded, the steps that went well before it, and the moments of the optimizer."""

    def train(captured: bool) -> list[Any]:
        w, x = fastdl.ones(3, device="emu", requires_grad=True), fastdl.ones(3, device="emu")
        optimizer, scaler = optim.Adam([w], lr=0.1), GradScaler("emu", init_scale=4.0, growth_interval=2)
        graph, seen = cuda.CUDAGraph(device="emu"), []

        step = functools.partial(scaled_step, optimizer, scaler, w, x)

        step()
        saved = copy.deepcopy((optimizer.state_dict(), {**scaler.state_dict(), "scale": 256.0}))
        if captured:
            with cuda.graph(graph):
                step()
        for value in (1.0, np.inf, 2.0, 3.0, 1.0):
            x.fill_(value)
            graph.replay() if captured else step()
            if value == np.inf:  # nobody has looked yet whether that step was skipped
                optimizer.load_state_dict(saved[0])
                scaler.load_state_dict(saved[1])
            seen.append(w.tolist())
            if value == 3.0:
                seen.append(scaler.state_dict())
        return [*seen, scaler.get_scale(), state_of(optimizer)]

    got = train(True)
    assert got == train(False)
    assert got[4]["scale"] == 512.0  # one step before it was saved, one after it was loaded
    assert emu.report() == []


def test_scales_are_not_loaded_in_a_capture(emu: ModuleType) -> None:
    scaler = GradScaler("emu")
    refusal = r"^\[load_state_dict\] expected no capture of a graph, got one$"
    with pytest.raises(NotImplementedError, match=refusal), cuda.graph(cuda.CUDAGraph(device="emu")):
        scaler.load_state_dict(scaler.state_dict())


def test_wrong_order_in_a_capture(emu: ModuleType) -> None:
    w = fastdl.ones(3, device="emu", requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=0.1), GradScaler("emu")
    graph = cuda.CUDAGraph(device="emu")
    with pytest.raises(RuntimeError, match=r"expected update\(\) before step\(\), got step\(\)"), cuda.graph(graph):
        scaler.scale(w.sum()).backward()
        scaler.step(optimizer)
        scaler.step(optimizer)
    w.grad = None
    scaler.scale(w.sum()).backward()  # nothing of the capture has happened
    scaler.step(optimizer)
    scaler.update()
    assert w.tolist() == pytest.approx([0.9] * 3)
