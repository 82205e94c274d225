"""Training steps in CUDA graphs on the emulation: every optimizer, captured steps against eager ones bit for bit, and
what cannot be captured."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastdl
from fastdl import cuda, nn, optim
from fastdl.functional import cross_entropy

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p, lr=0.01, weight_decay=1e-2),
    "nadam": lambda p: optim.NAdam(p, lr=0.01, weight_decay=1e-2, decoupled_weight_decay=True),
    "radam": lambda p: optim.RAdam(p, lr=0.01, betas=(0.9, 0.6)),  # trusts its variance from the fourth step on
    "rprop": lambda p: optim.Rprop(p, lr=0.01),
}


def network() -> nn.Sequential:
    fastdl.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(), nn.Linear(27, 4)
    ).to("emu")


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((5, 1, 8, 8)).astype(np.float32), rng.integers(0, 4, 5)) for _ in range(count)]


def state_of(optimizer: optim.Optimizer) -> list[dict[str, Any]]:
    """What the optimizer keeps of each parameter, as numbers."""
    states = optimizer.state_dict()["state"].values()
    return [{k: v.tolist() if isinstance(v, fastdl.Tensor) else v for k, v in state.items()} for state in states]


class Training:
    """The same steps, eager or captured after the second one."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.model = network()
        self.optimizer = make(self.model.parameters())
        self.schedule = optim.lr_scheduler.StepLR(self.optimizer, step_size=2, gamma=0.5)
        self.x = fastdl.zeros(5, 1, 8, 8, device="emu")
        self.y = fastdl.zeros(5, dtype=fastdl.int64, device="emu")

    def step(self) -> fastdl.Tensor:
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.x), self.y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss

    def run(self, captured: bool) -> list[float]:
        losses, graph = [], None
        fastdl.manual_seed(5)
        for i, (x, y) in enumerate(batches(6)):
            self.x.copy_(fastdl.tensor(x))
            self.y.copy_(fastdl.tensor(y))
            if captured and i == 2:
                graph = cuda.CUDAGraph(device="emu")
                with cuda.graph(graph):
                    loss = self.step()
            if graph is not None:
                graph.replay()
            else:
                loss = self.step()
            self.schedule.step()
            losses.append(loss.item())
        return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_captured_steps_are_eager_steps(emu: ModuleType, name: str) -> None:
    eager, captured = Training(OPTIMIZERS[name]), Training(OPTIMIZERS[name])
    assert captured.run(True) == eager.run(False)
    for a, b in zip(captured.model.parameters(), eager.model.parameters(), strict=True):
        assert fastdl.equal(a, b)
    assert state_of(captured.optimizer) == state_of(eager.optimizer)
    assert emu.report() == []


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_captured_steps_of_doubles(emu: ModuleType, name: str) -> None:
    def train(captured: bool) -> list[float]:
        w = fastdl.tensor(np.linspace(-1.0, 1.0, 7), device="emu", requires_grad=True)
        optimizer, graph = OPTIMIZERS[name]([w]), cuda.CUDAGraph(device="emu")

        def step() -> None:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        step()
        if captured:
            with cuda.graph(graph):
                step()
        for _ in range(3):
            graph.replay() if captured else step()
        return w.tolist()

    assert train(True) == train(False)
    assert emu.report() == []


