"""Activations: relu, sigmoid, tanh, softmax, log_softmax."""

from __future__ import annotations

from typing import Any

from .. import autograd
from ..autograd import Node, fresh, mode, record
from ..tensor import Tensor
from .arguments import expect_tensor
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


@fresh
def _sigmoid_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.sigmoid_bwd(g, node.saved),)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x)) of each element (`torch.sigmoid`). Any shape.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.

    >>> import fastdl
    >>> sigmoid(fastdl.zeros(2)).tolist()
    [0.5, 0.5]
    """
    x = expect_tensor(input, "sigmoid")
    out = Tensor(x._backend.sigmoid(x._array), x._backend)
    return record(out, _sigmoid_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


@fresh
def _tanh_bwd(node: Node, g: Array) -> tuple[Array]:
    return (node.backend.tanh_bwd(g, node.saved),)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent of each element (`torch.tanh`). Any shape.

    Raises:
        TypeError: for an input that is not a Tensor of float32 or float64.

    >>> import fastdl
    >>> tanh(fastdl.zeros(2)).tolist()
    [0.0, 0.0]
    """
    x = expect_tensor(input, "tanh")
    out = Tensor(x._backend.tanh(x._array), x._backend)
    return record(out, _tanh_bwd, (x,), out._array) if x.requires_grad and mode.enabled else out


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
