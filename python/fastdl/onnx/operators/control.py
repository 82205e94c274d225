"""Branches and loops: operators that run subgraphs, which see the values around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .registry import Value, axis_of, host, number, operator

Scope = dict[str, Value]


@operator("If", scoped=True)
def if_(node: Any, scope: Scope, condition: Value) -> tuple[Value, ...]:
    branch = node.get("then_branch") if number(condition) else node.get("else_branch")
    return tuple(branch.run((), scope))


def _stacked(parts: list[Value], axis: int = 0) -> np.ndarray:
    if not parts:
        raise NotImplementedError("expected at least one step, got a loop without any whose results are collected")
    return np.stack([host(p) for p in parts], axis)


@operator("Loop", scoped=True)
def loop(node: Any, scope: Scope, count: Value, condition: Value, *state: Value) -> tuple[Value, ...]:
    body = node.get("body")
    most = None if count is None else int(number(count))
    goes_on = condition is None or bool(number(condition))
    carried = list(state)
    collected: list[list[Value]] = [[] for _ in body.outputs[1 + len(state) :]]
    step = 0
    while goes_on and (most is None or step < most):
        out = body.run((np.asarray(step, np.int64), np.asarray(True), *carried), scope)
        goes_on = bool(number(out[0]))
        carried = out[1 : 1 + len(state)]
        for values, value in zip(collected, out[1 + len(state) :], strict=True):
            values.append(value)
        step += 1
    return (*carried, *(_stacked(values) for values in collected))


@operator("Scan", scoped=True)
def scan(node: Any, scope: Scope, *values: Value) -> tuple[Value, ...]:
    """From opset 9 on: states first, then sequences that are walked along their axes."""
    if node.opset < 9:
        raise NotImplementedError(f"expected opset 9 or newer, got {node.opset}")
    body, scanned = node.get("body"), node.get("num_scan_inputs")
    states, sequences = list(values[: len(values) - scanned]), [host(v) for v in values[len(values) - scanned :]]
    outs = len(body.outputs) - len(states)
    axes = node.get("scan_input_axes") or [0] * scanned
    backwards = node.get("scan_input_directions") or [0] * scanned
    sequences = [np.moveaxis(s, axis_of(a, s.ndim), 0)[:: -1 if b else 1]
                 for s, a, b in zip(sequences, axes, backwards, strict=True)]  # fmt: skip
    if len({len(s) for s in sequences}) != 1:
        raise ValueError(f"expected sequences of one length, got {[len(s) for s in sequences]}")
    collected: list[list[Value]] = [[] for _ in range(outs)]
    for items in zip(*sequences, strict=True):
        out = body.run((*states, *(np.array(i, order="C") for i in items)), scope)
        states = out[: len(states)]
        for parts, value in zip(collected, out[len(states) :], strict=True):
            parts.append(value)
    directions = node.get("scan_output_directions") or [0] * outs
    out_axes = node.get("scan_output_axes") or [0] * outs
    return (
        *states,
        *(_stacked(p[:: -1 if d else 1], a) for p, d, a in zip(collected, directions, out_axes, strict=True)),
    )
