"""ParameterList and ParameterDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..tensor import Tensor
from .module import Module
from .parameter import Parameter


def _parameter(value: Any, op: str) -> Parameter:
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Parameter or a Tensor, got {type(value).__name__}")
    return value if isinstance(value, Parameter) else Parameter(value)


def _line(name: str, p: Parameter, device: str) -> str:
    sizes = "x".join(str(n) for n in p.shape)
    where = "" if device == "cpu" else f" ({device})"
    return f"({name}): Parameter containing: [{p.dtype!r} of size {sizes}{where}]"


class ParameterList(Module):
    """Parameters under "0", "1", ... (`torch.nn.ParameterList`); tensors become parameters.

    >>> import fastdl
    >>> from fastdl import nn
    >>> weights = nn.ParameterList([fastdl.zeros(2), fastdl.zeros(3)])
    >>> len(weights), weights[-1].shape, list(weights.state_dict())
    (2, (3,), ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or [])

    def _name(self, index: int) -> str:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"[ParameterList] expected an index in [{-n}, {n - 1}], got {index}")
        return str(index % n)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._parameters[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self._parameters[self._name(index)] = _parameter(value, "ParameterList")

    def append(self, value: Any) -> ParameterList:
        self._parameters[str(len(self))] = _parameter(value, "ParameterList")
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        for value in values:
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __repr__(self) -> str:
        lines = [_line(name, p, str(p.device)) for name, p in self._parameters.items()]
        return f"{self._get_name()}(" + "".join(f"\n    {line}" for line in lines) + ("\n)" if lines else ")")


class ParameterDict(Module):
    """Parameters by name (`torch.nn.ParameterDict`); tensors become parameters.

    >>> import fastdl
    >>> from fastdl import nn
    >>> weights = nn.ParameterDict({"left": fastdl.zeros(2)})
    >>> weights["left"].requires_grad, list(weights.keys())
    (True, ['left'])
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Parameter:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _parameter(value, "ParameterDict"))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def keys(self) -> Any:
        return self._parameters.keys()

    def values(self) -> Any:
        return self._parameters.values()

    def items(self) -> Any:
        return self._parameters.items()

    def update(self, parameters: Any) -> None:
        """Adds parameters of a mapping or of pairs; those of the same name are replaced."""
        for key, value in parameters.items() if hasattr(parameters, "items") else parameters:
            self[key] = value

    def __repr__(self) -> str:
        lines = [_line(name, p, str(p.device)) for name, p in self._parameters.items()]
        return f"{self._get_name()}(" + "".join(f"\n    {line}" for line in lines) + ("\n)" if lines else ")")
