"""Arrays of random numbers; PyTorch's generator is a Mersenne Twister."""

from functools import partial

import fastdl
from bench.row import Row, torch


def _row(name, call, n, bytes):
    """`call(kit)`."""

    def make():
        kits = {"fastdl": fastdl} if torch is None else {"fastdl": fastdl, "PyTorch": torch}
        return {label: partial(call, kit) for label, kit in kits.items()}

    return Row(name, {"n": n}, goal=1.0, make=make, bytes=float(bytes * n))


ROWS = [
    *(_row("rand", lambda kit, n=n: kit.rand(n), n, 4) for n in (1000, 100_000, 10_000_000)),
    *(_row("randn", lambda kit, n=n: kit.randn(n), n, 4) for n in (1000, 100_000, 10_000_000)),
    _row("rand, float64", lambda kit: kit.rand(1_000_000, dtype=kit.float64), 1_000_000, 8),
    _row("randn, float64", lambda kit: kit.randn(1_000_000, dtype=kit.float64), 1_000_000, 8),
    _row("randint", lambda kit: kit.randint(0, 1000, (1_000_000,)), 1_000_000, 8),
    _row("randperm", lambda kit: kit.randperm(100_000), 100_000, 8),
    _row("bernoulli_", lambda kit: kit.empty(1_000_000).bernoulli_(0.3), 1_000_000, 4),
    _row("trunc_normal_", lambda kit: kit.nn.init.trunc_normal_(kit.empty(1_000_000)), 1_000_000, 4),
    _row("multinomial", lambda kit: kit.multinomial(kit.ones(64, 1000), 10), 64_000, 4),
]
