"""Dropout: bound by the generator's multiplications, then by memory."""

from bench.row import Row, torch

ROWS = [
    Row("dropout", {"shape": (128, 32, 24, 24), "p": 0.25}, goal=1.0),
    Row("dropout", {"shape": (128, 32, 24, 24), "p": 0.25}, backward=True, goal=1.0),
]
TORCH = {} if torch is None else {"dropout": lambda x, p: torch.nn.functional.dropout(x, p, training=True)}
