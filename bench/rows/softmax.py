"""Softmax over long rows and over short ones."""

from bench.row import Row, torch

ROWS = [
    Row("softmax", {"shape": (128, 32000), "dim": 1}, goal=1.1),
    Row("softmax", {"shape": (4096, 64), "dim": 1}, goal=1.1),
    Row("log_softmax", {"shape": (4096, 64), "dim": 1}, goal=1.1),
    Row("softmax", {"shape": (128, 10), "dim": 1}, goal=1.0),
    Row("softmax", {"shape": (128, 32000), "dim": 1}, backward=True, goal=1.0),
    Row("log_softmax", {"shape": (128, 32000), "dim": 1}, goal=1.1),
]
TORCH = {} if torch is None else {"softmax": torch.softmax, "log_softmax": torch.log_softmax}