def test_a_step_with_an_embedding(emu: ModuleType) -> None:
    """Its lookups, and their gradient; indices that differ from replay to replay, and wrong ones."""

    def train(captured: bool) -> tuple[list[float], Any]:
        fastdl.manual_seed(1)
        table, layer = nn.Embedding(7, 4, padding_idx=0).to("emu"), nn.Linear(4, 3).to("emu")
        optimizer = optim.Adam([*table.parameters(), *layer.parameters()], lr=0.1)
        words, y = fastdl.zeros(5, dtype=fastdl.int64, device="emu"), fastdl.tensor([0, 1, 2, 0, 1], device="emu")

        def step() -> fastdl.Tensor:
            optimizer.zero_grad()
            loss = cross_entropy(layer(table(words)), y)
            loss.backward()
            optimizer.step()
            return loss

        losses, graph = [], cuda.CUDAGraph(device="emu")
        for i in range(4):
            words.copy_(fastdl.tensor([i, 6, 0, 3, i + 1]))
            if i == 0 or not captured:
                loss = step()
            elif i == 1:
                with cuda.graph(graph):
                    loss = step()
            if i > 0 and captured:
                graph.replay()
            losses.append(loss.item())
        if captured:
            words.copy_(fastdl.tensor([1, 2, 7, 3, 4]))
            with pytest.raises(IndexError, match=r"^\[embedding\] expected indices in \[0, 7\), got 7 at position 2$"):
                graph.replay()
        return losses, emu.report()

    assert train(True) == train(False)


def test_every_optimizer_is_captured_or_refused() -> None:
    refused = {"LBFGS", "SparseAdam"}  # they look at numbers on the host: losses, and rows that were looked up
    captured = {type(make([fastdl.ones(1, requires_grad=True)])).__name__ for make in OPTIMIZERS.values()}
    everything = {n for n, c in vars(optim).items() if isinstance(c, type) and issubclass(c, optim.Optimizer)}
    assert everything - {"Optimizer"} == captured | refused


def test_optimizers_need_their_states_first(emu: ModuleType) -> None:
    w = fastdl.ones(3, device="emu", requires_grad=True)
    graph = cuda.CUDAGraph(device="emu")
    for optimizer in (optim.Adam([w]), optim.NAdam([w])):
        name = type(optimizer).__name__
        with pytest.raises(RuntimeError, match=rf"^\[{name}\] expected a step before the capture"), cuda.graph(graph):
            w.sum().backward()
            optimizer.step()
        w.grad = None


def test_what_counts_on_the_host_is_refused(emu: ModuleType) -> None:
    w = fastdl.ones(3, device="emu", requires_grad=True)
    model = nn.Linear(2, 2).to("emu")
    average = optim.swa_utils.AveragedModel(model)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([w], lr=0.1))
    lbfgs = optim.LBFGS([w])

    def closure() -> fastdl.Tensor:
        lbfgs.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    table, words = nn.Embedding(7, 4, sparse=True).to("emu"), fastdl.tensor([1, 2], device="emu")
    for use, error in (
        (lambda: average.update_parameters(model), NotImplementedError),
        (lambda: plateau.step(1.0), NotImplementedError),
        (lambda: lbfgs.step(closure), RuntimeError),
        (lambda: table(words).sum().backward(), RuntimeError),
    ):
        expected = r"expected (no capture of a graph|work that a graph can hold), got"
        with pytest.raises(error, match=expected), cuda.graph(cuda.CUDAGraph(device="emu")):
            use()


# ---- states that are loaded when the graph is there already ----------------------------------------------------------


