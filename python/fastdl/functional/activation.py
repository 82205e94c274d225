"""Activations: relu, sigmoid, tanh, the family with attributes, prelu, softmax, log_softmax."""

from __future__ import annotations

from typing import Any

from .. import autograd, dtypes
from ..autograd import Node, fresh, mode, record
from ..tensor import Tensor
from .arguments import expect_beside, expect_number, expect_tensor, shown
from .arithmetic import unbroadcast
from .reduction import normalized_axis

Array = Any


@fresh
def _relu_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.relu_bwd(g, node.saved),)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) of each element (`torch.nn.functional.relu`). Any shape; the gradient at 0 is 0.

    With `inplace=True` the input becomes the result and is returned. Its memory is overwritten outside the tape only,
    since gradients of earlier operations may need the old numbers.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.

    >>> import fastdl
    >>> relu(fastdl.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    x = expect_tensor(input, "relu")
    if inplace:
        return _relu_in_place(x)
    out = Tensor(x._backend.relu(x._array), x._backend)
    return record(out, _relu_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


def _relu_in_place(x: Tensor) -> Tensor:
    if not autograd.recording(x):
        x._backend.relu_(x._array)
        return x
    if x.is_leaf:
        raise RuntimeError("[relu] expected an input inside the graph for inplace, got a leaf that requires a gradient")
    out = relu(x)
    x._array, x._node = out._array, out._node
    return x


def relu_(input: Tensor) -> Tensor:
    """`relu(input, inplace=True)`."""
    return relu(input, True)


def _float_of_refused(x: Tensor) -> Tensor:
    """Of what a kernel has just refused. To ask before would cost floats a third of their call."""
    if x.dtype.is_floating_point:
        raise  # what the kernel said
    return x._cast(dtypes.float32)


@fresh
def _sigmoid_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.sigmoid_bwd(g, node.saved),)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)) of each element (`torch.sigmoid`). Any shape.

    Integers and bools are taken as float32.

    Raises:
        TypeError: for an input that is not a Tensor.

    >>> import fastdl
    >>> sigmoid(fastdl.zeros(2)).tolist()
    [0.5, 0.5]
    """
    x = expect_tensor(input, "sigmoid")
    try:
        out = Tensor(x._backend.sigmoid(x._array), x._backend)
    except TypeError:
        return sigmoid(_float_of_refused(x))
    return record(out, _sigmoid_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
def _tanh_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.tanh_bwd(g, node.saved),)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent of each element (`torch.tanh`). Any shape.

    Integers and bools are taken as float32.

    Raises:
        TypeError: for an input that is not a Tensor.

    >>> import fastdl
    >>> tanh(fastdl.zeros(2)).tolist()
    [0.0, 0.0]
    """
    x = expect_tensor(input, "tanh")
    try:
        out = Tensor(x._backend.tanh(x._array), x._backend)
    except TypeError:
        return tanh(_float_of_refused(x))
    return record(out, _tanh_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


# ---- with attributes -------------------------------------------------------------------------------------------------


@fresh
def _activation_bwd(node: Node, g: Array) -> tuple[Array]:
    x, name, a, b = node.saved
    return (node.backend.activation_bwd(g, x, name, a, b),)


def activated(input: Tensor, name: str, a: float = 0.0, b: float = 0.0, inplace: bool = False) -> Tensor:
    """One of the family of csrc/ops/activation, in place as in `relu`."""
    x = expect_tensor(input, name)
    taped = x.requires_grad and mode.enabled
    if inplace and not taped:
        x._backend.activation_(x._array, name, a, b)
        return x
    if inplace and x.is_leaf:
        raise RuntimeError(
            f"[{name}] expected an input inside the graph for inplace, got a leaf that requires a gradient"
        )
    out = Tensor(x._backend.activation(x._array, name, a, b), x._backend)
    if not taped:
        return out
    record(out, _activation_bwd, (x,), (x._array, name, a, b))
    if not inplace:
        return out
    x._array, x._node = out._array, out._node
    return x


def _number(value: Any, op: str, name: str) -> float:
    expect_number(value, op, name)
    return float(value)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x, times `negative_slope` where x is not positive (`torch.nn.functional.leaky_relu`). Any shape.

    The gradient at 0 is the slope; `inplace` as in `relu`, here and in the functions below.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a slope that is no number.

    >>> import fastdl
    >>> leaky_relu(fastdl.tensor([-2.0, 3.0]), 0.5).tolist()
    [-1.0, 3.0]
    """
    return activated(input, "leaky_relu", _number(negative_slope, "leaky_relu", "negative_slope"), 0.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha (e^x - 1) elsewhere (`torch.nn.functional.elu`; Clevert et al., 2015). Any shape.

    >>> import fastdl
    >>> [round(y, 4) for y in elu(fastdl.tensor([-1.0, 3.0])).tolist()]
    [-0.6321, 3.0]
    """
    return activated(input, "elu", _number(alpha, "elu", "alpha"), 0.0, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 (`torch.nn.functional.selu`; Klambauer et al., 2017).

    >>> import fastdl
    >>> round(selu(fastdl.ones(1)).item(), 4)
    1.0507
    """
    return activated(input, "selu", inplace=inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, and x where beta x > threshold (`torch.nn.functional.softplus`). Any shape.

    >>> import fastdl
    >>> round(softplus(fastdl.zeros(1)).item(), 4)
    0.6931
    """
    numbers = _number(beta, "softplus", "beta"), _number(threshold, "softplus", "threshold")
    return activated(input, "softplus", *numbers)


def logsigmoid(input: Tensor) -> Tensor:
    """Logarithm of the sigmoid, without its underflow (`torch.nn.functional.logsigmoid`). Any shape.

    >>> import fastdl
    >>> logsigmoid(fastdl.tensor([-200.0])).item()
    -200.0
    """
    return activated(input, "logsigmoid")


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x (`torch.nn.functional.gelu`; Hendrycks and Gimpel, 2016).

    `approximate` is 'none' (by the error function) or 'tanh'. Any shape.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.
        ValueError: for another `approximate`.

    >>> import fastdl
    >>> round(gelu(fastdl.ones(1)).item(), 4), round(gelu(fastdl.ones(1), "tanh").item(), 4)
    (0.8413, 0.8412)
    """
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ValueError(f"[gelu] expected approximate 'none' or 'tanh', got {shown(approximate)}")
    return activated(input, "gelu" if approximate == "none" else "gelu_tanh")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also called swish (`torch.nn.functional.silu`). Any shape.

    >>> import fastdl
    >>> silu(fastdl.zeros(1)).item()
    0.0
    """
    return activated(input, "silu", inplace=inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the gradient is 0 at both limits (`torch.nn.functional.hardtanh`).

    Raises:
        ValueError: for min_val above max_val.

    >>> import fastdl
    >>> hardtanh(fastdl.tensor([-2.0, 0.5, 2.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    low, high = _number(min_val, "hardtanh", "min_val"), _number(max_val, "hardtanh", "max_val")
    if low > high:
        raise ValueError(f"[hardtanh] expected min_val of at most max_val, got {min_val} and {max_val}")
    return activated(input, "hardtanh", low, high, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6) (`torch.nn.functional.relu6`).

    >>> import fastdl
    >>> relu6(fastdl.tensor([-1.0, 8.0])).tolist()
    [0.0, 6.0]
    """
    return activated(input, "hardtanh", 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6 (`torch.nn.functional.hardsigmoid`).

    >>> import fastdl
    >>> hardsigmoid(fastdl.zeros(1)).item()
    0.5
    """
    return activated(input, "hardsigmoid", inplace=inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x relu6(x + 3) / 6 (`torch.nn.functional.hardswish`; Howard et al., 2019).

    >>> import fastdl
    >>> hardswish(fastdl.tensor([3.0])).item()
    3.0
    """
    return activated(input, "hardswish", inplace=inplace)


@fresh
def _prelu_bwd(node: Node, g: Array) -> tuple[Array | None, Array | None]:
    k, (x, weight) = node.backend, node.saved
    gx = gw = None
    if node.edges[0] is not None:
        gx = k.where(k.gt_scalar(x, 0.0), g, k.mul(g, weight))
    if node.edges[1] is not None:
        gw = unbroadcast(k, k.mul(g, k.minimum_scalar(x, 0.0)), weight.shape)
    return gx, gw


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`leaky_relu` with a learned slope, for all or for each channel (`torch.nn.functional.prelu`; He et al., 2015).

    Shapes: input (N, C, *) or any; weight (C,) or (1,).

    Raises:
        TypeError: for arguments that are not Tensors of one float dtype.
        ValueError: for a weight of another size.

    >>> import fastdl
    >>> prelu(fastdl.tensor([[-2.0, -2.0]]), fastdl.tensor([0.5, 0.25])).tolist()
    [[-1.0, -0.5]]
    """
    x = expect_tensor(input, "prelu")
    w = expect_beside(weight, x, "prelu", "weight")
    if not x.dtype.is_floating_point:
        raise TypeError(f"[prelu] expected input of dtype float32 or float64, got {x.dtype.name}")
    if w.dtype is not x.dtype:
        raise TypeError(f"[prelu] expected weight of dtype {x.dtype.name}, got {w.dtype.name}")
    channels = x.shape[1] if x.ndim > 1 else 1
    if w.numel() != 1 and w.shape != (channels,):
        raise ValueError(f"[prelu] expected weight of shape (1,) or {(channels,)}, got shape {w.shape}")
    slope = w.reshape(w.numel(), *[1] * max(x.ndim - 2, 0)) if x.ndim > 1 else w.reshape(())
    k = x._backend
    out = Tensor(k.prelu(x._array, slope._array), k)
    return record(out, _prelu_bwd, (x, slope), (x._array, slope._array)) if autograd.recording(x, slope) else out


# ---- over an axis ----------------------------------------------------------------------------------------------------


@fresh
def _softmax_bwd(node: Node, g: Array) -> tuple[Array]:
    out, axis = node.saved
    return (node.backend.softmax_bwd(g, out, axis),)


@fresh
def _log_softmax_bwd(node: Node, g: Array) -> tuple[Array]:
    out, axis = node.saved
    return (node.backend.log_softmax_bwd(g, out, axis),)


def _over_axis(op: str, input: Tensor, dim: Any, dtype: Any, rule: autograd.Rule) -> Tensor:
    x = expect_tensor(input, op)
    axis = normalized_axis(dim, x.ndim, op)
    if dtype is not None:
        x = x.to(dtype=dtype)
    if x.ndim == 0:
        return _over_axis(op, x.reshape(1), 0, None, rule).reshape(())
    out = Tensor(getattr(x._backend, op)(x._array, axis), x._backend)
    return record(out, rule, (x,), (out._array, axis)) if x.requires_grad and mode.enabled else out


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) over its sum along `dim` (`torch.nn.functional.softmax`). Any shape; `dtype` casts the input first.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a `dim` that is not an int.
        IndexError: for a `dim` that the input does not have.

    >>> import fastdl
    >>> softmax(fastdl.zeros(2, 4), dim=1)[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return _over_axis("softmax", input, dim, dtype, _softmax_bwd)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`, without its rounding (`torch.nn.functional.log_softmax`). Any shape.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64, or a `dim` that is not an int.
        IndexError: for a `dim` that the input does not have.

    >>> import fastdl
    >>> round(log_softmax(fastdl.zeros(2), dim=0)[0].item(), 4)
    -0.6931
    """
    return _over_axis("log_softmax", input, dim, dtype, _log_softmax_bwd)
