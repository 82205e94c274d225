"""Local response normalisation: one read and one write of memory."""

from bench.row import Row, torch

ROWS = [
    Row("local_response_norm", {"shape": (8, 64, 112, 112), "size": 5}, goal=20),
    Row("local_response_norm", {"shape": (8, 64, 112, 112), "size": 5}, backward=True, goal=15),
]
TORCH = {} if torch is None else {"local_response_norm": torch.nn.functional.local_response_norm}
