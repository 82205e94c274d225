"""GradScaler: a loss scaled up so that small gradients survive float16.

Micikevicius et al., "Mixed precision training", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..cuda import graphs
from ..optim.optimizer import Optimizer
from ..row_grad import RowGrad
from ..tensor import Tensor


class GradScaler:
    """Scales losses, takes the scale out of gradients, and skips steps whose gradients overflowed
    (`torch.amp.GradScaler`).

    Args:
        device: taken for the sake of PyTorch's programs; gradients are looked at where they are.
        init_scale: what losses are multiplied by at first.
        growth_factor: what the scale is multiplied by after `growth_interval` steps without an overflow.
        backoff_factor: what it is multiplied by after an overflow.
        enabled: False makes it do nothing: `scale` returns losses as they are, `step` steps.

    Looking for overflows waits for the device. In a captured graph (`fastdl.cuda.graph`) the device decides itself
    whether a step is done: capture all of a step, `scale` to `update`.

    Raises:
        ValueError: for factors that do not grow or not shrink, or a `growth_interval` below 1.

    >>> import fastdl
    >>> w = fastdl.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = fastdl.optim.SGD([w], lr=0.5), fastdl.amp.GradScaler("cpu")
    >>> scaler.scale((w * w).sum()).backward()
    >>> scaler.step(optimizer); scaler.update()
    >>> w.tolist(), scaler.get_scale()
    ([0.0], 65536.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device, self._enabled, self._scale = device, bool(enabled), float(init_scale)
        self._growth_tracker = 0
        # id of an optimizer whose gradients are unscaled: whether one overflowed; in a capture, where that will stand
        self._found: dict[int, Any] = {}
        self._stepped: set[int] = set()
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)

    # ---- a step ------------------------------------------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """A loss, or tensors in a list or tuple, times the scale."""
        if not self._enabled:
            return outputs
        graphs.settle()
        if isinstance(outputs, Tensor):
            factor = graphs.number(outputs._backend, outputs.dtype.name, lambda: self._scale)
            return outputs * (self._scale if factor is None else Tensor(factor, outputs._backend))
        if isinstance(outputs, Iterable) and not isinstance(outputs, str):
            scaled = [self.scale(part) for part in outputs]
            return tuple(scaled) if isinstance(outputs, tuple) else scaled
        raise TypeError(f"[GradScaler] expected a Tensor or several for outputs, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the optimizer's gradients by the scale, e.g. before they are clipped; `step` does it otherwise.

        Raises RuntimeError when it was done already, or after `step`, since the last `update`.
        """
        if not self._enabled:
            return
        graphs.settle()
        for done, what in ((self._stepped, "step"), (self._found, "unscale_")):
            if id(optimizer) in done:
                raise RuntimeError(f"[GradScaler] expected update() before unscale_(), got {what}() before it")
        buckets = _gradients(optimizer)
        if graphs.capturing():
            self._found[id(optimizer)] = self._unscaled_in_graph(buckets)
        else:
            self._found[id(optimizer)] = any([_unscaled(k, arrays, 1 / self._scale) for k, arrays in buckets])

    def _unscaled_in_graph(self, buckets: list[tuple[Any, list[Any]]]) -> Any:
        """Multiplies gradients in place in every replay; where the largest of them will stand."""
        largest = None
        for k, arrays in buckets:
            found = k.cast(k.grad_norm(arrays, math.inf), "float64")
            largest = found if largest is None else k.maximum(largest, found)
            factor = graphs.number(k, str(arrays[0].dtype), lambda: 1 / self._scale)
            for array in arrays:
                k.copy_(array, k.mul(array, factor))
        return largest

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)` with unscaled gradients, unless one of them is infinite or NaN.

        Raises RuntimeError for a second step before `update`, or an optimizer without gradients.
        """
        if "closure" in kwargs or (args and callable(args[0])):
            raise RuntimeError("[GradScaler] expected a step without closure, got one")
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise RuntimeError("[GradScaler] expected update() before step(), got step() before it")
        if id(optimizer) not in self._found:
            if not _gradients(optimizer):
                raise RuntimeError("[GradScaler] expected an optimizer with gradients, got one without")
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        if graphs.capturing():
            return graphs.Guard(self, optimizer, self._found[id(optimizer)]).capture()
        return None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """The scale of the next step: smaller after an overflow, larger after many steps without; or `new_scale`.

        Raises RuntimeError without a `step` or `unscale_` before it.
        """
        if not self._enabled:
            return
        graphs.settle()
        if new_scale is None and graphs.captured_update(self):
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._found:
            raise RuntimeError("[GradScaler] expected step() before update(), got none")
        elif any(self._found.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._grown(), 0
        self._forget()

    def _forget(self) -> None:
        self._found.clear()
        self._stepped.clear()

    def _replayed(self, optimizer: Optimizer, skipped: bool) -> None:
        """What a replay did in the place of `step`."""
        self._found[id(optimizer)] = skipped
        self._stepped.add(id(optimizer))

    def _grown(self) -> float:
        grown = self._scale * self._growth_factor
        return grown if grown < 3.4e38 else self._scale  # beyond float32 every gradient would overflow

    # ---- settings ----------------------------------------------------------------------------------------------------

    def get_scale(self) -> float:
        """What losses are multiplied by; 1.0 when disabled."""
        graphs.settle()
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        if not new_factor > 1:
            raise ValueError(f"[GradScaler] expected growth_factor above 1, got {new_factor}")
        graphs.settle()
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        if not 0 < new_factor < 1:
            raise ValueError(f"[GradScaler] expected backoff_factor between 0 and 1, got {new_factor}")
        graphs.settle()
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        if not isinstance(new_interval, int) or new_interval < 1:
            raise ValueError(f"[GradScaler] expected growth_interval of at least 1, got {new_interval}")
        graphs.settle()
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and how many steps went well, under PyTorch's names; empty when disabled."""
        if not self._enabled:
            return {}
        graphs.settle()
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave, here or in PyTorch, in captured graphs too.

        Raises RuntimeError for an empty one, NotImplementedError inside a capture.
        """
        if not self._enabled:
            return
        graphs.refuse_capture("load_state_dict")
        graphs.settle()
        if not state_dict:
            raise RuntimeError("[GradScaler] expected the state of a scaler that was enabled, got an empty one")
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self.set_growth_factor(state_dict["growth_factor"])
        self.set_backoff_factor(state_dict["backoff_factor"])
        self.set_growth_interval(int(state_dict["growth_interval"]))


def _gradients(optimizer: Optimizer) -> list[tuple[Any, list[Any]]]:
    """The arrays of gradients, those of one device and dtype together."""
    buckets: dict[tuple[str, str], tuple[Any, list[Any]]] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                array = p.grad._values if isinstance(p.grad, RowGrad) else p.grad._array
                buckets.setdefault((p._backend.NAME, str(array.dtype)), (p._backend, []))[1].append(array)
    return list(buckets.values())


def _unscaled(backend: Any, arrays: list[Any], factor: float) -> bool:
    """Multiplies gradients in place; whether one of them was infinite or NaN."""
    largest = float(backend.to_numpy(backend.grad_norm(arrays, math.inf)))
    for array in arrays:
        backend.mul_scalar_(array, factor)
    return not math.isfinite(largest)
