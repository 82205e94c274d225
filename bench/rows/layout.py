"""Moving elements: bound by memory, if tiles fit the caches and rows are written in whole lines."""

import numpy as np

from bench.row import Row, torch

IMAGES = (8, 64, 112, 112)
MODES = ("reflect", "replicate", "circular")

ROWS = [
    Row("permute", {"shape": (2048, 2048), "dims": (1, 0)}, goal=1.0),
    Row("permute", {"shape": (8, 64, 112, 112), "dims": (0, 2, 3, 1)}, goal=1.0, channels_last=False),
    *(Row("flip", {"shape": IMAGES, "dims": dims}, goal=1.0, channels_last=False) for dims in ((3,), (2,), (2, 3))),
    *(Row("rot90", {"shape": shape, "k": 1, "dims": (0, 1)}, goal=1.0) for shape in ((2048, 2048), (512, 384))),
    Row("windows", {"shape": (64, 20_000), "dim": 1, "size": 400, "step": 160}, goal=1.0),
    Row("roll", {"shape": IMAGES, "shifts": (5, -7), "dims": (2, 3)}, goal=1.0, channels_last=False),
    Row("roll", {"shape": IMAGES, "shifts": 77}, goal=1.0, channels_last=False),
    Row("tril", {"shape": (2048, 2048)}, goal=1.0, channels_last=False),
    Row("triu", {"shape": IMAGES}, goal=1.0, channels_last=False),
    *(Row(f"pad_{mode}", {"shape": IMAGES, "pad": (n,) * 4}, backward, goal=1.0, channels_last=False)
      for mode in MODES for n in (1, 3) for backward in (False, True)),
]  # fmt: skip
TORCH = {
    "permute": lambda x, dims: x.permute(dims).contiguous(),
    "flip": lambda x, dims: torch.flip(x, dims),
    "rot90": lambda x, k, dims: torch.rot90(x, k, dims),
    "windows": lambda x, dim, size, step: x.unfold(dim, size, step).contiguous(),
    "roll": lambda x, shifts, dims=None: torch.roll(x, shifts, dims),
    "tril": lambda x: torch.tril(x),
    "triu": lambda x: torch.triu(x),
    **{f"pad_{mode}": lambda x, pad, mode=mode: torch.nn.functional.pad(x, pad, mode) for mode in MODES},
}
NUMPY = {
    "permute": lambda x, dims: np.ascontiguousarray(x.transpose(dims)),
    "flip": lambda x, dims: np.ascontiguousarray(np.flip(x, dims)),
    "roll": lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    "tril": np.tril,
    "triu": np.triu,
}
