"""Layer normalisation: one read and one write of memory."""

from bench.row import Row, torch

ROWS = [
    Row("layer_norm", {"shape": (4096, 1024)}, goal=1.1),
    Row("layer_norm", {"shape": (4096, 1024)}, backward=True, goal=1.1),
]
TORCH = {} if torch is None else {"layer_norm": lambda x, w, b: torch.nn.functional.layer_norm(x, w.shape, w, b)}
