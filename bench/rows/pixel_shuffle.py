"""Pixel shuffle: a copy."""

from bench.row import Row, torch

SHUFFLE = {"shape": (8, 256, 56, 56), "upscale_factor": 2}
UNSHUFFLE = {"shape": (8, 64, 112, 112), "downscale_factor": 2}

ROWS = [
    Row("pixel_shuffle", SHUFFLE, goal=1.3),
    Row("pixel_shuffle", SHUFFLE, backward=True, goal=1.0),
    Row("pixel_unshuffle", UNSHUFFLE, goal=1.3),
]
TORCH = {} if torch is None else {
    "pixel_shuffle": torch.nn.functional.pixel_shuffle,
    "pixel_unshuffle": torch.nn.functional.pixel_unshuffle,
}  # fmt: skip
