"""Functions of each element, comparisons, reductions."""

from __future__ import annotations

import math

import numpy as np

from ...plan.graph import Node
from ..operators.activation import SELU_ALPHA, SELU_GAMMA
from ..types import need_onnx
from .writer import Writer, exports, same

_UNARY = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos",
    "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "round": "Round", "relu": "Relu", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "reciprocal": "Reciprocal", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan",
    "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
}  # fmt: skip
_BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min",
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip
_OF_BOOLS = {
    "add": "Or", "maximum": "Or", "bitwise_or": "Or", "mul": "And", "minimum": "And", "bitwise_and": "And",
    "bitwise_xor": "Xor", "eq": "Equal",
}  # fmt: skip


@exports(*_UNARY)
def unary(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add(_UNARY[node.function], w.inputs(node, twin, 0)))


@exports("square", "rsqrt", "expm1", "log1p", "trunc", "exp2", "log2", "log10", "erfc", "frac")
def composed(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    kind = node.out.dtype
    if node.function == "square":
        out = w.add("Mul", [x, x])
    elif node.function == "rsqrt":
        out = w.add("Reciprocal", [w.add("Sqrt", [x])])
    elif node.function == "expm1":
        out = w.add("Sub", [w.add("Exp", [x]), w.scalar(1, kind)])
    elif node.function == "log1p":
        out = w.add("Log", [w.add("Add", [x, w.scalar(1, kind)])])
    elif node.function == "exp2":
        out = w.add("Pow", [w.scalar(2, kind), x])
    elif node.function in ("log2", "log10"):
        out = w.add("Div", [w.add("Log", [x]), w.scalar(math.log(int(node.function[3:])), kind)])
    elif node.function == "erfc":
        out = w.add("Sub", [w.scalar(1, kind), w.add("Erf", [x])])
    else:
        whole = w.add("Mul", [w.add("Sign", [x]), w.add("Floor", [w.add("Abs", [x])])])
        out = whole if node.function == "trunc" else w.add("Sub", [x, whole])
    w.define(node, out)


def _operation(w: Writer, name: str, kind: str, operands: list[str]) -> str:
    """An operation of two values of one dtype."""
    table = _OF_BOOLS if kind == "bool" else _BINARY
    if name == "ne":
        return w.add("Not", [w.add("Equal", operands)])
    if name not in table:
        raise NotImplementedError(f"{name} of {kind}")
    return w.add(table[name], operands)


@exports(*_BINARY, "ne", "bitwise_and", "bitwise_or", "bitwise_xor")
def binary(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, _operation(w, node.function, node.args[0].dtype, w.inputs(node, twin, 0, 1)))


@exports("prelu")
def prelu(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("PRelu", w.inputs(node, twin, 0, 1)))


@exports("atan2")
def atan2(w: Writer, node: Node, twin: Node) -> None:
    """atan(y / x), half a turn further where x < 0; 0 / 0 is taken as 0 / 1."""
    y, x = w.inputs(node, twin, 0, 1)
    zero, pi = w.scalar(0, node.out.dtype), w.scalar(math.pi, node.out.dtype)
    origin = w.add("And", [w.add("Equal", [x, zero]), w.add("Equal", [y, zero])])
    angle = w.add("Atan", [w.add("Div", [y, w.add("Where", [origin, w.scalar(1, node.out.dtype), x])])])
    turn = w.add("Where", [w.add("Less", [y, zero]), w.add("Neg", [pi]), pi])
    behind = w.add("Where", [w.add("Less", [x, zero]), turn, zero])
    w.define(node, w.add("Add", [angle, behind]))


@exports("hypot", "copysign", "logaddexp")
def of_two(w: Writer, node: Node, twin: Node) -> None:
    a, b = w.inputs(node, twin, 0, 1)
    kind = node.out.dtype
    if node.function == "hypot":
        out = w.add("Sqrt", [w.add("Add", [w.add("Mul", [a, a]), w.add("Mul", [b, b])])])
    elif node.function == "copysign":  # of -0 the sign is lost
        size = w.add("Abs", [a])
        out = w.add("Where", [w.add("Less", [b, w.scalar(0, kind)]), w.add("Neg", [size]), size])
    else:
        apart = w.add("Neg", [w.add("Abs", [w.add("Sub", [a, b])])])
        out = w.add("Add", [w.add("Max", [a, b]), w.add("Softplus", [apart])])
    w.define(node, out)


@exports("addcmul", "addcdiv")
def with_product(w: Writer, node: Node, twin: Node) -> None:
    a, b, c = w.inputs(node, twin, 0, 1, 2)
    part = w.add("Mul" if node.function == "addcmul" else "Div", [b, c])
    number = w.scalar(same(node.args[3], twin.args[3], "a number"), node.out.dtype)
    w.define(node, w.add("Add", [a, w.add("Mul", [part, number])]))


@exports("lerp", "lerp_scalar")
def lerp(w: Writer, node: Node, twin: Node) -> None:
    a, b = w.inputs(node, twin, 0, 1)
    if node.function == "lerp":
        (weight,) = w.inputs(node, twin, 2)
    else:
        weight = w.scalar(same(node.args[2], twin.args[2], "a number"), node.out.dtype)
    w.define(node, w.add("Add", [a, w.add("Mul", [weight, w.add("Sub", [b, a])])]))


@exports("nan_to_num")
def nan_to_num(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    nan, above, below = (w.scalar(number, node.out.dtype) for number in node.args[1:])
    number = w.add("Where", [w.add("IsInf", [x], detect_negative=0), above, x])
    number = w.add("Where", [w.add("IsInf", [x], detect_positive=0), below, number])
    w.define(node, w.add("Where", [w.add("IsNaN", [x]), nan, number]))


@exports("fmod")
def fmod(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("Mod", w.inputs(node, twin, 0, 1), fmod=1))


@exports("remainder")
def remainder(w: Writer, node: Node, twin: Node) -> None:
    a, b = w.inputs(node, twin, 0, 1)
    if not node.out.dtype.startswith("float"):
        w.define(node, w.add("Mod", [a, b]))
        return
    whole = w.add("Floor", [w.add("Div", [a, b])])
    w.define(node, w.add("Sub", [a, w.add("Mul", [whole, b])]))


@exports("floor_divide")
def floor_divide(w: Writer, node: Node, twin: Node) -> None:
    if not node.out.dtype.startswith("float"):
        raise NotImplementedError(f"floor_divide of {node.out.dtype}")
    w.define(node, w.add("Floor", [w.add("Div", w.inputs(node, twin, 0, 1))]))


_WITH_NUMBER = ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"]


@exports("clamp")
def clamp(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    low, high = (w.scalar(number, node.out.dtype) for number in node.args[1:])
    w.define(node, w.add("Min", [w.add("Max", [x, low]), high]))


@exports(*(f"{name}_scalar" for name in _WITH_NUMBER), "rsub_scalar", "rdiv_scalar", "rpow_scalar")
def with_number(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    kind = node.args[0].dtype
    number = w.scalar(same(node.args[1], twin.args[1], "a number"), kind)
    name = node.function.removesuffix("_scalar")
    reflected = name in ("rsub", "rdiv", "rpow")
    w.define(node, _operation(w, name[1:] if reflected else name, kind, [number, x] if reflected else [x, number]))


@exports("where")
def where(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("Where", w.inputs(node, twin, 0, 1, 2)))


@exports("cast")
def cast(w: Writer, node: Node, twin: Node) -> None:
    helper = need_onnx().helper
    w.define(node, w.add("Cast", w.inputs(node, twin, 0), to=helper.np_dtype_to_tensor_dtype(np.dtype(node.args[1]))))


# ---- activations -----------------------------------------------------------------------------------------------------


@exports("activation")
def activation(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    w.define(node, activated(w, x, node.args[1], node.args[2], node.args[3], node.out.dtype))


@exports("glu")
def glu(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    axis = node.args[1]
    half = same(node.args[0].shape[axis], twin.args[0].shape[axis], "a size") // 2
    a, b = w.add("Split", [x, w.ints([half, half])], 2, axis=axis)
    w.define(node, w.add("Mul", [a, w.add("Sigmoid", [b])]))


def activated(w: Writer, x: str, name: str, a: float, b: float, kind: str) -> str:
    if name in ("none", "relu", "sigmoid", "tanh"):
        return x if name == "none" else w.add(name.title(), [x])
    if name == "relu6":
        return w.add("Clip", [x, w.scalar(0.0, kind), w.scalar(6.0, kind)])
    if name == "leaky_relu":
        return w.add("LeakyRelu", [x], alpha=a)
    if name == "elu":
        return w.add("Elu", [x], alpha=a)
    if name == "selu":
        return w.add("Selu", [x], alpha=SELU_ALPHA, gamma=SELU_GAMMA)
    if name == "softplus":
        scaled = x if a == 1 else w.add("Mul", [x, w.scalar(a, kind)])
        soft = w.add("Softplus", [scaled])
        return soft if a == 1 else w.add("Div", [soft, w.scalar(a, kind)])
    if name == "logsigmoid":
        return w.add("Neg", [w.add("Softplus", [w.add("Neg", [x])])])
    if name in ("gelu", "gelu_tanh"):
        return _gelu(w, x, name == "gelu_tanh", kind)
    if name == "silu":
        return w.add("Mul", [x, w.add("Sigmoid", [x])])
    if name == "hardtanh":
        return w.add("Clip", [x, w.scalar(a, kind), w.scalar(b, kind)])
    if name == "hardsigmoid":
        return w.add("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
    if name == "hardswish":
        return w.add("HardSwish", [x])
    if name == "celu":
        return w.add("Celu", [x], alpha=a)
    if name == "softsign":
        return w.add("Softsign", [x])
    if name in ("softshrink", "hardshrink"):
        return w.add("Shrink", [x], lambd=a, bias=a if name == "softshrink" else 0.0)
    if name == "mish":
        return w.add("Mul", [x, w.add("Tanh", [w.add("Softplus", [x])])])
    if name == "tanhshrink":
        return w.add("Sub", [x, w.add("Tanh", [x])])
    if name == "threshold":
        return w.add("Where", [w.add("LessOrEqual", [x, w.scalar(a, kind)]), w.scalar(b, kind), x])
    raise NotImplementedError(f"activation {name}")


def _gelu(w: Writer, x: str, by_tanh: bool, kind: str) -> str:
    if w.opset >= 20:
        return w.add("Gelu", [x], approximate="tanh" if by_tanh else "none")
    if by_tanh:  # 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
        cube = w.add("Mul", [w.add("Mul", [x, x]), w.add("Mul", [x, w.scalar(0.044715, kind)])])
        inner = w.add("Tanh", [w.add("Mul", [w.add("Add", [x, cube]), w.scalar((2 / 3.141592653589793) ** 0.5, kind)])])
    else:
        inner = w.add("Erf", [w.add("Mul", [x, w.scalar(0.5**0.5, kind)])])
    return w.add("Mul", [w.add("Mul", [x, w.scalar(0.5, kind)]), w.add("Add", [inner, w.scalar(1, kind)])])


@exports("softmax", "log_softmax")
def softmax(w: Writer, node: Node, twin: Node) -> None:
    op = "Softmax" if node.function == "softmax" else "LogSoftmax"
    w.define(node, w.add(op, w.inputs(node, twin, 0), axis=node.args[1]))


# ---- reductions ------------------------------------------------------------------------------------------------------

_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd"}


@exports(*_REDUCTIONS)
def reduction(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    w.define(node, w.reduce(_REDUCTIONS[node.function], x, node.args[1], node.args[2]))


@exports("squared_deviations")
def squared_deviations(w: Writer, node: Node, twin: Node) -> None:
    x, center = w.inputs(node, twin, 0, 1)
    deviation = w.add("Sub", [x, center]) if center else x
    w.define(node, w.reduce("ReduceSum", w.add("Mul", [deviation, deviation]), node.args[2], node.args[3]))


@exports("argmax", "argmin")
def extreme(w: Writer, node: Node, twin: Node) -> None:
    op = "ArgMax" if node.function == "argmax" else "ArgMin"
    w.define(node, w.add(op, w.inputs(node, twin, 0), axis=node.args[1], keepdims=int(node.args[2])))


@exports("cumsum")
def cumsum(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    w.define(node, w.add("CumSum", [x, w.scalar(node.args[1], "int64")], reverse=int(node.args[2])))


@exports("topk", "sort", "argsort")
def ordered(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    if node.function == "topk":
        count, axis, largest = same(node.args[1], twin.args[1], "a count"), node.args[2], node.args[3]
    else:
        axis, largest = node.args[1], node.args[2]
        count = same(node.args[0].shape[axis], twin.args[0].shape[axis], "a size")
    found = w.add("TopK", [x, w.ints([count])], 2, axis=axis, largest=int(largest))
    w.define(node, *(found if node.function != "argsort" else found[1:]))
