"""Interpolation to twice the size, as decoders and feature pyramids do it."""

from bench.row import Row, torch

DOUBLE = {"shape": (8, 64, 56, 56), "scale_factor": 2}

ROWS = [
    Row(f"interpolate_{mode}", DOUBLE, backward=backward, goal=1.0 if backward else 1.3)
    for backward in (False, True)
    for mode in ("nearest", "bilinear")
]
TORCH = {} if torch is None else {
    "interpolate_nearest": torch.nn.functional.interpolate,
    "interpolate_bilinear": lambda x, **a: torch.nn.functional.interpolate(x, mode="bilinear", **a),
}  # fmt: skip
