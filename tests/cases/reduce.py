"""Sums, means, extremes over axes."""

import numpy as np

import fastdl
from fastdl.testing import BadCall, OpCase

SIZES = [
    {"shape": (3, 5), "dim": None},
    {"shape": (3, 5), "dim": 1},
    {"shape": (3, 5), "dim": 0},
    {"shape": (17,), "dim": 0},
    {"shape": (2, 3, 4, 5), "dim": (0, 2, 3)},
    {"shape": (2, 3, 4, 5), "dim": (1, 3)},
    {"shape": (2, 3, 33), "dim": -1},
    {"shape": (37, 16), "dim": 1},
    {"shape": (19, 64), "dim": 1},
    {"shape": (33, 145), "dim": 1},
    {"shape": (70, 130), "dim": 0},
    {"shape": (2, 70_001), "dim": 1},
    {"shape": (19, 605), "dim": 1},
    {"shape": (3, 2, 6007), "dim": (0, 2)},
    {"shape": (100_003,), "dim": None},
    {"shape": (1, 1), "dim": (0, 1)},
    {"shape": (), "dim": None},
]
PRODUCTS = [s for s in SIZES if not isinstance(s["dim"], tuple)] + [
    {"shape": (7, 300), "dim": 0},
    {"shape": (3, 40, 9), "dim": 1},
    {"shape": (2, 40_000), "dim": 1},
    {"shape": (0, 3), "dim": 0},
]
EMPTY = [{"shape": (0, 3), "dim": 0}, {"shape": (3, 0), "dim": None}]


def normal(rng, shape, dim):
    return [rng.standard_normal(shape)]


def middles(rng, shape, **_):
    """In the middle of bins of a half, and some that are not in any."""
    x = rng.integers(-3, 12, shape) * 0.5 + 0.25
    x[..., :1] = np.nan
    return [x]


def whole(rng, shape, **_):
    return [rng.integers(0, 40, shape)]


def factors(rng, shape, dim, zeros=0):
    """Of products that neither overflow nor vanish; `zeros` of them 0."""
    x = np.exp(rng.standard_normal(shape) * 0.02) * rng.choice([-1, 1], shape)
    x.reshape(-1)[rng.choice(x.size, zeros, False)] = 0
    return [x]


def case(name, call, sizes=SIZES, epsilons=64, bad=(), differentiable=None):
    return OpCase(name, call, normal, sizes, bad, shape_only=("shape",), epsilons=epsilons,
                  differentiable=differentiable, bytes=lambda x, **_: x.nbytes)  # fmt: skip


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


