"""Running sums, products, extremes and logarithms, along rows, along columns and along one line."""

from bench.row import Row, torch

SQUARE, LINE, PLANES = (1000, 1000), (1_000_000,), (64, 1000, 100)

ROWS = [
    Row("cumsum", {"shape": SQUARE, "dim": 1}, goal=1.1),
    Row("cumsum", {"shape": SQUARE, "dim": 0}, goal=1.1),
    Row("cumsum", {"shape": LINE, "dim": 0}, goal=1.1),
    *(
        Row(name, {"shape": shape, "dim": dim}, goal=1.1)
        for name in ("cumprod", "cummax", "logcumsumexp")
        for shape, dim in ((SQUARE, 1), (SQUARE, 0), (LINE, 0), (PLANES, 1))
    ),
    *(
        Row(name, {"shape": SQUARE, "dim": dim}, goal=1.1, backward=True)
        for name in ("cumsum", "cumprod", "cummax", "logcumsumexp")
        for dim in (1, 0)
    ),
]
TORCH = {} if torch is None else {
    name: getattr(torch, name) for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
}  # fmt: skip
