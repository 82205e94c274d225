"""RowGrad: the gradient of a table of which few rows were looked up (`sparse=True`).

It holds the numbers of these rows, ascending and each once, and their gradients; all other rows are 0. Leaves keep it
as their `.grad`; on its way through any other operation it becomes a whole array. Optimizers that can (SGD without
momentum, Adagrad, SparseAdam) read and write only its rows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor import Tensor

Array = Any


class RowGrad:
    """Gradient of some rows of a (V, D) parameter.

    >>> import fastdl
    >>> table = fastdl.zeros(1000, 2, requires_grad=True)
    >>> fastdl.functional.embedding(fastdl.tensor([7, 3, 7]), table, sparse=True).sum().backward()
    >>> table.grad.indices().tolist(), table.grad.values().tolist()
    ([3, 7], [[1.0, 1.0], [2.0, 2.0]])
    """

    is_sparse = True
    requires_grad = False

    def __init__(self, rows: Array, row_values: Array, shape: tuple[int, ...], backend: Any) -> None:
        self._rows, self._values, self._backend = rows, row_values, backend
        self.shape = shape

    def _wrap(self, array: Array) -> Tensor:
        from .tensor import Tensor

        return Tensor(array, self._backend)

    @property
    def dtype(self) -> Any:
        return self.values().dtype

    @property
    def device(self) -> Any:
        return self.values().device

    def indices(self) -> Tensor:
        """The numbers of the rows, int64, ascending."""
        return self._wrap(self._rows)

    def values(self) -> Tensor:
        """The gradients of these rows, (rows, D), sharing memory."""
        return self._wrap(self._values)

    def to_dense(self) -> Tensor:
        """The gradient of the whole table."""
        return self._wrap(self.dense())

    def detach(self) -> RowGrad:
        return self

    def zero_(self) -> RowGrad:
        """No rows, in place."""
        k, name = self._backend, str(self._values.dtype)
        self._rows, self._values = k.empty((0,), "int64"), k.empty((0, self.shape[1]), name)
        return self

    def __repr__(self) -> str:
        return f"RowGrad(shape={self.shape}, rows={self._rows.shape[0]}, dtype={self.dtype!r})"

    # ---- for the tape ------------------------------------------------------------------------------------------------

    def dense(self) -> Array:
        return self._backend.embedding_bwd(self._values, self._rows, self.shape[0], -1, False)

    def plus(self, other: Array | RowGrad) -> Array | RowGrad:
        """The sum with another gradient of the table; an array if the other one is."""
        k = self._backend
        if not isinstance(other, RowGrad):
            return k.add(self.dense(), other)
        rows, values = k.concat([self._rows, other._rows], 0), k.concat([self._values, other._values], 0)
        rows, values = k.embedding_bwd_rows(values, rows, self.shape[0], -1, False)
        return RowGrad(rows, values, self.shape, k)


def total(backend: Any, a: Array | RowGrad, b: Array | RowGrad) -> Array | RowGrad:
    """a + b, of which either may be of rows."""
    if isinstance(a, RowGrad):
        return a.plus(b)
    return b.plus(a) if isinstance(b, RowGrad) else backend.add(a, b)


def dense(grad: Array | RowGrad) -> Array:
    """The array of a gradient."""
    return grad.dense() if isinstance(grad, RowGrad) else grad


@functools.cache  # an import statement in `deposit` would take as long as the rest of it
def _tensor_class() -> type[Tensor]:
    from .tensor import Tensor

    return Tensor


def deposit(leaf: Tensor, grad: Array | RowGrad, own: bool) -> None:
    """Adds a gradient to leaf.grad. An array that something else may hold is copied first."""
    tensor, backend, held = _tensor_class(), leaf._backend, leaf.grad
    if held is None and type(grad) is not RowGrad:
        leaf.grad = tensor(grad if own else backend.cast(grad, str(grad.dtype)), backend)
        return
    summed: Any = grad if held is None else total(backend, held._array if type(held) is tensor else held, grad)
    kept: Any = summed if type(summed) is RowGrad else tensor(summed, backend)
    leaf.grad = kept