CASES = [
    case("sum", fastdl.sum, SIZES + EMPTY, bad=[
        BadCall(lambda d: on(d, 2, 3).sum(2), IndexError, "[sum] expected dim in [-2, 1], got 2"),
        BadCall(lambda d: on(d, 2, 3).sum((1, 1)), ValueError, "[sum] expected each dim once, got (1, 1)"),
        BadCall(lambda d: on(d, 2, 3).sum("a"), TypeError, "[sum] expected an int for dim, got str"),
        BadCall(lambda d: fastdl.sum(None), TypeError, "[sum] expected a Tensor for input, got NoneType"),
    ]),
    case("sum_keepdim", lambda x, dim: fastdl.sum(x, dim, True)),
    case("mean", fastdl.mean, bad=[
        BadCall(lambda d: on(d, 2, dtype="int64").mean(), TypeError,
                "[mean] expected input of dtype float32 or float64, got int64"),
    ]),
    case("var", fastdl.var, [s for s in SIZES if s["shape"] not in ((1, 1), ())], epsilons=256, bad=[
        BadCall(lambda d: on(d, 2, dtype="int64").var(), TypeError,
                "[var] expected input of dtype float32 or float64, got int64"),
    ]),
    case("var_keepdim", lambda x, dim: fastdl.var(x, dim, 0, True), epsilons=256),
    case("std", fastdl.std, [s for s in SIZES if s["shape"] not in ((1, 1), ())], epsilons=256),
    OpCase("prod", fastdl.prod, factors, PRODUCTS + [{**s, "zeros": n} for s in PRODUCTS[:12] for n in (1, 2, 4)],
           shape_only=("shape", "zeros"), epsilons=256, bytes=lambda x, **_: x.nbytes,
           gradcheck_sizes=[
               PRODUCTS[1], *({"shape": (3, 5), "dim": d, "zeros": n} for d in (None, 0, 1) for n in (1, 4)),
           ],
           bad=[
               BadCall(lambda d: on(d, 2, 3).prod(2), IndexError, "[prod] expected dim in [-2, 1], got 2"),
               BadCall(lambda d: on(d, 2, 3).prod((0, 1)), TypeError, "[prod] expected an int for dim, got tuple"),
               BadCall(lambda d: fastdl.prod(None), TypeError, "[prod] expected a Tensor for input, got NoneType"),
           ]),
    case("amax", fastdl.amax, bad=[
        BadCall(lambda d: on(d, 0, 3).amax(), ValueError,
                "[amax] expected at least one element along the axes, got shape (0, 3)"),
    ]),
    case("amin", fastdl.amin),
    case("max", lambda x, dim: fastdl.max(x, dim), [s for s in SIZES if isinstance(s["dim"], int)]),
    case("min", lambda x, dim: fastdl.min(x, dim), [s for s in SIZES if isinstance(s["dim"], int)]),
    OpCase("histc", fastdl.histc, middles, [
        {"shape": (33,), "bins": 8, "min": 0, "max": 4}, {"shape": (1,), "bins": 3, "min": -1, "max": 2},
        {"shape": (3, 70_001), "bins": 5, "min": -1.5, "max": 6},
        {"shape": (2, 515), "bins": 9000, "min": 0, "max": 45},
        {"shape": (0,), "bins": 4, "min": 0, "max": 1},
    ], [
        BadCall(lambda d: fastdl.histc(on(d, 3), 0), ValueError, "[histc] expected bins of at least 1, got 0"),
        BadCall(lambda d: fastdl.histc(on(d, 3), 2.5), TypeError, "[histc] expected an int for bins, got float"),
        BadCall(lambda d: fastdl.histc(on(d, 3), 2, 0, float("inf")), ValueError,
                "[histc] expected min <= max, finite, got 0.0 and inf"),
        BadCall(lambda d: fastdl.backends.get(d).histogram(on(d, 3)._array, 2, 1.0, 1.0), ValueError,
                "[histogram] expected low < high, got 1 and 1"),
        BadCall(lambda d: fastdl.backends.get(d).histogram(on(d, 3)._array, 0, 0.0, 1.0), ValueError,
                f"[histogram] expected bins from 1 to {2**31 - 2}, got 0"),
    ], shape_only=("shape",), differentiable=[], gradcheck_sizes=[], bytes=lambda x, **_: x.nbytes),
    OpCase("bincount", lambda x, minlength=0: fastdl.bincount(x, minlength=minlength), whole, [
        {"shape": (7,)}, {"shape": (200_003,), "minlength": 50}, {"shape": (600,), "minlength": 5000},
        {"shape": (0,), "minlength": 2},
    ], [
        BadCall(lambda d: fastdl.bincount(on(d, 3)), ValueError,
                "[bincount] expected a vector of integers of at least 0, got float32 of (3,)"),
        BadCall(lambda d: fastdl.bincount(on(d, 3, dtype="int64"), minlength=-1), ValueError,
                "[bincount] expected minlength of at least 0, got -1"),
        BadCall(lambda d: fastdl.bincount(fastdl.tensor([2**40], device=d)), ValueError,
                f"[bincount] expected numbers and minlength below 2^31 - 2, got {2**40}"),
    ], shape_only=("shape",)),
    case("argmax", lambda x, dim: fastdl.argmax(x, dim), [s for s in SIZES if not isinstance(s["dim"], tuple)], bad=[
        BadCall(lambda d: on(d, 0, 3).argmax(), ValueError,
                "[argmax] expected at least one element along the axis, got shape (0,)"),
    ]),
    case("argmin", lambda x, dim: fastdl.argmin(x, dim), [s for s in SIZES if not isinstance(s["dim"], tuple)]),
]  # fmt: skip
