"""Convolutions of the classic networks; "x" and "weight" are shapes."""

from bench.row import Row, torch
from tests.cases.conv2d import size

ROWS = [
    Row("conv2d", size((128, 1, 28, 28), (32, 1, 3, 3)), goal=1.5),
    Row("conv2d", size((128, 32, 26, 26), (32, 32, 3, 3)), goal=1.8),
    Row("conv2d", size((128, 32, 12, 12), (16, 32, 3, 3)), goal=1.0),
    Row("conv2d", size((128, 16, 10, 10), (16, 16, 3, 3)), goal=1.0),
    # forward, input gradient and weight gradient
    Row("conv2d", size((8, 64, 56, 56), (64, 64, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((1, 64, 56, 56), (64, 64, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((8, 128, 28, 28), (128, 128, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((8, 512, 7, 7), (512, 512, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((128, 32, 26, 26), (32, 32, 3, 3)), backward=True, goal=1.9),
    Row("conv2d", size((8, 256, 28, 28), (256, 256, 1, 1)), backward=True, goal=1.1),
    Row("conv2d", size((8, 128, 56, 56), (256, 128, 3, 3), stride=2, padding=1), backward=True, goal=1.1),
]
TORCH = {} if torch is None else {"conv2d": torch.nn.functional.conv2d}
