"""Layers: products, convolution, pooling, normalisation, recurrent layers, regions."""

from __future__ import annotations

import numpy as np

from ... import backends
from ...plan.graph import Node, Value
from ..operators.recurrent import GATES
from .elementwise import activated
from .writer import Writer, exports, same


@exports("matmul")
def matmul(w: Writer, node: Node, twin: Node) -> None:
    operands = w.inputs(node, twin, 0, 1)
    for i, transposed in enumerate(node.args[2:4]):
        if transposed:
            ndim = len(node.args[i].shape)
            operands[i] = w.add("Transpose", [operands[i]], perm=[*range(ndim - 2), ndim - 1, ndim - 2])
    w.define(node, w.add("MatMul", operands))


@exports("linear")
def linear(w: Writer, node: Node, twin: Node) -> None:
    x, weight, bias = w.inputs(node, twin, 0, 1, 2)
    if len(node.args[0].shape) == 2:
        out = w.add("Gemm", [x, weight, bias] if bias else [x, weight], transB=1)
    else:
        out = w.add("MatMul", [x, w.add("Transpose", [weight], perm=[1, 0])])
        out = w.add("Add", [out, bias]) if bias else out
    w.define(node, activated(w, out, node.args[3], 0.0, 0.0, node.out.dtype))


@exports("conv2d")
def conv2d(w: Writer, node: Node, twin: Node) -> None:
    x, weight, bias = w.inputs(node, twin, 0, 1, 2)
    _, kernel, _, stride, (top, bottom, left, right), dilation, groups, name, residual = node.args
    out = w.add(
        "Conv", [x, weight, bias] if bias else [x, weight], kernel_shape=list(kernel.shape[2:]), strides=list(stride),
        pads=[top, left, bottom, right], dilations=list(dilation), group=groups,
    )  # fmt: skip
    if residual is not None:
        out = w.add("Add", [out, *w.inputs(node, twin, 8)])
    w.define(node, activated(w, out, name, 0.0, 0.0, node.out.dtype))


@exports("conv_transpose2d")
def conv_transpose2d(w: Writer, node: Node, twin: Node) -> None:
    x, weight, bias = w.inputs(node, twin, 0, 1, 2)
    _, kernel, _, stride, padding, extra, dilation, groups = node.args
    w.define(node, w.add(
        "ConvTranspose", [x, weight, bias] if bias else [x, weight], kernel_shape=list(kernel.shape[2:]),
        strides=list(stride), pads=[*padding, *padding], output_padding=list(extra), dilations=list(dilation),
        group=groups,
    ))  # fmt: skip


# ---- pooling ---------------------------------------------------------------------------------------------------------


@exports("max_pool2d")
def max_pool2d(w: Writer, node: Node, twin: Node) -> None:
    """Indices are places in the whole tensor in ONNX, in planes here."""
    (x,) = w.inputs(node, twin, 0)
    _, kernel, stride, padding, dilation, ceil, indices = node.args
    kernel, stride = same(kernel, twin.args[1], "a kernel"), same(stride, twin.args[2], "a stride")
    found = w.add(
        "MaxPool", [x], 1 if indices is None else 2, kernel_shape=list(kernel), strides=list(stride),
        pads=[*padding, *padding], dilations=list(dilation), ceil_mode=int(ceil),
    )  # fmt: skip
    if indices is None:
        w.define(node, found)
        return
    plane = node.args[0].shape[2] * node.args[0].shape[3]
    other = twin.args[0].shape[2] * twin.args[0].shape[3]
    w.define(node, found[0], w.add("Mod", [found[1], w.scalar(same(plane, other, "a plane of"), "int64")]))


