"""Average pooling: one pass over memory."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)
WINDOWS = [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}]

ROWS = [
    Row("avg_pool2d", {"shape": SHAPE, **window}, backward=backward, goal=1.0 if backward else 1.3)
    for backward in (False, True)
    for window in WINDOWS
]
TORCH = {} if torch is None else {"avg_pool2d": torch.nn.functional.avg_pool2d}
