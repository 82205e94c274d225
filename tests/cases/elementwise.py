"""Arithmetic with broadcasting, comparisons, choice, activations."""

import numpy as np

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase

LENGTHS = [{"shape": (n,)} for n in (5, 0, 1, 7, 15, 16, 17, 33, 1000, 70_001)]
PAIRS = [
    {"a": (3, 5), "b": (3, 5)},
    {"a": (1,), "b": (1,)},
    {"a": (0, 4), "b": (0, 4)},
    {"a": (4, 17), "b": (17,)},
    {"a": (17,), "b": (4, 17)},
    {"a": (2, 3, 5, 4), "b": (3, 1, 1)},
    {"a": (5, 1), "b": (1, 33)},
    {"a": (2, 1, 4), "b": (1, 3, 1)},
    {"a": (), "b": (16,)},
    {"a": (3, 40_001), "b": (3, 1)},
    {"a": (0, 1), "b": (1, 7)},
]


def normal(rng, shape, **_):
    return [rng.standard_normal(shape)]


def positive(rng, shape):
    return [rng.uniform(0.1, 4.0, shape)]


def special(rng, shape):
    """What has no logarithm among numbers that have one."""
    x = rng.uniform(0.1, 4.0, shape)
    x[::5] = np.resize([0.0, -0.0, -1.5, np.inf, -np.inf, np.nan, 3e38, 2e-38], x[::5].shape)
    return [x]


def off_zero(rng, shape):
    """Away from kinks, for gradient checks."""
    return [rng.choice([-1.0, 1.0], shape) * rng.uniform(0.1, 3.0, shape)]


def pair(rng, a, b):
    return [rng.standard_normal(a), rng.choice([-1.0, 1.0], b) * rng.uniform(0.5, 2.0, b)]


def positive_pair(rng, a, b):
    return [rng.uniform(0.2, 3.0, a), rng.uniform(-2.0, 2.0, b)]


def off_whole(rng, shape):
    """Away from whole numbers and halves, where rounding jumps."""
    return [rng.integers(-9, 9, shape) + rng.choice([0.25, 0.7], shape) + rng.uniform(-0.1, 0.1, shape)]


def divisible(rng, a, b):
    """Quotients away from whole numbers."""
    return [rng.integers(-19, 19, a) + 0.5, rng.choice([-2.0, 2.0, 4.0], b) + 0.0]


def nonzero_integers(rng, a, b):
    return [rng.integers(-99, 99, a), rng.choice([-7, -1, 1, 2, 5], b)]


def truths(rng, a, b):
    return [rng.integers(0, 2, a) == 1, rng.integers(0, 2, b) == 1]


def octets(rng, a, b):
    return [rng.integers(0, 256, a).astype(np.uint8), rng.integers(1, 256, b).astype(np.uint8)]


def limits(rng, a, b):
    return [3 * rng.standard_normal(a), rng.uniform(-2, -0.5, b), rng.uniform(0.5, 2, b)]


def integers(rng, a, b):
    return [rng.integers(-9, 9, a), rng.integers(-9, 9, b)]


def within_one(rng, shape):
    return [rng.uniform(-0.95, 0.95, shape)]


def above_one(rng, shape):
    return [rng.uniform(1.1, 9.0, shape)]


def off_poles(rng, shape):
    """A quarter turn to each side of whole half turns, but for its end."""
    return [rng.integers(-5, 6, shape) * np.pi + rng.uniform(-1.4, 1.4, shape)]


def far_apart(rng, a, b):
    return [20 * rng.standard_normal(a), 20 * rng.standard_normal(b)]


def no_numbers(rng, a, b):
    """Every pair of what is no ordinary number, and of some that are."""
    odd = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e38, -1e38, 2e-38])
    return [rng.choice(odd, a), rng.choice(odd, b)]


def wide_powers(rng, shape):
    """Bases of every size, and exponents with which powers of float32 are numbers too."""
    logarithm = np.where(rng.random(shape) < 0.5, rng.uniform(-80, 80, shape), rng.uniform(-1e-2, 1e-2, shape))
    return [np.exp(logarithm), rng.uniform(-80, 80, shape) / logarithm]


