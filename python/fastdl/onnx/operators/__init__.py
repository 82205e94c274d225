"""The operators of ONNX, by theme; importing this package fills the registry."""

from . import (
    activation,
    arithmetic,
    control,
    convolution,
    detection,
    grids,
    indexing,
    layout,
    logic,
    normalization,
    pooling,
    product,
    quantization,
    recurrent,
    reduction,
    resize,
    shapes,
)
from .registry import OPERATORS, SCOPED, operator

__all__ = [
    "OPERATORS", "SCOPED", "activation", "arithmetic", "control", "convolution", "detection", "grids", "indexing",
    "layout", "logic", "normalization", "operator", "pooling", "product", "quantization", "recurrent", "reduction",
    "resize", "shapes",
]  # fmt: skip
