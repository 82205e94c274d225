"""Losses of 25.7 MB of pairs: one read of input and target, one number out; backward one more array."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

ROWS = [
    Row(name, {"shape": SHAPE, "reduction": "mean"}, backward=backward, goal=goal)
    for name in ("mse_loss", "smooth_l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
    for backward, goal in ((False, 1.5), (True, 1.1))
]
TORCH = {} if torch is None else {row.case: getattr(torch.nn.functional, row.case) for row in ROWS}
