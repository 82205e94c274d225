"""Unpooling: the output is written once."""

from bench.row import Row, torch
from tests.cases.max_unpool2d import case

UNPOOL = case((8, 64, 112, 112), kernel_size=2)
NAILS = {"shape": (8, 64, 56, 56), "kernel_size": 2}


def nails(x, kernel_size):
    n, c, h, w = x.shape
    out = torch.zeros((n, c, h * kernel_size, w * kernel_size))
    out[:, :, ::kernel_size, ::kernel_size] = x
    return out


ROWS = [
    Row("max_unpool2d", UNPOOL, goal=1.5),
    Row("max_unpool2d", UNPOOL, backward=True, goal=1.0),
    Row("bed_of_nails_unpool2d", NAILS, goal=1.3),
    Row("bed_of_nails_unpool2d", NAILS, backward=True, goal=1.0),
]
TORCH = {} if torch is None else {
    "max_unpool2d": torch.nn.functional.max_unpool2d,
    "bed_of_nails_unpool2d": nails,
}  # fmt: skip
