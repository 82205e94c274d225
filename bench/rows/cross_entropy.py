"""Cross-entropy of logits against class indices: one read of the logits."""

from bench.row import Row, torch

ROWS = [
    Row("cross_entropy", {"shape": (128, 32000)}, goal=2.0),
    Row("cross_entropy", {"shape": (128, 32000)}, backward=True, goal=1.0),
    Row("cross_entropy", {"shape": (128, 10)}, goal=1.0),
]
TORCH = {} if torch is None else {"cross_entropy": torch.nn.functional.cross_entropy}
