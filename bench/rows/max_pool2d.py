"""Max pooling: one pass over memory."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

ROWS = [
    Row("max_pool2d", {"shape": SHAPE, "kernel_size": 2}, goal=1.3),
    Row("max_pool2d", {"shape": SHAPE, "kernel_size": 2}, backward=True, goal=1.0),
    Row("max_pool2d", {"shape": SHAPE, "kernel_size": 3, "stride": 2, "padding": 1}, goal=1.3),
    Row("max_pool2d", {"shape": SHAPE, "kernel_size": 3, "stride": 2, "padding": 1}, backward=True, goal=1.0),
    Row("max_pool2d_with_indices", {"shape": SHAPE, "kernel_size": 2}, goal=1.3),
    Row("max_pool2d_with_indices", {"shape": SHAPE, "kernel_size": 3, "stride": 2, "padding": 1}, goal=1.3),
    Row("max_pool2d", {"shape": (128, 32, 24, 24), "kernel_size": 2}, backward=True, goal=1.0),
]
TORCH = {} if torch is None else {
    "max_pool2d": torch.nn.functional.max_pool2d,
    "max_pool2d_with_indices": lambda x, **a: torch.nn.functional.max_pool2d(x, **a, return_indices=True),
}  # fmt: skip
