"""Making tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import backends, dtypes, exchange, random
from .tensor import Tensor

# What a user may pass as a size: fastdl.zeros(2, 3) or fastdl.zeros((2, 3)).
Sizes = Any
_NUMBERS = (int, float, np.number)  # tuples: as a union it would be made anew in every call
_INTEGERS = (int, np.integer)
_SEQUENCES = (tuple, list)


def _shape(size: tuple[Any, ...], op: str) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], _SEQUENCES):
        size = tuple(size[0])
    if [n.__class__ for n in size].count(int) == len(size) and min(size, default=1) > 0 and math.prod(size) < 2**46:
        return size
    for n in size:
        if not isinstance(n, _INTEGERS) or isinstance(n, bool):
            raise TypeError(f"[{op}] expected sizes of type int, got {type(n).__name__}")
        if n < 0:
            raise ValueError(f"[{op}] expected sizes of at least 0, got {size}")
    if math.prod([int(n) or 1 for n in size]) >= 2**46:
        raise ValueError(f"[{op}] expected a size that memory can hold, got shape {size}")
    return tuple([int(n) for n in size])


def _expect(value: Any, kind: Any, expected: str, op: str, name: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"[{op}] expected {expected} for {name}, got {type(value).__name__}")
    return value


def _number(value: Any, op: str, name: str) -> Any:
    """A finite number: what a range can start or end at."""
    _expect(value, _NUMBERS, "a number", op, name)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"[{op}] expected {name} within 64 bits, got {value}")
    return value


def _count(value: Any, op: str, name: str) -> int:
    _expect(value, _INTEGERS, "an int", op, name)
    return _shape((value,), op)[0]


def _like(input: Any, op: str) -> Tensor:
    return _expect(input, Tensor, "a Tensor", op, "input")


def _wrap(array: np.ndarray, device: Any, requires_grad: bool, share: bool = False) -> Tensor:
    backend = backends.get(device or "cpu")
    out = Tensor(backend.from_numpy(np.ascontiguousarray(array).reshape(array.shape), share), backend)
    return out.requires_grad_() if requires_grad else out


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor from numbers, nested lists, a NumPy array or a tensor, always copied (`torch.tensor`).

    Python floats become float32, ints int64; NumPy dtypes are kept.

    Raises:
        TypeError: `[tensor] expected numbers ...` for data that is not numeric.
        ValueError: for ragged nested lists.

    >>> import fastdl
    >>> fastdl.tensor([[1.0, 2.0]]).shape
    (1, 2)
    """
    if isinstance(data, Tensor):
        out = data.detach().clone().to(dtype=dtype, device=device)
        return out.requires_grad_() if requires_grad else out
    from_python = not isinstance(data, np.ndarray | np.generic)
    try:
        if isinstance(data, list | tuple) and any(isinstance(x, Tensor) for x in data):
            data = [x.tolist() if isinstance(x, Tensor) else x for x in data]
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(
            f"[tensor] expected nested lists of equal lengths, got {type(data).__name__}: {error}"
        ) from None
    if dtype is not None:
        target = dtypes.as_dtype(dtype, "tensor").numpy
    elif (array.size == 0 and from_python) or (from_python and array.dtype == np.float64):
        target = dtypes.get_default_dtype().numpy
    else:
        target = array.dtype
    if array.dtype.kind not in "fiub" or target.name not in dtypes.dtype._by_name:
        raise TypeError(f"[tensor] expected numbers of dtype {', '.join(dtypes.dtype._by_name)}, got {array.dtype}")
    return _wrap(array.astype(target, copy=False), device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Like `tensor`, but shares memory with NumPy arrays and returns tensors as they are where it can."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and (device is None or device == "cpu"):
        return from_numpy(data).to(dtype=dtype)
    if hasattr(data, "__cuda_array_interface__"):
        return Tensor(*exchange.from_cuda_array(data)).to(dtype=dtype, device=device)
    return tensor(data, dtype, device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A CPU tensor over the memory of a NumPy array; read-only or non-contiguous arrays are copied."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"[from_numpy] expected a numpy.ndarray, got {type(array).__name__}")
    if array.dtype.name not in dtypes.dtype._by_name:
        raise TypeError(f"[from_numpy] expected dtype {', '.join(dtypes.dtype._by_name)}, got {array.dtype}")
    return _wrap(array, "cpu", False, share=True)


def from_dlpack(source: Any) -> Tensor:
    """A tensor over the memory of another library's array, by DLPack (`torch.from_dlpack`); contiguous arrays only.

    On a GPU what the current stream gets next comes behind what the other library's has. Read-only memory is copied.

    >>> fastdl_array = from_dlpack(np.arange(3.0)); fastdl_array.tolist()
    [0.0, 1.0, 2.0]
    """
    return Tensor(*exchange.from_dlpack(source))


def full(size: Sizes, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one number (`torch.full`)."""
    if dtype is None:
        dtype = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else None
    return _filled(_shape((size,), "full"), fill_value, dtype, device, requires_grad)


def _filled(shape: tuple[int, ...], value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    backend = backends.get(device or "cpu")
    array = backend.empty(shape, dtypes.as_dtype(dtype or dtypes.get_default_dtype()).name)
    backend.fill_(array, value)
    out = Tensor(array, backend)
    return out.requires_grad_() if requires_grad else out


def zeros(
    *sizes: Sizes, size: Sizes = (), dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Zeros, float32 by default (`torch.zeros`)."""
    return _filled(_shape(sizes or (size,), "zeros"), 0, dtype, device, requires_grad)


def ones(*sizes: Sizes, size: Sizes = (), dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones, float32 by default (`torch.ones`)."""
    return _filled(_shape(sizes or (size,), "ones"), 1, dtype, device, requires_grad)


def empty(
    *sizes: Sizes, size: Sizes = (), dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Memory as it comes (`torch.empty`)."""
    backend = backends.get(device or "cpu")
    out = Tensor(
        backend.empty(_shape(sizes or (size,), "empty"), dtypes.as_dtype(dtype or dtypes.get_default_dtype()).name),
        backend,
    )
    return out.requires_grad_() if requires_grad else out


def zeros_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape, dtype and place of a tensor."""
    x = _like(input, "zeros_like")
    return _filled(x.shape, 0, dtype or x.dtype, device or x.device, requires_grad)


def ones_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape, dtype and place of a tensor."""
    x = _like(input, "ones_like")
    return _filled(x.shape, 1, dtype or x.dtype, device or x.device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number in the shape, dtype and place of a tensor."""
    x = _like(input, "full_like")
    return _filled(x.shape, fill_value, dtype or x.dtype, device or x.device, requires_grad)


def empty_like(input: Tensor, dtype: Any = None) -> Tensor:
    """Memory as it comes in the shape, dtype and place of a tensor."""
    x = _like(input, "empty_like")
    return empty(x.shape, dtype=dtype or x.dtype, device=x.device)


def _ramp(
    count: int, start: Any, step: Any, last: float | None, dtype: dtypes.dtype, device: Any, requires_grad: bool
) -> Tensor:
    """start + i step, and with `last` the second half counted back from it: so the last number is that."""
    backend = backends.get(device or "cpu")
    whole = last is None and isinstance(start, _INTEGERS) and isinstance(step, _INTEGERS)
    made = dtype.name
    if not dtype.is_floating_point:
        made = "float64" if not whole else made if made == "int32" else "int64"
    array = backend.empty((count,), made)
    if made in ("int32", "int64"):
        backend.integer_ramp_(array, int(start), int(step))
    else:
        backend.ramp_(array, float(start), float(step), 0.0 if last is None else float(last), last is not None)
    out = Tensor(array if made == dtype.name else backend.cast(array, dtype.name), backend)
    return out.requires_grad_() if requires_grad else out


def arange(
    start: Any, end: Any = None, step: Any = 1, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """start, start + step, ... below end (`torch.arange`)."""
    if end is None:
        start, end = 0, start
    for name, value in (("start", start), ("end", end), ("step", step)):
        _number(value, "arange", name)
    if step == 0:
        raise ValueError("[arange] expected a step other than 0, got 0")
    if (end - start) / step < 0:
        raise ValueError(f"[arange] expected a step from start towards end, got {start}, {end} and {step}")
    if abs((end - start) / step) >= 2**46:
        raise ValueError(f"[arange] expected a size that memory can hold, got {(end - start) / step:g} elements")
    whole = isinstance(start, _INTEGERS) and isinstance(end, _INTEGERS) and isinstance(step, _INTEGERS)
    if whole:
        start, step = int(start), int(step)
        count = -((start - int(end)) // step)
    else:
        count = math.ceil((end - start) / step)
    target = dtypes.as_dtype(dtype or ("int64" if whole else dtypes.get_default_dtype()), "arange")
    return _ramp(count, start, step, None, target, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from start to end inclusive (`torch.linspace`)."""
    first, last = _number(start, "linspace", "start"), _number(end, "linspace", "end")
    count = _count(steps, "linspace", "steps")
    step = (float(last) - float(first)) / (count - 1) if count > 1 else 0.0
    target = dtypes.as_dtype(dtype or dtypes.get_default_dtype(), "linspace")
    return _ramp(count, first, step, last if count > 1 else first, target, device, requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, dtype: Any = None, device: Any = None) -> Tensor:
    """`steps` numbers from base^start to base^end, each by the same factor larger (`torch.logspace`).

    >>> import fastdl
    >>> fastdl.logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    ends = _number(start, "logspace", "start"), _number(end, "logspace", "end")
    values = np.logspace(*ends, _count(steps, "logspace", "steps"), base=_number(base, "logspace", "base"))
    return tensor(values, dtype or dtypes.get_default_dtype(), device)


def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix (`torch.eye`)."""
    rows = _count(n, "eye", "n")
    columns = rows if m is None else _count(m, "eye", "m")
    out = zeros(_shape((rows, columns), "eye"), dtype=dtype, device=device)
    count, k = min(rows, columns), out._backend
    if count:
        ones = k.empty((count,), str(out._array.dtype))
        k.fill_(ones, 1)
        k.slice_assign_(k.reshape(out._array, (rows * columns,)), ones, (0,), (columns + 1,))
    return out.requires_grad_() if requires_grad else out


def of_sizes_or_numbers(first: Any, second: int | None, more: tuple[int, ...]) -> tuple[Any, Any]:
    """Array and backend of `Tensor(2, 3)` and `Tensor([1, 2])`."""
    sizes = (first, *(() if second is None else (second,)), *more)
    made = empty(sizes) if isinstance(first, int) else tensor(first, "float32")
    return made._array, made._backend


class TensorType:
    """A maker of tensors of one dtype, of sizes or of numbers: `FloatTensor(2, 3)`, `LongTensor([1, 2])`.

    Also a dtype: `x.type(fastdl.LongTensor)`.

    >>> TensorType("int64")([1, 2]).dtype
    fastdl.int64
    """

    def __init__(self, name: str) -> None:
        self.dtype = dtypes.as_dtype(name).numpy

    def __call__(self, *args: Any, device: Any = None) -> Tensor:
        if args and isinstance(args[0], int):
            return empty(*args, dtype=self.dtype, device=device)
        return tensor(args[0] if args else (), self.dtype, device)


# ---- random numbers: the same on every device (fastdl.random) --------------------------------------------------------


def _drawn(
    kind: str, op: str, shape: tuple[int, ...], dtype: Any, device: Any, a: Any, b: Any, generator: Any,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    backend, wanted = backends.get(device or "cpu"), dtypes.as_dtype(dtype or dtypes.get_default_dtype())
    if kind != "random_" and not wanted.is_floating_point:
        raise TypeError(f"[{op}] expected dtype float32 or float64, got {wanted.name}")
    array = backend.empty(shape, wanted.name)
    random.fill(kind, backend, array, a, b, generator)
    out = Tensor(array, backend)
    return out.requires_grad_() if requires_grad else out


def rand(
    *sizes: Sizes, size: Sizes = (), dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1) (`torch.rand`)."""
    shape = _shape(sizes or (size,), "rand")
    return _drawn("uniform_", "rand", shape, dtype, device, 0.0, 1.0, generator, requires_grad)


def randn(
    *sizes: Sizes, size: Sizes = (), dtype: Any = None, device: Any = None, requires_grad: bool = False,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Standard normal (`torch.randn`).

    >>> import fastdl
    >>> fastdl.randn(2, 3, generator=fastdl.Generator(1)).shape
    (2, 3)
    """
    shape = _shape(sizes or (size,), "randn")
    return _drawn("normal_", "randn", shape, dtype, device, 0.0, 1.0, generator, requires_grad)


_WITHIN = {"bool": (0, 2), "uint8": (0, 2**8), "int32": (-(2**31), 2**31)}


def randint(
    low: int, high: Any, size: Sizes = None, dtype: Any = None, device: Any = None, generator: Any = None
) -> Tensor:
    """Integers in [low, high); randint(high, size) starts at 0 (`torch.randint`)."""
    if size is None:
        low, high, size = 0, low, high
    low, high = (int(_number(_expect(v, int | np.integer, "an int", "randint", n), "randint", n))
                 for n, v in (("low", low), ("high", high)))  # fmt: skip
    if not low < high:
        raise ValueError(f"[randint] expected low < high, got {low} and {high}")
    wanted = dtypes.as_dtype(dtype or "int64")
    least, end = _WITHIN.get(wanted.name, (low, high))
    if low < least or high > end:
        raise ValueError(f"[randint] expected numbers within {wanted.name}, got {low} and {high}")
    made = "int32" if wanted.name == "int32" else "int64"
    return _drawn("random_", "randint", _shape((size,), "randint"), made, device, low, high, generator).to(wanted)


def randperm(n: int, dtype: Any = None, device: Any = None, generator: Any = None) -> Tensor:
    """The numbers 0 to n - 1 in random order (`torch.randperm`)."""
    count, source, cpu = _count(n, "randperm", "n"), random.drawing(generator), backends.get("cpu")
    out = Tensor(cpu.permutation(count, source.seed, source.take_counters((count + 1) // 2)), cpu)
    return out if dtype is None and device is None else out.to(dtype=dtype, device=device)


def rand_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in the shape, dtype and place of a tensor."""
    x = _like(input, "rand_like")
    return rand(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def randn_like(input: Tensor, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers in the shape, dtype and place of a tensor."""
    x = _like(input, "randn_like")
    return randn(x.shape, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)


def randint_like(input: Tensor, low: int, high: Any = None, dtype: Any = None) -> Tensor:
    """Integers in [low, high) in the shape, dtype and place of a tensor; `randint_like(x, high)` starts at 0."""
    x = _like(input, "randint_like")
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, x.shape, dtype=dtype or x.dtype, device=x.device)
