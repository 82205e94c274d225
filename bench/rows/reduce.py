"""Sums over everything, over all but channels, along rows and along columns: bound by reading."""

from bench.row import Row

ROWS = [
    Row("sum", {"shape": (8, 64, 112, 112), "dim": None}, goal=1.1),
    Row("sum", {"shape": (8, 64, 112, 112), "dim": (0, 2, 3)}, goal=1.1),
    Row("sum", {"shape": (6400, 1000), "dim": 1}, goal=1.1),
    Row("sum", {"shape": (6400, 1000), "dim": 0}, goal=1.1),
]
TORCH = {"sum": lambda x, dim: x.sum() if dim is None else x.sum(dim)}
NUMPY = {"sum": lambda x, dim: x.sum(axis=dim)}
