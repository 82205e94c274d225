"""Convolutions of the classic networks; "x" and "weight" are shapes."""

from bench.row import Row, torch
from tests.cases.conv2d import size

ROWS = [
    Row("conv2d", size((128, 1, 28, 28), (32, 1, 3, 3)), goal=1.5),
    Row("conv2d", size((128, 32, 26, 26), (32, 32, 3, 3)), goal=1.8),
    Row("conv2d", size((128, 32, 12, 12), (16, 32, 3, 3)), goal=1.0),
    Row("conv2d", size((128, 16, 10, 10), (16, 16, 3, 3)), goal=1.0),
]
TORCH = {} if torch is None else {"conv2d": torch.nn.functional.conv2d}
