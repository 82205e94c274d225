"""Sums, products, means and variances of everything, of channels, along rows and along columns: bound by reading."""

from bench.row import Row, torch

PLANES, MATRIX = (8, 64, 112, 112), (6400, 1000)

ROWS = [
    Row("sum", {"shape": PLANES, "dim": None}, goal=1.1),
    Row("sum", {"shape": PLANES, "dim": (0, 2, 3)}, goal=1.1),
    Row("sum", {"shape": MATRIX, "dim": 1}, goal=1.1),
    Row("sum", {"shape": MATRIX, "dim": 0}, goal=1.1),
    Row("sum", {"shape": (65536, 64), "dim": 1}, goal=1.1),
    Row("prod", {"shape": PLANES, "dim": None}, goal=1.1),
    Row("prod", {"shape": MATRIX, "dim": 1}, goal=1.1),
    Row("prod", {"shape": MATRIX, "dim": 0}, goal=1.1),
    Row("prod", {"shape": MATRIX, "dim": 1}, goal=1.1, backward=True),
    Row("amax", {"shape": (65536, 64), "dim": 1}, goal=1.1),
    Row("amax", {"shape": (401408, 16), "dim": 1}, goal=1.1),
    Row("mean", {"shape": PLANES, "dim": (0, 2, 3)}, goal=1.1),
    Row("var", {"shape": PLANES, "dim": (0, 2, 3)}, goal=1.1),
    Row("var", {"shape": MATRIX, "dim": 1}, goal=1.1),
    Row("std", {"shape": MATRIX, "dim": 0}, goal=1.1),
    Row("histc", {"shape": PLANES, "bins": 100, "min": -3, "max": 3}, goal=1.0, channels_last=False),
]
TORCH = {} if torch is None else {
    "sum": lambda x, dim: x.sum() if dim is None else x.sum(dim),
    "prod": lambda x, dim: x.prod() if dim is None else x.prod(dim),
    "amax": torch.amax, "mean": torch.mean, "var": torch.var, "std": torch.std,
    "histc": torch.histc,
}  # fmt: skip
NUMPY = {"sum": lambda x, dim: x.sum(axis=dim)}
