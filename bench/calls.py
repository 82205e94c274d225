"""fastdl's side of a row: its case, its inputs, its call."""

from __future__ import annotations

import numpy as np

import fastdl
from bench.row import Call, Row
from fastdl.testing import OpCase
from tests.cases import all_cases


def case_of(row: Row) -> OpCase:
    return next(c for c in all_cases() if c.name == row.case)


def inputs_of(row: Row) -> list[np.ndarray]:
    """The arrays of a row, floats in float32."""
    return [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case_of(row).make(row.attributes, seed=0)]


def fastdl_call(row: Row, arrays: list[np.ndarray], device: str) -> Call:
    case = case_of(row)
    tensors = case.tensors(arrays, device, "float32", requires_grad=row.backward)
    attributes = case.call_attributes(row.attributes)
    if not row.backward:

        def forward():
            with fastdl.no_grad():
                return case.call(*tensors, **attributes)

        return forward
    out = case.call(*tensors, **attributes)
    grad = fastdl.ones_like(out[0] if isinstance(out, tuple) else out)

    def both():
        for t in tensors:
            t.grad = None
        out = case.call(*tensors, **attributes)
        (out[0] if isinstance(out, tuple) else out).backward(grad)

    return both
