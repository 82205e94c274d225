"""Initial values (`torch.nn.init`), drawn from the library's generator; every function fills its tensor and returns it.

fan_in = inputs of one output, fan_out = outputs of one input; of a convolution, times the size of its window.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..creation import empty_like, randn
from ..functional.in_place import write_through
from ..functional.indexing import nonzero
from ..random import drawing, fill
from ..tensor import Tensor


def _check(tensor: Any, op: str) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for tensor, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(f"[{op}] expected tensor of dtype float32 or float64, got {tensor.dtype.name}")
    return tensor


def _written(tensor: Tensor) -> Tensor:
    with no_grad():
        write_through(tensor)
    return tensor


def _write(tensor: Tensor, values: np.ndarray) -> Tensor:
    k = tensor._backend
    k.copy_(tensor._array, k.from_numpy(np.ascontiguousarray(values, tensor.dtype.numpy).reshape(tensor.shape), True))
    return _written(tensor)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform between a and b."""
    fill("uniform_", _check(tensor, "uniform_")._backend, tensor._array, a, b, generator)
    return _written(tensor)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    fill("normal_", _check(tensor, "normal_")._backend, tensor._array, mean, std, generator)
    return _written(tensor)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Normal, with values outside [a, b] drawn again."""
    _check(tensor, "trunc_normal_")
    if a >= b:
        raise ValueError(f"[trunc_normal_] expected a < b, got {a} and {b}")
    k = tensor._backend
    values = Tensor(k.reshape(tensor._array, (tensor.numel(),)), k)  # the same memory
    fill("normal_", k, values._array, mean, std, generator)
    wrong = nonzero((values < a) | (values > b)).flatten()
    for _ in range(1000):
        if wrong.numel() == 0:
            return _written(tensor)
        again = empty_like(wrong, dtype=tensor.dtype)
        fill("normal_", k, again._array, mean, std, generator)
        k.index_assign_(values._array, wrong._array, again._array, 0)
        wrong = wrong[(again < a) | (again > b)]
    raise ValueError(f"[trunc_normal_] expected an interval that the distribution reaches, got [{a}, {b}]")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    with no_grad():
        return _check(tensor, "constant_").fill_(float(val))


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1.0)


def fans(tensor: Tensor, op: str = "fans") -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...).

    >>> import fastdl
    >>> fans(fastdl.empty(16, 8, 3, 3))
    (72, 144)
    """
    if tensor.ndim < 2:
        raise ValueError(f"[{op}] expected a tensor with at least 2 dimensions, got shape {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor that keeps the variance behind a nonlinearity.

    >>> calculate_gain("relu") == 2 ** 0.5
    True
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0)}
    if nonlinearity not in gains:
        expected = ", ".join([*gains, "leaky_relu"])
        raise ValueError(f"[calculate_gain] expected one of {expected}, got {nonlinearity!r}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Glorot: uniform within gain * sqrt(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6.0 / max(sum(fans(_check(tensor, "xavier_uniform_"), "xavier_uniform_")), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Glorot: normal with deviation gain * sqrt(2 / (fan_in + fan_out))."""
    std = gain * math.sqrt(2.0 / max(sum(fans(_check(tensor, "xavier_normal_"), "xavier_normal_")), 1))
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _check(tensor, op)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[{op}] expected mode fan_in or fan_out, got {mode!r}")
    fan = fans(tensor, op)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """He: uniform with deviation gain / sqrt(fan); `a` is the slope of the leaky relu that follows."""
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """He: normal with deviation gain / sqrt(fan)."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Orthonormal rows (or columns, whichever are fewer) of the tensor seen as a matrix, times gain (Saxe et al.)."""
    _check(tensor, "orthogonal_")
    fans(tensor, "orthogonal_")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    values = randn(max(rows, columns), min(rows, columns), dtype="float64", generator=generator).numpy()
    q, r = np.linalg.qr(values)
    q = q * np.sign(np.diag(r))  # makes the factorisation, and so the distribution, unique
    return _write(tensor, gain * (q.T if rows < columns else q))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's start of linear and convolution layers: both uniform within 1 / sqrt(fan_in)."""
    if weight.numel() == 0:
        return
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(fans(weight)[0])
        uniform_(bias, -bound, bound)


def eye_(tensor: Tensor) -> Tensor:
    """A matrix with ones on its diagonal: a linear layer that passes as many inputs on as it can.

    >>> import fastdl
    >>> eye_(fastdl.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    _check(tensor, "eye_")
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] expected a matrix, got shape {tensor.shape}")
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (out, in / groups, window) that passes as many channels on as it can, in each group.

    >>> import fastdl
    >>> dirac_(fastdl.empty(1, 1, 3)).tolist()
    [[[0.0, 1.0, 0.0]]]
    """
    _check(tensor, "dirac_")
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"[dirac_] expected a tensor with 3, 4 or 5 dimensions, got shape {tensor.shape}")
    if tensor.shape[0] % groups:
        raise ValueError(f"[dirac_] expected a first size that {groups} groups divide, got shape {tensor.shape}")
    values = np.zeros(tensor.shape)
    centre = tuple(n // 2 for n in tensor.shape[2:])
    each = tensor.shape[0] // groups
    for g in range(groups):
        for d in range(min(each, tensor.shape[1])):
            values[(g * each + d, d, *centre)] = 1
    return _write(tensor, values)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with the share `sparsity` of each column of a matrix set to 0 (Martens, 2010)."""
    _check(tensor, "sparse_")
    if tensor.ndim != 2:
        raise ValueError(f"[sparse_] expected a matrix, got shape {tensor.shape}")
    rows, columns = tensor.shape
    rng = drawing(generator).numpy
    values = rng.standard_normal((rows, columns)) * std
    for column in range(columns):
        values[rng.permutation(rows)[: math.ceil(sparsity * rows)], column] = 0
    return _write(tensor, values)
