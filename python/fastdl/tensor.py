"""Tensor: an array on a device, with gradients.

Arithmetic, reductions and the like live in `fastdl.functional`; `functional/methods.py` makes them methods and
operators of this class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import autograd, backends, dtypes, exchange, printing

if TYPE_CHECKING:
    from types import ModuleType


class device(str):
    """Where a tensor lives: "cpu", "cuda", "emu" (CUDA kernels run on the host) or "reference" (NumPy).

    >>> device("cpu").type
    'cpu'
    """

    __slots__ = ()

    def __new__(cls, type: str, index: int | None = None) -> device:
        return super().__new__(cls, type if index is None else f"{type}:{index}")

    @property
    def type(self) -> str:
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        return int(self.partition(":")[2]) if ":" in self else None

    def __repr__(self) -> str:
        return f"device(type={str(self)!r})"


def _expect(value: Any, op: str, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(value).__name__}")
    return value


class Tensor:
    """A multi-dimensional array with a dtype, a device and, if asked for, a gradient. Make one with `fastdl.tensor`."""

    __slots__ = ("__weakref__", "_array", "_backend", "_node", "_origin", "grad", "requires_grad")

    # Operators and methods that functional/methods.py adds; named here for the type checker.
    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, item: Any) -> Any: ...
        def __setitem__(self, item: Any, value: Any) -> None: ...
        def __iter__(self) -> Any: ...
        def __neg__(self) -> Any: ...
        def __operator(self, other: Any) -> Any: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __operator
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __mod__ = __floordiv__ = __operator
        __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = __xor__ = __operator

    __array_priority__ = 1000  # numpy_array + tensor comes to Tensor.__radd__

    def __init__(self, array: Any = (), backend: Any = None, *sizes: int) -> None:
        # As torch.Tensor: Tensor(2, 3) is memory as it comes, Tensor([1, 2]) are float32 numbers.
        if backend is None or backend.__class__ is int:
            from .creation import of_sizes_or_numbers

            array, backend = of_sizes_or_numbers(array, backend, sizes)
        self._array = array
        self._backend: ModuleType = backend
        self._node: Any = None
        # Of a part of another tensor: that tensor, how it was taken and with what (functional/in_place.py).
        self._origin: tuple[Tensor, str, Any] | None = None
        self.grad: Tensor | None = None
        self.requires_grad = False

    # ---- what it is --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.dtype._by_name[str(self._array.dtype)]

    @property
    def device(self) -> device:
        return device(self._backend.NAME)

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def is_leaf(self) -> bool:
        return type(self._node) is not autograd.Node

    @property
    def grad_fn(self) -> autograd.Node | None:
        """The operation on the tape that made this tensor; None for a leaf."""
        return None if self.is_leaf else self._node

    @property
    def data(self) -> Tensor:
        """The same numbers without the tape (`detach`); assigning replaces the numbers."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        value = _expect(value, "data", "value")
        self._array, self._backend = value._array, value._backend

    def size(self, dim: int | None = None) -> Any:
        if dim is None:
            return self.shape
        if not isinstance(dim, int):
            raise TypeError(f"[size] expected an int for dim, got {type(dim).__name__}")
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(f"[size] expected dim in [{-self.ndim}, {self.ndim - 1}], got {dim}")
        return self.shape[dim]

    def dim(self) -> int:
        return self._array.ndim

    def numel(self) -> int:
        return self._array.size

    def element_size(self) -> int:
        return self.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("[len] expected a tensor with at least one dimension, got a scalar")
        return self.shape[0]

    __hash__ = object.__hash__

    def __reduce__(self) -> Any:
        return _rebuild, (self._host(), str(self.device), self.requires_grad)

    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("[deepcopy] expected a leaf tensor, got the output of an operation: use detach()")
        out = memo[id(self)] = Tensor(self._backend.cast(self._array, str(self._array.dtype)), self._backend)
        out.requires_grad = self.requires_grad
        return out

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        value = self.item()
        if not isinstance(value, int):
            raise TypeError(f"[index] expected an integer tensor, got {self.dtype.name}")
        return value

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.ndim == 0 else str(self), spec)

    def __repr__(self) -> str:
        return printing.text_of(self._host(), self._notes())

    def _notes(self) -> list[str]:
        """What is said behind the numbers."""
        notes = [] if self._backend.NAME == "cpu" else [f"device='{self._backend.NAME}'"]
        if self.numel() == 0 and self.ndim != 1:
            notes.append(f"size={self.shape}")
        usual = (dtypes.float32,) if self.numel() == 0 else (dtypes.float32, dtypes.int64, dtypes.bool)
        if self.dtype not in usual:
            notes.append(f"dtype={self.dtype!r}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={self.grad_fn!r}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return notes

    # ---- to and from other libraries ---------------------------------------------------------------------------------

    def _host(self) -> np.ndarray:
        return self._backend.to_numpy(self._array)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._array.size != 1:
            raise ValueError(f"[item] expected a tensor with one element, got shape {self.shape}")
        return self._host().item()

    def tolist(self) -> Any:
        return self._host().tolist()

    def numpy(self) -> np.ndarray:
        """A NumPy array; on the CPU it shares the tensor's memory."""
        if self.requires_grad:
            raise RuntimeError("[numpy] expected a tensor without gradient, got one that requires it: use detach()")
        if self._backend.NAME not in ("cpu", "reference"):
            raise TypeError(f"[numpy] expected a tensor on cpu, got one on {self._backend.NAME}: use cpu() first")
        return self._host()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != np.dtype(dtype):
            return array.astype(dtype)
        return array.copy() if copy else array

    def to(
        self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False, copy: Any = False
    ) -> Tensor:
        """This tensor with another dtype or on another device; itself when nothing changes and `copy` is false.

        Takes a dtype, a device, both, or another tensor to be like (`torch.Tensor.to`). With `non_blocking` a copy
        from pinned memory to a GPU, or from a GPU to the CPU, is not waited for: synchronise before the numbers are
        read there.

        >>> import fastdl
        >>> fastdl.ones(2).to(fastdl.float64).dtype
        fastdl.float64
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, str) and a.partition(":")[0] in backends.NAMES:
                device = a
            else:
                dtype = a
        out = self
        if dtype is not None:
            out = out._cast(dtypes.as_dtype(dtype, "to"))
        if device is not None:
            out = out._move(backends.get(device), bool(non_blocking))
        return out.clone() if copy and out is self else out

    def _cast(self, target: dtypes.dtype) -> Tensor:
        if target is self.dtype:
            return self
        out = Tensor(self._backend.cast(self._array, target.name), self._backend)
        if target.is_floating_point and self.dtype.is_floating_point and autograd.recording(self):
            autograd.record(out, _cast_bwd, (self,), self.dtype.name)
        return out

    def _move(self, target: ModuleType, non_blocking: Any = False) -> Tensor:
        if target is self._backend:
            return self
        if non_blocking:
            out = Tensor(exchange.moved(self._array, self._backend, target), target)
        else:
            out = Tensor(target.from_numpy(self._host(), False), target)
        if autograd.recording(self):
            autograd.record(out, _move_bwd, (self,), self._backend)
        return out

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: Any = False) -> Tensor:
        return self.to(device or "cuda", non_blocking=non_blocking)

    def float(self) -> Tensor:
        return self._cast(dtypes.float32)

    def double(self) -> Tensor:
        return self._cast(dtypes.float64)

    def long(self) -> Tensor:
        return self._cast(dtypes.int64)

    def int(self) -> Tensor:
        return self._cast(dtypes.int32)

    def bool(self) -> Tensor:
        return self._cast(dtypes.bool)

    def byte(self) -> Tensor:
        return self._cast(dtypes.uint8)

    def type_as(self, other: Tensor) -> Tensor:
        return self._cast(_expect(other, "type_as", "other").dtype)

    # ---- gradients ---------------------------------------------------------------------------------------------------

    def backward(self, gradient: Tensor | None = None, retain_graph: Any = False, create_graph: Any = False) -> None:
        """Adds the gradient of this tensor with respect to every leaf it came from to the leaf's `.grad`.

        >>> import fastdl
        >>> x = fastdl.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward(); x.grad.tolist()
        [2.0, 4.0]
        """
        autograd.refuse_create_graph(create_graph, "backward")
        autograd.backward(self, gradient, bool(retain_graph))

    def detach(self) -> Tensor:
        """The same memory, outside the tape."""
        out = Tensor(self._array, self._backend)
        if self._origin is not None:
            whole, way, detail = self._origin
            out._origin = (whole.detach(), way, detail)  # whose tape must not live as long as this
        return out

    def requires_grad_(self, requires_grad: Any = True) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("[requires_grad_] expected a leaf tensor, got the output of an operation: use detach()")
        if requires_grad and not self.dtype.is_floating_point:
            raise TypeError(f"[requires_grad_] expected dtype float32 or float64, got {self.dtype.name}")
        self.requires_grad = bool(requires_grad)
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """`hook(grad)` runs when the gradient of this tensor is known; what it returns, if anything, replaces it."""
        if not self.requires_grad:
            raise RuntimeError("[register_hook] expected a tensor that requires a gradient, got one that does not")
        if self._node is None:
            self._node = autograd.Leaf(self)
        hooks = self._node.hooks = self._node.hooks or []
        hooks.append(hook)
        return RemovableHandle(hooks, hook)

    def retain_grad(self) -> None:
        """Keeps the gradient of this inner tensor in `.grad` too."""
        if self.is_leaf:
            return

        def keep(grad: Tensor) -> None:
            self.grad = (
                grad if self.grad is None else Tensor(grad._backend.add(self.grad._array, grad._array), grad._backend)
            )

        self.register_hook(keep)


def is_tensor(obj: Any) -> bool:
    """Whether something is a Tensor (`torch.is_tensor`)."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floats (`torch.is_floating_point`)."""
    return _expect(input, "is_floating_point", "input").is_floating_point()


def numel(input: Tensor) -> int:
    """How many elements a tensor has (`torch.numel`)."""
    return _expect(input, "numel", "input").numel()


def _rebuild(array: np.ndarray, name: str, requires_grad: bool) -> Tensor:
    backend = backends.get(name)
    out = Tensor(backend.from_numpy(np.ascontiguousarray(array).reshape(array.shape), False), backend)
    out.requires_grad = requires_grad
    return out


class RemovableHandle:
    """What a `register_..._hook` returns; `remove()` takes the hook away. Also a context manager."""

    def __init__(self, hooks: list, hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


@autograd.fresh
def _cast_bwd(node: autograd.Node, g: Any) -> tuple[Any]:
    return (node.backend.cast(g, node.saved),)


@autograd.fresh
def _move_bwd(node: autograd.Node, g: Any) -> tuple[Any]:
    return (node.saved.from_numpy(node.backend.to_numpy(g), False),)