@exports("avg_pool2d")
def avg_pool2d(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    _, kernel, stride, padding, ceil, counted, divisor = node.args
    same((kernel, stride), twin.args[1:3], "windows")
    out = w.add(
        "AveragePool", [x], kernel_shape=list(kernel), strides=list(stride), pads=[*padding, *padding],
        ceil_mode=int(ceil), count_include_pad=int(counted or divisor > 0),
    )  # fmt: skip
    w.define(node, w.add("Mul", [out, w.scalar(kernel[0] * kernel[1] / divisor, node.out.dtype)]) if divisor else out)


def _shares(size: int, target: int, dtype: str) -> np.ndarray:
    """(target, size): what each element counts in the mean of each window."""
    out = np.zeros((target, size), dtype)
    for i in range(target):
        first, end = i * size // target, -(-(i + 1) * size // target)
        out[i, first:end] = 1 / (end - first)
    return out


@exports("adaptive_avg_pool2d", "adaptive_max_pool2d")
def adaptive_pool2d(w: Writer, node: Node, twin: Node) -> None:
    """Windows of one size are pooling; means over others are products with a matrix an axis."""
    (x,) = w.inputs(node, twin, 0)
    is_mean, target = node.function == "adaptive_avg_pool2d", node.args[1]
    if not is_mean:
        _expect_unused(w, node.results[1])
    if target == (1, 1):
        w.define(node, w.add("GlobalAveragePool" if is_mean else "GlobalMaxPool", [x]))
        return
    sizes = same(node.args[0].shape[2:], twin.args[0].shape[2:], "planes of")
    if all(n % m == 0 for n, m in zip(sizes, target, strict=True)):
        kernel = [n // m for n, m in zip(sizes, target, strict=True)]
        w.define(node, w.add("AveragePool" if is_mean else "MaxPool", [x], kernel_shape=kernel, strides=kernel))
        return
    if not is_mean:
        raise NotImplementedError(f"adaptive_max_pool2d of {sizes} to {target}")
    rows, columns = (_shares(n, m, node.out.dtype) for n, m in zip(sizes, target, strict=True))
    by_rows = w.add("MatMul", [w.constant(rows, "shares"), x])
    w.define(node, w.add("MatMul", [by_rows, w.constant(np.ascontiguousarray(columns.T), "shares")]))


def _expect_unused(w: Writer, places: Value | None) -> None:
    """The places of maxima of adaptive pooling are not written."""
    if places in w.used:
        raise NotImplementedError("the indices of adaptive_max_pool2d")


# ---- normalisation ---------------------------------------------------------------------------------------------------


@exports("batch_norm")
def batch_norm(w: Writer, node: Node, twin: Node) -> None:
    x, weight, bias, mean, var, train, _, eps = node.args
    if train:
        raise NotImplementedError("batch_norm with the statistics of its input")
    like, twin_like = w.before_reshape(x, twin.args[0])
    if like.shape[:2] != x.shape[:2]:
        like, twin_like = x, twin.args[0]
    channels = x.shape[1]
    parameters = [
        w.name(p) if p is not None else w.constant(np.full(channels, default, x.dtype))
        for p, default in ((weight, 1), (bias, 0), (mean, 0), (var, 1))
    ]
    name = w.add("BatchNormalization", [w.input(like, twin_like), *parameters], epsilon=eps)
    w.define_as(node, name, like)


@exports("layer_norm")
def layer_norm(w: Writer, node: Node, twin: Node) -> None:
    x, weight, bias, eps = node.args
    like, twin_like = w.before_reshape(x, twin.args[0])
    if like.shape[-1:] != x.shape[-1:]:
        like, twin_like = x, twin.args[0]
    scale = w.name(weight) if weight is not None else w.constant(np.ones(x.shape[1], x.dtype))
    inputs = [w.input(like, twin_like), scale, *([w.name(bias)] if bias is not None else [])]
    w.define_as(node, w.add("LayerNormalization", inputs, axis=-1, epsilon=eps), like)


@exports("group_norm")
def group_norm(w: Writer, node: Node, twin: Node) -> None:
    """As instance normalisation of groups, which every opset has, and then scale and shift of channels."""
    x, weight, bias, groups, eps = node.args
    (name,) = w.inputs(node, twin, 0)
    rows = w.add("Reshape", [name, w.ints([0, groups, -1])])
    ones, zeros = (w.constant(np.full(groups, value, x.dtype)) for value in (1, 0))
    out = w.add("InstanceNormalization", [rows, ones, zeros], epsilon=eps)
    size = same(x.shape[2], twin.args[0].shape[2], "planes of")
    out = w.add("Reshape", [out, w.ints([0, x.shape[1], size])])
    for op, parameter in (("Mul", weight), ("Add", bias)):
        if parameter is not None:
            out = w.add(op, [out, w.add("Reshape", [w.name(parameter), w.ints([-1, 1])])])
    w.define(node, out)


@exports("local_response_norm")
def local_response_norm(w: Writer, node: Node, twin: Node) -> None:
    x, size, alpha, beta, k = node.args
    if size % 2 == 0:
        raise NotImplementedError(f"local_response_norm over {size} channels, an even number")
    like, twin_like = w.before_reshape(x, twin.args[0])
    if like.shape[:2] != x.shape[:2]:
        like, twin_like = x, twin.args[0]
    name = w.add("LRN", [w.input(like, twin_like)], size=size, alpha=alpha, beta=beta, bias=k)
    w.define_as(node, name, like)


# ---- recurrent layers ------------------------------------------------------------------------------------------------


def _numbers(value: Value) -> np.ndarray:
    if not value.is_constant:
        raise NotImplementedError("a recurrent layer whose weights depend on the input")
    return backends.get("cpu").to_numpy(value.array)


def _gates(array: np.ndarray, kind: str) -> np.ndarray:
    """Rows in the order of ONNX's gates."""
    parts = np.split(array, len(GATES[kind]))
    return np.concatenate([parts[GATES[kind].index(i)] for i in range(len(parts))])


@exports("recurrent")
def recurrent(w: Writer, node: Node, twin: Node) -> None:
    """Weights are reordered by gates and stacked by directions: they have the first one's name with an ending."""
    mode, x, h0, c0, weights, lengths, _, both, batch_first, _ = node.args
    if lengths is not None:
        raise NotImplementedError("a recurrent layer over packed sequences")
    kind = "RNN" if mode.startswith("rnn") else mode.upper()
    directions, count = (2 if both else 1), len(weights) // (2 if both else 1)
    each = [[_gates(_numbers(v), kind) for v in weights[d * count : (d + 1) * count]] for d in range(directions)]
    label = weights[0].name or "recurrent"
    arrays = [np.stack([d[i] for d in each]) for i in (0, 1)]
    if count == 4:
        arrays.append(np.stack([np.concatenate(d[2:]) for d in each]))
    names = [w.constant(a, f"{label}_{end}") for a, end in zip(arrays, ("W", "R", "B"), strict=False)]
    names += [""] * (3 - len(names))
    steps = w.input(x, twin.args[1])
    steps = w.add("Transpose", [steps], perm=[1, 0, 2]) if batch_first else steps
    states = [w.input(v, t) if v is not None else "" for v, t in ((h0, twin.args[2]), (c0, twin.args[3]))]
    inputs = [steps, *names, "", *(states if kind == "LSTM" else states[:1])]
    while not inputs[-1]:
        inputs.pop()
    attributes = {"linear_before_reset": 1} if kind == "GRU" else {}
    functions = ["Relu"] * directions if mode == "rnn_relu" else None
    found = w.add(
        kind, inputs, 3 if kind == "LSTM" else 2, hidden_size=arrays[1].shape[2], activations=functions,
        direction="bidirectional" if both else "forward", **attributes,
    )  # fmt: skip
    moved = w.add("Transpose", [found[0]], perm=[2, 0, 1, 3] if batch_first else [0, 2, 1, 3])
    w.define(node, w.add("Reshape", [moved, w.ints([0, 0, -1])]), *found[1:])


# ---- regions ---------------------------------------------------------------------------------------------------------


@exports("roi_align")
def roi_align(w: Writer, node: Node, twin: Node) -> None:
    x, rois = w.inputs(node, twin, 0, 1)
    _, _, size, scale, ratio, aligned = node.args
    boxes = w.add("Slice", [rois, w.ints([1]), w.ints([5]), w.ints([1])])
    images = w.add("Cast", [w.add("Gather", [rois, w.scalar(0, "int64")], axis=1)], to=7)
    w.define(node, w.add(
        "RoiAlign", [x, boxes, images], output_height=size[0], output_width=size[1], spatial_scale=scale,
        sampling_ratio=max(ratio, 0), coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
    ))  # fmt: skip


@exports("roi_pool")
def roi_pool(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("MaxRoiPool", w.inputs(node, twin, 0, 1), pooled_shape=list(node.args[2]),
                         spatial_scale=node.args[3]))  # fmt: skip
