"""Batch normalisation: bound by one read and one write of memory."""

from bench.row import Row, torch

SHAPE = {"shape": (8, 64, 112, 112)}

ROWS = [
    Row("batch_norm_eval", SHAPE, goal=1.5),
    Row("batch_norm_train", SHAPE, goal=2.5),
    Row("batch_norm_train", SHAPE, backward=True, goal=1.5),
]
TORCH = {} if torch is None else {
    "batch_norm_eval": torch.nn.functional.batch_norm,
    "batch_norm_train": lambda x, w, b: torch.nn.functional.batch_norm(x, None, None, w, b, True),
}  # fmt: skip
