"""Networks as ONNX files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..functional.arguments import expect_int
from ..plan.graph import Graph, Node, Value
from ..plan.trace import trace
from ..plan.tree import flatten
from ..saving import write_atomic
from ..tensor import Tensor
from .exporters import EXPORTERS, Writer
from .types import need_onnx

OLDEST_OPSET, DEFAULT_OPSET = 17, 17
LARGE = 2**31 - 2**20  # bytes of a protobuf message, with room for the nodes
FreeAxes = Mapping[str, Mapping[int, str] | Sequence[int]]


def export(
    model: Callable[..., Any],
    args: Any,
    f: str | os.PathLike,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: FreeAxes | None = None,
    opset_version: int = DEFAULT_OPSET,
) -> None:
    """Writes a network as an ONNX file (`torch.onnx.export`): for inference, on inputs of the example's shapes.

    `args` is an example, a tensor or a tuple of arguments. `dynamic_axes` names axes whose sizes are free, by input or
    output name: `{"input": {0: "batch"}}`, or `{"input": [0]}`; axes of one name have one size. Weights keep their
    names in the state dict. The file appears whole or not at all; weights of more than 2 GB go to a file beside it,
    named like it with `.data`.

    Raises:
        TypeError: for a model or examples that are none.
        ValueError: for names that do not fit, or an opset before 17 or newer than the onnx package knows.
        RuntimeError: for a network whose steps depend on the numbers in its inputs.
        NotImplementedError: for operations that ONNX lacks here: all of them are listed.

    >>> import fastdl, os, tempfile
    >>> file = os.path.join(tempfile.mkdtemp(), "net.onnx")
    >>> net = fastdl.nn.Sequential(fastdl.nn.Linear(3, 2), fastdl.nn.ReLU()).eval()
    >>> export(net, fastdl.ones(1, 3), file, input_names=["x"], dynamic_axes={"x": {0: "batch"}})
    >>> fastdl.onnx.load(file)(fastdl.ones(5, 3)).shape
    (5, 2)
    """
    onnx = need_onnx()
    newest = onnx.defs.onnx_opset_version()
    if not isinstance(f, str | os.PathLike):
        raise TypeError(f"[onnx.export] expected a path for f, got {type(f).__name__}")
    if not OLDEST_OPSET <= expect_int(opset_version, "onnx.export", "opset_version") <= newest:
        raise ValueError(f"[onnx.export] expected opset_version from {OLDEST_OPSET} to {newest}, got {opset_version}")
    example = args if isinstance(args, tuple) else (args,)
    graph = trace(model, *example)
    inputs = _names(input_names, len(graph.inputs), "input")
    outputs = _names(output_names, len(graph.outputs), "output")
    if not set(inputs).isdisjoint(outputs):
        raise ValueError(f"[onnx.export] expected output_names other than {inputs}, got {outputs}")
    free = _free_axes(dynamic_axes, inputs, outputs)
    twin = trace(model, *_other_sizes(example, inputs, free)) if free else graph
    writer = _written(graph, twin, opset_version, inputs, outputs)
    proto = _model(writer, graph, twin, inputs, outputs, free)
    _save(proto, writer, Path(f))


def _names(given: Sequence[str] | None, count: int, kind: str) -> list[str]:
    if not isinstance(given, list | tuple | None):
        raise TypeError(f"[onnx.export] expected a list for {kind}_names, got {type(given).__name__}")
    names = list(given) if given is not None else [kind] if count == 1 else [f"{kind}_{i}" for i in range(count)]
    if len(names) != count or len(set(names)) != count or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"[onnx.export] expected {count} different {kind}_names, got {names}")
    return names


def _free_axes(given: FreeAxes | None, inputs: list[str], outputs: list[str]) -> dict[str, dict[int, str]]:
    free = {}
    if not isinstance(given, Mapping | None):
        raise TypeError(f"[onnx.export] expected a dict for dynamic_axes, got {type(given).__name__}")
    for name, axes in (given or {}).items():
        if name not in (*inputs, *outputs):
            raise ValueError(f"[onnx.export] expected dynamic_axes of {', '.join((*inputs, *outputs))}, got {name!r}")
        named = axes if isinstance(axes, Mapping) else {a: f"{name}_dynamic_axes_{i + 1}" for i, a in enumerate(axes)}
        free[name] = {int(axis): str(label) for axis, label in named.items()}
    return {name: axes for name, axes in free.items() if axes}


def _other_sizes(example: tuple[Any, ...], inputs: list[str], free: dict[str, dict[int, str]]) -> tuple[Any, ...]:
    """The example with other sizes along its free axes: repeated, and one line more along the first axis."""
    leaves, tree = flatten(example)
    changed = []
    for name, leaf in zip(inputs, leaves, strict=True):
        array = leaf.numpy()
        for axis in free.get(name, {}):
            if not -array.ndim <= axis < array.ndim:
                raise ValueError(f"[onnx.export] expected free axes of shape {array.shape}, got {axis} for {name!r}")
            more = array if axis else np.take(array, [0], 0)
            array = np.concatenate([array, more], axis)
        changed.append(Tensor(leaf._backend.from_numpy(np.ascontiguousarray(array), False), leaf._backend))
    return tree.fill(iter(changed))


def _written(graph: Graph, twin: Graph, opset: int, inputs: list[str], outputs: list[str]) -> Writer:
    writer = Writer(opset)
    for name in (*inputs, *outputs):
        writer.unique(name)
    writer.names.update(zip(graph.inputs, inputs, strict=True))
    if [n.function for n in graph.nodes] != [n.function for n in twin.nodes]:
        raise NotImplementedError("[onnx.export] expected the same steps for all sizes along the free axes, got others")
    pairs = list(zip(graph.nodes, twin.nodes, strict=True))
    writer.used = set(graph.uses())
    writer.producers = {r: pair for pair in pairs for r in pair[0].results if r is not None}
    missing = []
    for node, other in pairs:
        try:
            _write(writer, node, other)
        except NotImplementedError as error:
            missing.append(f"{error}" + (f" (in {node.source})" if node.source else ""))
            writer.names.update((r, "") for r in node.results if r is not None)
    if missing:
        raise NotImplementedError(
            f"[onnx.export] expected operations that ONNX has, got {'; '.join(dict.fromkeys(missing))}"
        )
    for value, other_value, name in zip(graph.outputs, twin.outputs, outputs, strict=True):
        writer.nodes.append(need_onnx().helper.make_node("Identity", [writer.input(value, other_value)], [name]))
    writer.needed(outputs)
    return writer


def _write(writer: Writer, node: Node, twin: Node) -> None:
    if node.function not in EXPORTERS:
        raise NotImplementedError(node.function)
    EXPORTERS[node.function](writer, node, twin)


# ---- the file --------------------------------------------------------------------------------------------------------


def _info(name: str, value: Value, twin: Value, free: dict[int, str]) -> Any:
    helper = need_onnx().helper
    ndim = len(value.shape)
    labels = {axis % ndim: label for axis, label in free.items()} if ndim else {}
    sizes = [labels.get(i) or (n if n == m else f"{name}_{i}")
             for i, (n, m) in enumerate(zip(value.shape, twin.shape, strict=True))]  # fmt: skip
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype)), sizes)


def _model(
    writer: Writer, graph: Graph, twin: Graph, inputs: list[str], outputs: list[str], free: dict[str, dict[int, str]]
) -> Any:
    """The model without the numbers of its weights."""
    helper = need_onnx().helper
    infos = [
        [_info(n, v, t, free.get(n, {})) for n, v, t in zip(names, values, others, strict=True)]
        for names, values, others in ((inputs, graph.inputs, twin.inputs), (outputs, graph.outputs, twin.outputs))
    ]
    proto = helper.make_graph(writer.nodes, "fastdl", *infos)
    opset = helper.make_opsetid("", writer.opset)
    model = helper.make_model(proto, opset_imports=[opset], producer_name="fastdl")
    model.ir_version = helper.find_min_ir_version_for([opset])
    return model


def _save(model: Any, writer: Writer, path: Path) -> None:
    onnx = need_onnx()
    large = sum(a.nbytes for a in writer.initializers.values()) > LARGE
    data = path.with_name(path.name + ".data")
    offset = 0
    for name, array in writer.initializers.items():
        tensor = model.graph.initializer.add()
        if large:
            tensor.name, tensor.data_type = name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor.dims.extend(array.shape)
            _place(tensor, data.name, offset, array.nbytes)
            offset += array.nbytes
        else:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    if large:
        write_atomic(data, b"".join(a.tobytes() for a in writer.initializers.values()))
    else:
        onnx.checker.check_model(model)
    write_atomic(path, model.SerializeToString())


def _place(tensor: Any, location: str, offset: int, length: int) -> None:
    """Says where in which file the numbers of a weight are."""
    tensor.data_location = need_onnx().TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
