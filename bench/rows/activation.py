"""Activations on 25.7 MB: bound by memory, or by their exponential."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

ROWS = [
    Row(name, {"shape": SHAPE}, backward=backward, goal=1.1)
    for name in ("leaky_relu", "elu", "softplus", "gelu", "silu", "mish")
    for backward in (False, True)
] + [Row("glu", {"shape": SHAPE, "dim": 1}, backward=backward, goal=1.1) for backward in (False, True)]
TORCH = {} if torch is None else {row.case: getattr(torch.nn.functional, row.case) for row in ROWS}