def changed(a, b):
    """a += b and the like, where they lie; of one shape, so that b may be both."""
    with fastdl.no_grad():
        first = a.clone().add_(b).sub_(0.5).mul_(b).div_(2).add_(a)
        return first.mul_(3).sub_(b).div_(b).add_(1)


def changed_integers(a, b):
    return a.clone().add_(b).mul_(b).sub_(3).mul_(-2).sub_(b).add_(7)


def surface(device, function, *args, shape=(2, 3), dtype="float32"):
    """A function of the surface, of an array of ones."""
    k = fastdl.backends.get(device)
    return getattr(k, function)(on(device, *shape, dtype=dtype)._array, *args)


def counted(x, function, args):
    """Numbers at equal distances, on the device of x."""
    return getattr(fastdl, function)(*args, dtype=x.dtype, device=x.device)


def triple(rng, a, b, c):
    return [rng.standard_normal(a), rng.standard_normal(b), rng.choice([-1.0, 1.0], c) * rng.uniform(0.6, 2.0, c)]


def unary(name, call, inputs=normal, epsilons=16):
    return OpCase(name, call, inputs, LENGTHS, shape_only=("shape",), epsilons=epsilons,
                  bytes=lambda x, **_: 2 * x.nbytes)  # fmt: skip


def binary(name, call, inputs=pair, epsilons=16, bad=()):
    return OpCase(name, call, inputs, PAIRS, bad, shape_only=("a", "b"), epsilons=epsilons,
                  bytes=lambda a, b, **_: a.nbytes + b.nbytes + max(a.nbytes, b.nbytes))  # fmt: skip


TRIPLES = [
    {"a": (3, 5), "b": (3, 5), "c": (3, 5)},
    {"a": (1,), "b": (1,), "c": (1,)},
    {"a": (0, 4), "b": (0, 4), "c": (0, 4)},
    {"a": (4, 17), "b": (17,), "c": (4, 1)},
    {"a": (), "b": (2, 1, 4), "c": (1, 3, 1)},
    {"a": (33,), "b": (), "c": (5, 1)},
    {"a": (3, 40_001), "b": (3, 40_001), "c": (3, 1)},
]


def ternary(name, call, bad=()):
    return OpCase(name, call, triple, TRIPLES, bad, shape_only=("a", "b", "c"),
                  gradcheck_sizes=TRIPLES[:1] + TRIPLES[3:5],
                  bytes=lambda a, b, c, **_: 2 * max(a.nbytes, b.nbytes, c.nbytes) + b.nbytes + c.nbytes)  # fmt: skip


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


