"""Activations with attributes."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase

SIZES = [{"shape": (n,)} for n in (6, 0, 1, 7, 15, 16, 17, 33, 70_001)] + [{"shape": (2, 3, 5)}]


def off_kinks(rng, shape, **_):
    """Away from 0, 1, 3 and 6, where some have kinks, for gradient checks."""
    x = rng.uniform(-7.0, 7.0, shape)
    near = abs(x - x.round()) < 0.05
    return [x + near * 0.2]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def case(name, call, attributes=({},), bad=(), epsilons=16):
    sizes = [size | a for a in attributes for size in (SIZES if a is attributes[0] else SIZES[-2:])]
    return OpCase(name, call, off_kinks, sizes, bad, shape_only=("shape",), epsilons=epsilons,
                  bytes=lambda x, **_: 2 * x.nbytes)  # fmt: skip


def in_place(x, **attributes):
    y = x * 1.0
    return F.leaky_relu(y, **attributes, inplace=True) + 0.0 * y


def needs_a_leaf(device):
    F.elu(fastdl.ones(2, device=device, requires_grad=True), inplace=True)


CASES = [
    case("leaky_relu", F.leaky_relu, [{}, {"negative_slope": 0.3}], [
        BadCall(lambda d: F.leaky_relu(None), TypeError, "[leaky_relu] expected a Tensor for input, got NoneType"),
        BadCall(lambda d: F.leaky_relu(on(d, 2), "a"), TypeError,
                "[leaky_relu] expected a number for negative_slope, got str"),
        BadCall(lambda d: F.leaky_relu(on(d, 2, dtype="int64")), TypeError,
                "[leaky_relu] expected input of dtype float32 or float64, got int64"),
    ]),
    case("elu", F.elu, [{}, {"alpha": 0.5}], [
        BadCall(needs_a_leaf, RuntimeError,
                "[elu] expected an input inside the graph for inplace, got a leaf that requires a gradient"),
    ]),
    case("selu", F.selu),
    case("softplus", F.softplus, [{}, {"beta": 2.0, "threshold": 3.0}]),
    case("logsigmoid", F.logsigmoid),
    case("gelu", F.gelu, [{}, {"approximate": "tanh"}], [
        BadCall(lambda d: F.gelu(on(d, 2), "erf"), ValueError,
                "[gelu] expected approximate 'none' or 'tanh', got 'erf'"),
    ]),
    case("silu", F.silu),
    case("hardtanh", F.hardtanh, [{}, {"min_val": -2.5, "max_val": 0.5}], [
        BadCall(lambda d: F.hardtanh(on(d, 2), 2, 1), ValueError,
                "[hardtanh] expected min_val of at most max_val, got 2 and 1"),
    ]),
    case("relu6", F.relu6),
    case("hardsigmoid", F.hardsigmoid),
    case("hardswish", F.hardswish),
    case("celu", F.celu, [{}, {"alpha": 0.5}]),
    case("mish", F.mish),
    OpCase("mish_far_out", F.mish, lambda rng, shape: [rng.uniform(-90.0, 90.0, shape)], SIZES, shape_only=("shape",)),
    case("softsign", F.softsign),
    OpCase("tanhshrink", F.tanhshrink,  # near 0 the difference cancels
           lambda rng, shape: [rng.choice([-1.0, 1.0], shape) * rng.uniform(1.0, 7.0, shape)], SIZES,
           shape_only=("shape",)),
    case("softshrink", F.softshrink, [{}, {"lambd": 1.5}]),
    case("hardshrink", F.hardshrink, [{}, {"lambd": 1.5}]),
    case("threshold", lambda x, low: F.threshold(x, low, -0.5), [{"low": 0.5}, {"low": -2.5}]),
    OpCase("glu", F.glu, off_kinks,
           [{"shape": (2, 3, 10), "dim": -1}, {"shape": (2, 4, 3), "dim": 1}, {"shape": (6,), "dim": 0},
            {"shape": (0, 4), "dim": 1}, {"shape": (3, 0), "dim": 1}, {"shape": (5, 66), "dim": 1},
            {"shape": (2, 64, 33), "dim": 1}, {"shape": (1, 140_002), "dim": 1}],
           [BadCall(lambda d: F.glu(on(d, 3)), ValueError,
                    "[glu] expected an even number of elements along dim -1, got shape (3,)"),
            BadCall(lambda d: F.glu(None), TypeError, "[glu] expected a Tensor for input, got NoneType")],
           shape_only=("shape",), bytes=lambda x, **_: 3 * x.nbytes // 2),
    case("leaky_relu_in_place", in_place),
    OpCase("prelu", F.prelu,
           lambda rng, shape, channels: [*off_kinks(rng, shape), rng.uniform(0.1, 0.9, channels)],
           [{"shape": (2, 3, 5), "channels": 3}, {"shape": (4, 7), "channels": 1}, {"shape": (5,), "channels": 1},
            {"shape": (0, 2), "channels": 2}],
           [BadCall(lambda d: F.prelu(on(d, 2, 3), on(d, 2)), ValueError,
                    "[prelu] expected weight of shape (1,) or (3,), got shape (2,)"),
            BadCall(lambda d: F.prelu(on(d, 2, 3), on(d, 3, dtype="float64")), TypeError,
                    "[prelu] expected weight of dtype float32, got float64")],
           shape_only=("shape", "channels")),
]  # fmt: skip
