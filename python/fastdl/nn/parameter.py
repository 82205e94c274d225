"""Parameter: a tensor that a Module registers when it is assigned as an attribute."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor to be trained (`torch.nn.Parameter`); shares the memory of `data`.

    >>> import fastdl
    >>> Parameter(fastdl.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise TypeError(f"[Parameter] expected a Tensor for data, got {type(data).__name__}")
        super().__init__(data._array, data._backend)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = Parameter(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __reduce__(self) -> Any:
        host = self.detach().cpu().numpy()
        return _rebuild, (host, str(self.device), self.requires_grad)


def _rebuild(host: Any, device: str, requires_grad: bool) -> Parameter:
    from ..creation import tensor

    return Parameter(tensor(host, device=device), requires_grad)