CASES = [
    unary("neg", fastdl.neg),
    unary("square", fastdl.square),
    unary("expm1", fastdl.expm1),
    unary("log1p", fastdl.log1p, positive),
    unary("rsqrt", fastdl.rsqrt, positive),
    unary("reciprocal", fastdl.reciprocal, off_zero),
    unary("sin", fastdl.sin),
    unary("cos", fastdl.cos),
    unary("erf", fastdl.erf),
    unary("erfc", fastdl.erfc),
    unary("tan", fastdl.tan, off_poles, epsilons=64),
    unary("asin", fastdl.asin, within_one),
    unary("acos", fastdl.acos, within_one),
    unary("atan", fastdl.atan),
    unary("sinh", fastdl.sinh),
    unary("cosh", fastdl.cosh),
    unary("asinh", fastdl.asinh),
    unary("acosh", fastdl.acosh, above_one),
    unary("atanh", fastdl.atanh, within_one),
    unary("exp2", fastdl.exp2),
    unary("log2", fastdl.log2, positive),
    unary("log10", fastdl.log10, positive),
    OpCase("functions_of_special_numbers", lambda x: fastdl.cat([f(x) for f in (
        fastdl.tan, fastdl.asin, fastdl.acos, fastdl.atan, fastdl.sinh, fastdl.cosh, fastdl.asinh, fastdl.acosh,
        fastdl.atanh, fastdl.exp2, fastdl.log2, fastdl.log10, fastdl.erfc,
        lambda v: fastdl.nan_to_num(v, 0.5, 9.0, -9.0))]),
        lambda rng, shape: [np.where(np.abs(x := special(rng, shape)[0]) > 1e38, np.inf, x)], LENGTHS,
        shape_only=("shape",), differentiable=[]),
    unary("nan_to_num", lambda x: fastdl.nan_to_num(x, 0.5, 2.0)),
    unary("floor", fastdl.floor, off_whole),
    unary("ceil", fastdl.ceil, off_whole),
    unary("round", fastdl.round, off_whole),
    unary("trunc", fastdl.trunc, off_whole),
    unary("frac", fastdl.frac, off_whole, epsilons=64),
    unary("isfinite", fastdl.isfinite),
    unary("isinf", fastdl.isinf),
    unary("isnan", fastdl.isnan),
    unary("abs", fastdl.abs, off_zero),
    unary("sign", fastdl.sign, off_zero),
    unary("exp", fastdl.exp),
    unary("log", fastdl.log, positive),
    OpCase("log_of_special_numbers", fastdl.log, special, LENGTHS, shape_only=("shape",), differentiable=[]),
    unary("sqrt", fastdl.sqrt, positive),
    unary("relu", F.relu, off_zero),
    unary("sigmoid", F.sigmoid),
    unary("tanh", F.tanh),
    unary("add_scalar", lambda x: 2.5 + x),
    unary("sub_scalar", lambda x: x - 0.75),
    unary("rsub_scalar", lambda x: 0.75 - x),
    unary("mul_scalar", lambda x: x * -3.0),
    unary("div_scalar", lambda x: x / 3.0),
    unary("rdiv_scalar", lambda x: 3.0 / x, off_zero),
    unary("pow_2", lambda x: x**2),
    unary("pow_3", lambda x: x**3),
    unary("pow_half", lambda x: x**0.5, positive, epsilons=32),
    unary("pow_minus_1", lambda x: x**-1, positive, epsilons=32),
    unary("rpow_scalar", lambda x: 2.0**x, epsilons=32),
    unary("clamp", lambda x: fastdl.clamp(x, -0.5, 0.75)),
    OpCase("diff", fastdl.diff, normal, [
        {"shape": (5,)}, {"shape": (3, 40), "dim": 0}, {"shape": (3, 40), "n": 2}, {"shape": (2, 9, 17), "dim": 1},
        {"shape": (3, 70_001)}, {"shape": (4, 1)}, {"shape": (0, 4)}, {"shape": (6, 2), "n": 3, "dim": 0},
    ], [
        BadCall(lambda d: fastdl.diff(on(d, 3), 1.5), TypeError, "[diff] expected an int for n, got float"),
        BadCall(lambda d: surface(d, "diff", 2), IndexError, "[diff] expected an axis from 0 to 1, got 2"),
        BadCall(lambda d: surface(d, "diff", 0, shape=(0, 2)), ValueError,
                "[diff] expected at least one element along the axis, got shape (0, 2)"),
        BadCall(lambda d: surface(d, "diff", 0, dtype="bool"), TypeError,
                "[diff] expected x of dtype float32, float64, int32, int64 or uint8, got bool"),
    ], shape_only=("shape",), bytes=lambda x, **_: 2 * x.nbytes),
    OpCase("ramps", counted, normal, [
        {"shape": (1,), "function": function, "args": args}
        for function, args in (("linspace", (0, 1, 17)), ("linspace", (-3.5, 8, 40_000)), ("linspace", (2, 1, 1)),
                               ("linspace", (5, 5, 4)), ("linspace", (0, 1, 0)), ("linspace", (1e18, -1e18, 70_001)),
                               ("arange", (7,)), ("arange", (0.5, 9, 0.25)), ("arange", (5, -70_000, -3)))
    ], [
        BadCall(lambda d: surface(d, "ramp_", 0.0, 1.0, 0.0, False, dtype="int64"), TypeError,
                "[ramp_] expected x of dtype float32 or float64, got int64"),
        BadCall(lambda d: surface(d, "integer_ramp_", 0, 1), TypeError,
                "[integer_ramp_] expected x of dtype int32 or int64, got float32"),
    ], shape_only=("shape",), differentiable=[], gradcheck_sizes=[]),
    OpCase("integer_ramps", lambda x, args, dtype: fastdl.arange(*args, dtype=dtype, device=x.device), normal, [
        {"shape": (1,), "args": args, "dtype": dtype} for dtype in ("int64", "int32", "uint8")
        for args in ((9,), (3, 100, 7), (70_001,), (2, -40, -1), (-3, 2))
    ], shape_only=("shape",), differentiable=[], gradcheck_sizes=[]),
    OpCase("wide_powers", fastdl.pow, wide_powers, LENGTHS, shape_only=("shape",), differentiable=[],
           gradcheck_sizes=[]),
    OpCase("in_place", changed, pair, [PAIRS[i] for i in (0, 1, 2, 3, 9)], [
        BadCall(lambda d: on(d, 2).add_(on(d, 3, 2)), ValueError,
                "[in-place] expected a result of shape (2,), got (3, 2)"),
        BadCall(lambda d: surface(d, "mul_", on(d, 2, 2, 3)._array), ValueError,
                "[mul_] expected other of a shape that broadcasts to (2, 3), got shape (2, 2, 3)"),
        BadCall(lambda d: surface(d, "sub_", on(d, 3, dtype="int32")._array), TypeError,
                "[sub_] expected other of dtype float32, got int32"),
        BadCall(lambda d: surface(d, "div_", on(d, 3, dtype="int32")._array, dtype="int32"), TypeError,
                "[div_] expected x of dtype float32 or float64, got int32"),
        BadCall(lambda d: surface(d, "sub_scalar_", True, dtype="bool"), TypeError,
                "[sub_scalar_] expected x of dtype float32, float64, int32, int64 or uint8, got bool"),
        BadCall(lambda d: surface(d, "add_scalar_", 0.5, dtype="int64"), TypeError,
                "[add_scalar_] expected an int for an array of dtype int64, got 0.5"),
    ], shape_only=("a", "b"), differentiable=[], gradcheck_sizes=[]),
    OpCase("in_place_integers", changed_integers, integers, [PAIRS[0], PAIRS[3]], shape_only=("a", "b")),
    OpCase("cast", lambda x: x.double().float(), normal, LENGTHS, shape_only=("shape",), gradcheck_sizes=[]),
    binary("add", fastdl.add, bad=[
        BadCall(lambda d: on(d, 2, 3) + on(d, 4), ValueError,
                "[add] expected shapes that broadcast, got (2, 3) and (4,)"),
        BadCall(lambda d: on(d, 2) + None, TypeError, "[add] expected a Tensor or a number, got NoneType"),
        BadCall(lambda d: on(d, 2) + "a", TypeError, "[add] expected a Tensor or a number, got str"),
        BadCall(lambda d: on(d, 2) + np.array([None]), TypeError,
                "[add] expected an array of dtype bool, uint8, int32, int64, float32, float64, got object"),
    ]),
    binary("sub", fastdl.sub),
    binary("mul", fastdl.mul),
    binary("div", fastdl.div),
    binary("pow", fastdl.pow, positive_pair, epsilons=64),
    binary("floor_divide", fastdl.floor_divide, divisible),
    binary("remainder", fastdl.remainder, divisible, bad=[
        BadCall(lambda d: on(d, 2, dtype="int64") % 0, ValueError,
                "[remainder] expected integer divisors other than 0, got 0"),
        BadCall(lambda d: on(d, 2, dtype="bool") % on(d, 2, dtype="bool"), TypeError,
                "[remainder] expected a of dtype float32, float64, int32, int64 or uint8, got bool"),
    ]),
    binary("fmod", fastdl.fmod, divisible, bad=[
        BadCall(lambda d: fastdl.fmod(on(d, 2, dtype="int64"), 0), ValueError,
                "[fmod] expected integer divisors other than 0, got 0"),
    ]),
    binary("fmod_integers", fastdl.fmod, nonzero_integers),
    binary("fmod_octets", fastdl.fmod, octets),
    binary("atan2", fastdl.atan2, bad=[
        BadCall(lambda d: fastdl.atan2(on(d, 2), 1.0), TypeError, "[atan2] expected a Tensor for other, got float"),
    ]),
    binary("hypot", fastdl.hypot),
    binary("copysign", fastdl.copysign, epsilons=32),  # a sum of many signs for an operand of one element
    binary("logaddexp", fastdl.logaddexp, far_apart),
    OpCase("pairs_of_special_numbers", lambda a, b: fastdl.cat([f(a, b).reshape(-1) for f in (
        fastdl.atan2, fastdl.hypot, fastdl.copysign, fastdl.logaddexp, fastdl.fmod)]),
        no_numbers, PAIRS[:6] + PAIRS[9:10], shape_only=("a", "b"), differentiable=[]),
    ternary("addcmul", lambda a, b, c: fastdl.addcmul(a, b, c, value=-0.5), bad=[
        BadCall(lambda d: fastdl.addcmul(on(d, 2), on(d, 2), on(d, 3)), ValueError,
                "[addcmul] expected shapes that broadcast, got (2,) and (3,)"),
        BadCall(lambda d: fastdl.addcmul(on(d, 2), on(d, 2), 3), TypeError,
                "[addcmul] expected a Tensor for tensor2, got int"),
        BadCall(lambda d: fastdl.addcmul(on(d, 2), on(d, 2), on(d, 2), value="1"), TypeError,
                "[addcmul] expected a number for value, got str"),
    ]),
    ternary("addcdiv", lambda a, b, c: fastdl.addcdiv(a, b, c, value=3)),
    ternary("lerp", fastdl.lerp),
    binary("lerp_scalar", lambda a, b: fastdl.lerp(a, b, 0.75), bad=[
        BadCall(lambda d: fastdl.lerp(on(d, 2), on(d, 2), "a"), TypeError,
                "[lerp] expected a Tensor for weight, got str"),
    ]),
    binary("floor_divide_integers", fastdl.floor_divide, nonzero_integers),
    binary("remainder_integers", fastdl.remainder, nonzero_integers),
    binary("floor_divide_octets", fastdl.floor_divide, octets),
    binary("remainder_octets", fastdl.remainder, octets),
    binary("add_octets", fastdl.add, octets),
    binary("mul_octets", fastdl.mul, octets),
    binary("maximum_octets", fastdl.maximum, octets),
    binary("add_truths", fastdl.add, truths),
    binary("mul_truths", fastdl.mul, truths),
    binary("bitwise_and", fastdl.bitwise_and, integers, bad=[
        BadCall(lambda d: on(d, 2) & 1, TypeError,
                "[bitwise_and] expected a of dtype int32, int64, uint8 or bool, got float32"),
        BadCall(lambda d: ~on(d, 2), TypeError,
                "[bitwise_not] expected input of dtype int32, int64, uint8 or bool, got float32"),
        BadCall(lambda d: on(d, 2, dtype="bool") - on(d, 2, dtype="bool"), TypeError,
                "[sub] expected a of dtype float32, float64, int32, int64 or uint8, got bool"),
    ]),
    binary("bitwise_or_octets", fastdl.bitwise_or, octets),
    binary("bitwise_xor_truths", fastdl.bitwise_xor, truths),
    binary("logical_and", fastdl.logical_and, integers),
    OpCase("clamp_by_tensors", fastdl.clamp, limits, PAIRS[:4] + PAIRS[5:6], shape_only=("a", "b")),
    binary("maximum", fastdl.maximum),
    binary("minimum", fastdl.minimum),
    binary("add_integers", fastdl.add, integers),
    binary("mul_integers", fastdl.mul, integers),
    binary("maximum_integers", fastdl.maximum, integers),
    binary("eq", fastdl.eq, integers),
    binary("ne", fastdl.ne, integers),
    binary("lt", fastdl.lt, integers),
    binary("le", fastdl.le),
    binary("gt", fastdl.gt),
    binary("ge", fastdl.ge, integers),
    binary("where", lambda a, b: fastdl.where(a > b, a, b)),
    OpCase("activation_errors", F.relu, off_zero, [{"shape": (3,)}], shape_only=("shape",), bad=[
        BadCall(lambda d: F.relu(None), TypeError, "[relu] expected a Tensor for input, got NoneType"),
        BadCall(lambda d: F.relu(on(d, 2, dtype="int64")), TypeError,
                "[relu] expected x of dtype float32 or float64, got int64"),
        BadCall(lambda d: fastdl.where(on(d, 2), on(d, 2), on(d, 2)), TypeError,
                "[where] expected a bool Tensor for condition, got float32"),
    ]),
]  # fmt: skip
