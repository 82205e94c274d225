"""Pooling to a size: global, sizes that divide, and sizes that do not."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

ROWS = [
    Row(f"adaptive_{kind}_pool2d", {"shape": SHAPE, "output_size": size}, backward=backward,
        goal=(1.1 if size == 1 else 1.3) if kind == "avg" and not backward else 1.0)  # 1: one read, as a sum is
    for kind, sizes in (("avg", (1, 7, 6)), ("max", (7, 6)))
    for size in sizes
    for backward in (False, True)
]  # fmt: skip
TORCH = {} if torch is None else {
    "adaptive_avg_pool2d": torch.nn.functional.adaptive_avg_pool2d,
    "adaptive_max_pool2d": lambda x, **a: torch.nn.functional.adaptive_max_pool2d(x, **a, return_indices=True),
}  # fmt: skip