class Resumed:
    """Steps towards a moving target; a graph of them, or none, whose optimizer may be given another one's state."""

    def __init__(self, make: Callable[[Any], Any], captured: bool) -> None:
        start = np.linspace(-1.0, 1.0, 7)
        self.w = [fastdl.tensor(start * k, device="emu", requires_grad=True) for k in (1, 2)]
        self.target = fastdl.zeros(7, dtype="float64", device="emu")
        self.optimizer, self.graph, self.captured = make(self.w), cuda.CUDAGraph(device="emu"), captured
        self.step()
        if captured:
            with cuda.graph(self.graph):
                self.step()

    def step(self) -> None:
        self.optimizer.zero_grad()
        sum(((w - self.target) ** 2).sum() for w in self.w).backward()
        self.optimizer.step()

    def run(self, steps: int) -> None:
        for i in range(steps):
            self.target.fill_(i)
            self.graph.replay() if self.captured else self.step()

    def numbers(self) -> list[Any]:
        return [[w.tolist() for w in self.w], state_of(self.optimizer)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loaded_states_count_in_replays(emu: ModuleType, name: str) -> None:
    """As in a new run: moments, counts and learning rate are those of the state, wherever the graph keeps them."""
    other = Resumed(OPTIMIZERS[name], captured=False)
    other.run(2)
    saved = copy.deepcopy(other.optimizer.state_dict())
    saved["param_groups"][0]["lr"] *= 0.5

    def resumed(captured: bool) -> list[Any]:
        training = Resumed(OPTIMIZERS[name], captured)
        training.run(1)
        training.optimizer.load_state_dict(saved)
        assert training.optimizer.state_dict()["param_groups"][0]["lr"] == saved["param_groups"][0]["lr"]
        training.run(3)
        return training.numbers()

    got = resumed(True)
    assert got == resumed(False)
    continued = Resumed(OPTIMIZERS[name], True)
    continued.run(4)
    assert got != continued.numbers()  # it was not lost
    assert emu.report() == []


def test_states_of_another_kind_are_refused_once_there_is_a_graph(emu: ModuleType) -> None:
    kinds = {
        "momentum": (OPTIMIZERS["momentum"], OPTIMIZERS["sgd"],
                     "momentum, momentum_buffer of shape (7,), the step of parameter 0 of the group, "
                     "got the step of parameter 0 of the group"),
        "no momentum": (OPTIMIZERS["sgd"], OPTIMIZERS["momentum"],
                        "the step of parameter 0 of the group, got momentum, momentum_buffer of shape (7,), "
                        "the step of parameter 0 of the group"),
        "largest": (lambda p: optim.Adam(p), lambda p: optim.Adam(p, amsgrad=True),
                    "exp_avg of shape (7,), exp_avg_sq of shape (7,), the step of parameter 0 of the group, "
                    "got amsgrad, exp_avg of shape (7,), exp_avg_sq of shape (7,), max_exp_avg_sq of shape (7,), "
                    "the step of parameter 0 of the group"),
    }  # fmt: skip
    for own, other, message in kinds.values():
        training = Resumed(own, captured=True)
        before, saved = training.numbers(), Resumed(other, captured=False).optimizer.state_dict()
        expected = f"[load_state_dict] expected states as in the captured graph, for parameter 0 {message}"
        with pytest.raises(RuntimeError, match=f"^{re.escape(expected)}$"):
            training.optimizer.load_state_dict(saved)
        assert training.numbers() == before
        training.run(1)
        training.graph.reset()
        training.optimizer.load_state_dict(saved)  # without the graph it may


def test_parameters_at_other_steps_are_refused_once_there_is_a_graph(emu: ModuleType) -> None:
    """A graph updates those together that were at one step."""
    training = Resumed(OPTIMIZERS["adam"], captured=True)
    saved = copy.deepcopy(training.optimizer.state_dict())
    saved["state"][1]["step"] = fastdl.tensor(9.0)
    expected = r"for parameter 1 .*, the step of parameter 0 of the group, got .*, the step of parameter 1 of the "
    with pytest.raises(RuntimeError, match=expected):
        training.optimizer.load_state_dict(saved)


def test_states_are_not_loaded_in_a_capture(emu: ModuleType) -> None:
    optimizer = Resumed(OPTIMIZERS["adam"], captured=False).optimizer
    refusal = r"^\[load_state_dict\] expected no capture of a graph, got one$"
    with pytest.raises(NotImplementedError, match=refusal), cuda.graph(cuda.CUDAGraph(device="emu")):
        optimizer.load_state_dict(optimizer.state_dict())


def test_optimizers_must_not_lose_their_gradients(emu: ModuleType) -> None:
    w = fastdl.ones(3, device="emu", requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    graph = cuda.CUDAGraph(device="emu")
    with cuda.graph(graph):
        w.sum().backward()
        optimizer.step()
    optimizer.zero_grad()
    with pytest.raises(RuntimeError, match=r"^\[cuda graph\] expected optimizers that update what .* got fewer$"):
        graph.replay()
