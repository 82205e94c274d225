"""Optimizer: groups of parameters with their options and states; PyTorch's interface and state layout."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..autograd import enable_grad
from ..creation import tensor
from ..cuda import graphs
from ..row_grad import RowGrad
from ..tensor import Tensor

Groups = Iterable[Tensor] | Iterable[dict[str, Any]]
States = dict[Tensor, dict[str, Any]]


class Optimizer:
    """Base class (`torch.optim.Optimizer`). A subclass checks its options in `_check` and updates one group in `_step`.

    `params` is an iterable of tensors, or of dicts with "params" and options that differ from the defaults.
    """

    def __init__(self, params: Groups, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"[{self._name}] expected an iterable of tensors or dicts for params, got a Tensor")
        if not isinstance(params, Iterable):
            raise TypeError(
                f"[{self._name}] expected an iterable of tensors or dicts for params, got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: States = {}
        self.param_groups: list[dict[str, Any]] = []
        items: list[Any] = list(params)
        if not items:
            raise ValueError(f"[{self._name}] expected at least one parameter, got none")
        for group in items if isinstance(items[0], dict) else [{"params": items}]:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: dict[str, Any]) -> None:
        """One more group; options that it does not name take their defaults."""
        if not isinstance(group, dict):
            raise TypeError(f"[{self._name}] expected a dict for the group, got {type(group).__name__}")
        if "params" not in group:
            raise ValueError(f"[{self._name}] expected params in the group, got {sorted(group)}")
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"[{self._name}] expected a Tensor in params, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"[{self._name}] expected leaf tensors, got the output of an operation")
            if not p.is_floating_point():
                raise TypeError(f"[{self._name}] expected params of dtype float32 or float64, got {p.dtype.name}")
            if id(p) in taken:
                raise ValueError(f"[{self._name}] expected each parameter once, got one of shape {p.shape} again")
            taken.add(id(p))
        filled = {**self.defaults, **group, "params": params}
        self._check(filled)
        self.param_groups.append(filled)

    def _check(self, group: dict[str, Any]) -> None:
        """Raises for options that are out of range."""

    def _expect_numbers(self, group: dict[str, Any], *names: str) -> None:
        """Finite numbers of at least 0."""
        for name in names:
            value = group[name]
            if not isinstance(value, int | float):
                raise TypeError(f"[{self._name}] expected a number for {name}, got {type(value).__name__}")
            self._expect(0 <= value < math.inf, f"{name} of at least 0", value)

    def _expect_flags(self, group: dict[str, Any], *names: str) -> None:
        for name in names:
            if not isinstance(group[name], int):
                raise TypeError(f"[{self._name}] expected a bool for {name}, got {type(group[name]).__name__}")

    def _expect(self, condition: bool, expected: str, got: Any) -> None:
        if not condition:
            raise ValueError(f"[{self._name}] expected {expected}, got {got}")

    # ---- steps -------------------------------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or sets them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; `closure` computes the loss again and returns it."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with graphs.repeated(self):
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            self._expect_gradient(p)
        whole = [p for p in params if isinstance(p.grad, Tensor)]
        if whole:
            self._step(group, whole)
        if len(whole) < len(params):
            for p in params:
                if isinstance(p.grad, RowGrad):
                    self._step_rows(group, p, p.grad)

    def _expect_gradient(self, p: Tensor) -> None:
        if not isinstance(p.grad, Tensor | RowGrad):
            raise TypeError(f"[{self._name}] expected a Tensor for grad, got {type(p.grad).__name__}")
        if p.grad._backend is not p._backend:
            raise ValueError(f"[{self._name}] expected tensors on one device, got {p.device} and {p.grad.device}")

    def _step(self, group: dict[str, Any], params: list[Tensor]) -> None:
        raise NotImplementedError(f"[{self._name}] expected a _step method, got none")

    def _step_rows(self, group: dict[str, Any], p: Tensor, grad: RowGrad) -> None:
        """Updates the rows of a table that were looked up."""
        raise NotImplementedError(f"[{self._name}] expected a gradient of the whole parameter, got one of rows")

    def _state_of(self, p: Tensor) -> dict[str, Any]:
        state = self.state.get(p)
        if state is None:
            state = self.state[p] = {}
        return state

    # ---- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: ...}, "param_groups": [...]}, with parameters as numbers in order (PyTorch's layout)."""
        graphs.settle()
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            groups.append({**group, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: {k: _out(k, v) for k, v in s.items()} for p, s in self.state.items() if s}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave, here or in PyTorch; tensors are copied to their parameter's place.

        Captured graphs (`fastdl.cuda.graph`) go on from it: there the numbers of the states are exchanged.

        Raises:
            ValueError: for something else, or groups that differ from this optimizer's in number or size.
            RuntimeError: for states or options that need other kernels than those of a captured graph.
            NotImplementedError: inside a capture.
        """
        graphs.refuse_capture("load_state_dict")
        graphs.settle()
        if "param_groups" not in state_dict or "state" not in state_dict:
            raise ValueError(f"[load_state_dict] expected 'state' and 'param_groups', got {list(state_dict)}")
        groups = state_dict["param_groups"]
        sizes, own = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise ValueError(f"[load_state_dict] expected groups of {own} parameters, got {sizes}")
        by_number: dict[Any, Tensor] = {}
        for group, mine in zip(groups, self.param_groups, strict=True):
            by_number.update(zip(group["params"], mine["params"], strict=True))
        state = {
            by_number[number]: {k: _in(k, v, by_number[number]) for k, v in state.items()}
            for number, state in state_dict["state"].items()
        }
        options = [{k: copy.deepcopy(v) for k, v in group.items() if k != "params"} for group in groups]
        if graphs.holds(self):
            self._exchange(state, [{**mine, **new} for mine, new in zip(self.param_groups, options, strict=True)])
        else:
            self.state = state
        for mine, new in zip(self.param_groups, options, strict=True):
            mine.update(new)

    def _exchange(self, state: States, groups: list[dict[str, Any]]) -> None:
        """Other numbers in the same tensors."""
        own, other = _kinds(self.state, self.param_groups), _kinds(state, groups)
        for number, (kind, got) in enumerate(zip(own, other, strict=True)):
            if kind != got:
                expected = f"states as in the captured graph, for parameter {number} {kind}"
                raise RuntimeError(f"[load_state_dict] expected {expected}, got {got}")
        for p, new in state.items():
            held = self.state.setdefault(p, {})
            for k, v in new.items():
                if isinstance(v, Tensor):
                    held[k].copy_(v)
                else:
                    held[k] = v

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _kinds(states: States, groups: list[dict[str, Any]]) -> list[str]:
    """What a captured graph knows of each parameter's update, in words: the states that it reads and writes, and which
    parameters are updated together."""
    kinds = []
    for group in groups:
        steps = [states.get(p, {}).get("step") for p in group["params"]]
        used = [name for name in ("momentum", "centered", "amsgrad") if group.get(name)]
        for p, step in zip(group["params"], steps, strict=True):
            held = {k: v for k, v in states.get(p, {}).items() if isinstance(v, Tensor)}
            shapes = [f"{k} of shape {held[k].shape}" for k in sorted(held)]
            kinds.append(", ".join([*used, *shapes, f"the step of parameter {steps.index(step)} of the group"]))
    return kinds


def _out(key: str, value: Any) -> Any:
    return tensor(float(value)) if key == "step" else value


def _in(key: str, value: Any, param: Tensor) -> Any:
    if key == "step":
        return int(value)
    if key == "mu_product":
        return float(value)
    if not hasattr(value, "__array__") and not isinstance(value, Tensor):
        return value
    copied = tensor(value.detach() if isinstance(value, Tensor) else value.__array__())
    return copied.to(dtype=param.dtype, device=param.device)
