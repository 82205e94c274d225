"""Transposed convolutions of decoders and generators; "x" and "weight" are shapes."""

from bench.row import Row, torch
from tests.cases.conv_transpose2d import size

UP = {"stride": 2}  # 2x2 without overlap
ROWS = [
    row
    for backward in (False, True)
    for row in (
        Row("conv_transpose2d", size((1, 256, 28, 28), (256, 128, 2, 2), **UP), backward=backward, goal=1.3),
        Row("conv_transpose2d", size((8, 256, 28, 28), (256, 128, 2, 2), **UP), backward=backward, goal=1.3),
        Row("conv_transpose2d", size((1, 128, 28, 28), (128, 64, 4, 4), **UP, padding=1), backward=backward, goal=1.3),
        Row("conv_transpose2d", size((8, 128, 28, 28), (128, 64, 4, 4), **UP, padding=1), backward=backward, goal=1.3),
    )
]
TORCH = {} if torch is None else {"conv_transpose2d": torch.nn.functional.conv_transpose2d}
