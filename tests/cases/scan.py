"""Running sums, products, extremes and logarithms along an axis."""

import numpy as np

import fastdl
from fastdl.testing import BadCall, OpCase

SIZES = [
    {"shape": (7,), "dim": 0},
    {"shape": (3, 40), "dim": 1},
    {"shape": (5, 4, 17), "dim": 1},
    {"shape": (6, 2000), "dim": 0},
    {"shape": (2, 0), "dim": 1},
    {"shape": (4, 1), "dim": -1},
    {"shape": (3, 1000), "dim": 1},
    {"shape": (2, 9000), "dim": 1},
    {"shape": (1, 5001), "dim": 1},
    {"shape": (2, 150, 3), "dim": 1},
    {"shape": (70_001,), "dim": 0},
    {"shape": (2, 66_000), "dim": 1},
    {"shape": (), "dim": 0},
]
SHORT = [s for s in SIZES if max(s["shape"], default=1) < 3000]


def numbers(rng, shape, **_):
    return [rng.standard_normal(shape)]


def levels(rng, shape, **_):
    """Many equal numbers, rising here and there."""
    return [np.round(rng.standard_normal(shape) * 2) + np.linspace(0, 3, np.prod(shape, dtype=int)).reshape(shape)]


def special(rng, shape, **_):
    """NaN and infinities among equal numbers, each in a part of the lines."""
    x = np.round(rng.standard_normal(shape))
    for value in (np.nan, np.inf, -np.inf):
        x[rng.random(shape) < 0.3 / shape[-1]] = value
    x[..., 0] = -np.inf
    return [x]


def apart(rng, shape, **_):
    """Exponents from so small to so large that their sum overflows, the large ones first, last and anywhere."""
    return [rng.standard_normal(shape) * rng.choice([1, 30, 1000], (*shape[:-1], 1))]


def infinite(rng, shape, **_):
    """The first numbers minus infinity, and some others; a single infinity."""
    x = rng.standard_normal(shape)
    x[rng.random(shape) < 0.2] = -np.inf
    x[..., 0] = -np.inf
    x.reshape(-1)[x.size // 3] = np.inf
    return [x]


def factors(rng, shape, zeros=0, **_):
    """Of products that neither overflow nor vanish; `zeros` of them 0."""
    x = np.exp(rng.standard_normal(shape) * 0.2) * rng.choice([-1, 1], shape)
    x.reshape(-1)[rng.choice(x.size, zeros, False)] = 0
    return [x]


def moved(x, **_):
    return 2.0 * x.nbytes


def case(name, call, inputs, sizes=SIZES, epsilons=64, **more):
    return OpCase(name, call, inputs, sizes, shape_only=("shape", "zeros"), bytes=moved, epsilons=epsilons, **more)


def ones(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def bad(name):
    call = getattr(fastdl, name)
    return [
        BadCall(lambda d: call(ones(d, 2, 3), 2), IndexError, f"[{name}] expected dim in [-2, 1], got 2"),
        BadCall(lambda d: call(ones(d, 2, 3), "a"), TypeError, f"[{name}] expected an int for dim, got str"),
        BadCall(lambda d: call(None, 0), TypeError, f"[{name}] expected a Tensor for input, got NoneType"),
    ]


def with_zeros(sizes):
    """No zero, one, and so many that lines have several."""
    return [{**s, "zeros": n} for s in sizes if 0 not in s["shape"] for n in {1, np.prod(s["shape"], dtype=int) // 5}]


CASES = [
    case("cumsum", fastdl.cumsum, numbers, bad=bad("cumsum")),
    case("cumprod", fastdl.cumprod, factors, SIZES + with_zeros(SHORT), 512, bad=bad("cumprod"),
         gradcheck_sizes=[SIZES[1], *with_zeros(SIZES[:3])]),
    case("cummax", fastdl.cummax, numbers, bad=bad("cummax")),
    case("cummin", fastdl.cummin, numbers, bad=bad("cummin")),
    case("cummax of equals", fastdl.cummax, levels, gradcheck_sizes=[]),
    case("cummin of equals", fastdl.cummin, levels, gradcheck_sizes=[]),
    case("cummax of special numbers", fastdl.cummax, special, SIZES[1:4] + SIZES[6:9], gradcheck_sizes=[]),
    case("cummin of special numbers", fastdl.cummin, special, SIZES[1:4] + SIZES[6:9], gradcheck_sizes=[]),
    case("logcumsumexp", fastdl.logcumsumexp, numbers, bad=bad("logcumsumexp")),
    # In units of numbers near 1 a logarithm near 2000 is rounded by as much, and the gradient with it.
    case("logcumsumexp of numbers apart", fastdl.logcumsumexp, apart, SIZES[1:], 4096, gradcheck_sizes=SIZES[1:3]),
    case("logcumsumexp of infinities", fastdl.logcumsumexp, infinite, SIZES[1:4] + SIZES[6:9], gradcheck_sizes=[]),
]  # fmt: skip
