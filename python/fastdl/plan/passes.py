"""Graphs that compute the same with less: each pass takes a Graph and returns another one."""

from __future__ import annotations

from .folding import Weights, fold_affine, use_linear
from .graph import Graph, Node, Value
from .rewriting import ACTIVATION, RESIDUAL, Producers, changed, with_args


def optimize(graph: Graph, weights: Weights | None = None) -> Graph:
    """All passes."""
    weights = weights or Weights()
    graph = use_linear(drop_identities(graph), weights)
    graph = drop_identities(fold_affine(graph, weights))
    graph = fuse_activations(fuse_residuals(graph))
    return drop_dead(graph)


# ---- nodes that do nothing -------------------------------------------------------------------------------------------


def drop_dead(graph: Graph) -> Graph:
    """Without nodes whose results nobody uses."""
    needed, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if any(r in needed for r in node.results):
            needed.update(node.inputs())
            kept.append(node)
    return Graph(graph.inputs, graph.outputs, kept[::-1], graph.tree)


def drop_identities(graph: Graph) -> Graph:
    """Without functions that give back what they get, and with reshapes of reshapes as one."""
    nodes: list[Node] = []
    instead: dict[Value, Value] = {}
    reshaped: dict[Value, Value] = {}
    for old in graph.nodes:
        node = old.with_args(lambda v: instead.get(v, v))
        if node.function == "reshape":
            source = reshaped.get(node.args[0], node.args[0])
            node = Node("reshape", (source, node.args[1]), node.results, node.source)
            reshaped[node.out] = source
        if _is_identity(node):
            instead[node.out] = next(node.inputs())
        else:
            nodes.append(node)
    return drop_dead(changed(graph, nodes, instead))


def _is_identity(node: Node) -> bool:
    arg, options = node.args[0], node.args[1:]
    match node.function:
        case "reshape" | "broadcast_to":
            return arg.shape == node.out.shape
        case "slice":
            return arg.shape == node.out.shape and set(options[2]) <= {1}
        case "cast":
            return arg.dtype == node.out.dtype
        case "permute":
            return options[0] == tuple(range(len(arg.shape)))
        case "concat":
            return len(arg) == 1
        case "sum" | "mean" | "amax" | "amin":
            return options[0] == ()
        case "mul_scalar" | "div_scalar" | "pow_scalar":
            return options[0] == 1
        case _:
            return False


# ---- residuals -------------------------------------------------------------------------------------------------------


def fuse_residuals(graph: Graph) -> Graph:
    """Sums of a convolution's result and something of its shape are made by the convolution, where the sum was: it adds
    the rest while its own numbers are in registers. Of two convolutions the later one does."""
    producers = Producers(graph)
    order = {node: i for i, node in enumerate(graph.nodes)}
    fused: dict[Node, Node] = {}  # by the sum
    moved: set[Node] = set()
    for node in graph.nodes:
        hosts = [] if node.function != "add" else [p for v in node.args if (p := _host(producers, v, node)) is not None]
        hosts = [p for p in hosts if p not in moved]
        if hosts:
            host = max(hosts, key=order.__getitem__)
            other = node.args[1] if node.args[0] is host.out else node.args[0]
            fused[node] = Node("conv2d", (*host.args[:RESIDUAL], other), node.results, host.source)
            moved.add(host)
    return changed(graph, [fused.get(node, node) for node in graph.nodes if node not in moved], {})


def _host(producers: Producers, value: Value, node: Node) -> Node | None:
    """The convolution that can make a sum, of which the value is one part."""
    maker = producers.alone(value)
    if maker is None or maker.function != "conv2d" or maker.out is not value:
        return None
    a, b = node.args
    plain = maker.args[ACTIVATION["conv2d"]] == "none" and maker.args[RESIDUAL] is None
    return maker if plain and a.shape == b.shape == node.out.shape and a.dtype == b.dtype else None


# ---- activations -----------------------------------------------------------------------------------------------------


def fuse_activations(graph: Graph) -> Graph:
    """Activations run in the convolution or linear layer before them, while the numbers are in registers."""
    producers = Producers(graph)
    fused: dict[Node, Node] = {}
    nodes: list[Node] = []
    instead: dict[Value, Value] = {}
    for node in graph.nodes:
        name = _activation(node)
        producer = None if name is None else producers.alone(node.args[0])
        place = None if producer is None else ACTIVATION.get(producer.function)
        if producer is None or place is None or producer.args[place] != "none":
            nodes.append(node)
            continue
        fused[producer] = with_args(producer, {place: name})
        instead[node.out] = node.args[0]
    return changed(graph, [fused.get(node, node) for node in nodes], instead)


def _activation(node: Node) -> str | None:
    """The name by which a convolution or linear layer knows a function, None if it does not."""
    if node.function != "activation":
        return node.function if node.function in ("relu", "sigmoid", "tanh") else None
    name, *numbers = node.args[1:]
    if name == "hardtanh":
        return "relu6" if numbers == [0, 6] else None
    return name if name in ("silu", "hardsigmoid", "hardswish") else None
