"""Files as graphs: checked, complete, and nothing read outside their folder."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .graph import Argument, Context, Graph, Node
from .operators import OPERATORS
from .types import array_dtype, held, need_onnx

OLDEST_OPSET = 1
Source = Any  # a path, bytes or a ModelProto


def read(source: Source, device: str) -> tuple[Graph, list[Argument], list[Argument]]:
    """The graph of a model, and its inputs and outputs.

    Raises:
        FileNotFoundError, TypeError: for a source that is not there, or is no path, bytes or ModelProto.
        ValueError: for a file that is not ONNX, is damaged, or breaks the rules of the format.
        NotImplementedError: for operators that fastdl lacks (all of them are listed), or an opset that the onnx
            package does not know.
    """
    onnx = need_onnx()
    context = Context(device)
    model, folder = _parsed(source)
    opsets = _opsets(model)
    if model.functions:
        model = _without_functions(model)
        opsets = _opsets(model)
    _expect_operators(model, opsets)
    try:
        _checked(model)
        reader = _Reader(context, opsets, folder)
        graph = reader.graph(model.graph)
        inputs = [_argument(v) for v in model.graph.input if v.name not in graph.constants]
        outputs = [_argument(v) for v in model.graph.output]
    except NotImplementedError as error:
        raise NotImplementedError(_named(error)) from None
    except (onnx.checker.ValidationError, ValueError, KeyError, UnicodeDecodeError, RuntimeError) as error:
        raise ValueError(f"[onnx] expected a model that follows ONNX's rules, got one with: {error}") from None
    graph.inputs = tuple(v.name for v in inputs)
    graph.fold()
    return graph, inputs, outputs


def _named(error: Exception) -> str:
    text = str(error)
    return text if text.startswith("[onnx]") else f"[onnx] {text}"


def _parsed(source: Source) -> tuple[Any, Path | None]:
    """The model, and the folder of its external data."""
    onnx = need_onnx()
    if isinstance(source, onnx.ModelProto):
        return source, None
    if isinstance(source, str | os.PathLike):
        content, folder, shown = Path(source).read_bytes(), Path(source).parent, os.fspath(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        content, folder, shown = bytes(source), None, f"{len(source)} bytes"
    else:
        raise TypeError(f"[onnx] expected a path, bytes or a ModelProto, got {type(source).__name__}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's implementations raise different ones
        raise ValueError(f"[onnx] expected an ONNX file, got {shown}: {error}") from None
    if not model.HasField("graph") or not model.ir_version:
        raise ValueError(f"[onnx] expected an ONNX file, got {shown}: no model is in it")
    return model, folder


def _without_functions(model: Any) -> Any:
    """The model with the bodies of its own functions in the places of their calls."""
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # whatever broken functions make it raise
        raise ValueError(f"[onnx] expected functions that follow ONNX's rules, got some with: {error}") from None


def _opsets(model: Any) -> dict[str, int]:
    found = {_domain(entry.domain): entry.version for entry in model.opset_import}
    newest = need_onnx().defs.onnx_opset_version()
    if "" in found and not OLDEST_OPSET <= found[""] <= newest:
        raise NotImplementedError(f"[onnx] expected opset {OLDEST_OPSET} to {newest}, got {found['']}")
    return found


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _all_nodes(graph: Any) -> Any:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _all_nodes(inner)


def _expect_operators(model: Any, opsets: dict[str, int]) -> None:
    missing = Counter((_domain(n.domain), n.op_type) for n in _all_nodes(model.graph))
    missing = Counter({key: count for key, count in missing.items() if key not in OPERATORS})
    if missing:
        listed = ", ".join(
            f"{count} x {name} ({domain or 'ai.onnx'}, opset {opsets.get(domain, '?')})"
            for (domain, name), count in sorted(missing.items())
        )
        raise NotImplementedError(f"[onnx] expected operators that fastdl has, got {listed}")


def _checked(model: Any) -> None:
    """ONNX's own check, of a copy without the numbers of the weights."""
    onnx = need_onnx()
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.name = model.graph.name or "graph"
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    for value in (*light.graph.input, *light.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()  # the check wants one, runtimes do without
    for tensor in model.graph.initializer:
        light.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=[0])
    onnx.checker.check_model(light)


class _Reader:
    def __init__(self, context: Context, opsets: dict[str, int], folder: Path | None) -> None:
        self.context, self.opsets, self.folder = context, opsets, folder

    def graph(self, proto: Any) -> Graph:
        if proto.sparse_initializer:
            raise NotImplementedError("[onnx] expected dense weights, got sparse initializers")
        constants = {t.name: self.context.constant(self.array(t)) for t in proto.initializer}
        nodes = [self.node(n) for n in proto.node]
        inputs = [v.name for v in proto.input if v.name not in constants]
        return Graph(inputs, [v.name for v in proto.output], constants, nodes, self.context)

    def node(self, proto: Any) -> Node:
        domain = _domain(proto.domain)
        attributes = {a.name: self.attribute(a) for a in proto.attribute}
        opset = self.opsets.get(domain, 1)
        return Node(proto.op_type, domain, proto.name, opset, attributes, proto.input, proto.output, self.context)

    def attribute(self, proto: Any) -> Any:
        onnx = need_onnx()
        value = onnx.helper.get_attribute_value(proto)
        if proto.type == onnx.AttributeProto.STRING:
            return value.decode()
        if proto.type == onnx.AttributeProto.STRINGS:
            return [v.decode() for v in value]
        if proto.type == onnx.AttributeProto.TENSOR:
            return self.context.constant(self.array(value))
        if proto.type == onnx.AttributeProto.GRAPH:
            return self.graph(value)
        return list(value) if isinstance(value, list) or hasattr(value, "__len__") else value

    def array(self, tensor: Any) -> np.ndarray:
        """The numbers of a TensorProto."""
        onnx = need_onnx()
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor)
        array = onnx.numpy_helper.to_array(tensor)
        return np.array(array, held(array.dtype), order="C")

    def _external(self, tensor: Any) -> np.ndarray:
        """Numbers in a file of their own, which must lie in the model's folder and hold all of them."""
        entries = {e.key: e.value for e in tensor.external_data}
        if self.folder is None:
            raise ValueError(f"weight {tensor.name!r} lies in another file: give the path of the model")
        kind = array_dtype(tensor.data_type)
        count = int(np.prod(tensor.dims, dtype=object)) if tensor.dims else 1
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", count * kind.itemsize))
        root, name = self.folder.resolve(), entries.get("location", "")
        file = (root / name).resolve()
        if not name or root not in file.parents or not file.is_file():
            raise ValueError(f"weight {tensor.name!r} lies in {name!r}, which is no file in the model's folder")
        if min(offset, count, *tensor.dims, 0) < 0 or length != count * kind.itemsize:
            raise ValueError(f"weight {tensor.name!r} has {length} bytes at {offset}, not {count * kind.itemsize}")
        if offset + length > file.stat().st_size:
            raise ValueError(f"weight {tensor.name!r} reaches beyond the end of {name!r}")
        array = np.fromfile(file, kind.newbyteorder("<"), count, offset=offset).reshape(tuple(tensor.dims))
        return array.astype(held(kind))


def _argument(value: Any) -> Argument:
    if not value.type.HasField("tensor_type"):
        raise NotImplementedError(f"[onnx] expected tensors as inputs and outputs, got another type for {value.name!r}")
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim
        )  # fmt: skip
    return Argument(value.name, shape, array_dtype(tensor.elem_type))
