"""permute, broadcast, concatenate, slice, pad."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def normal(rng, shape, **_):
    return [rng.standard_normal(shape)]


def several(rng, shapes, **_):
    return [rng.standard_normal(s) for s in shapes]


def copied(x, **_):
    return 2 * x.nbytes


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


CASES = [
    OpCase("permute", lambda x, dims: x.permute(dims), normal, [
        {"shape": (3, 5), "dims": (1, 0)},
        {"shape": (17, 33), "dims": (1, 0)},
        {"shape": (130, 70), "dims": (1, 0)},
        {"shape": (2, 3, 4), "dims": (2, 0, 1)},
        {"shape": (2, 3, 4, 5), "dims": (0, 2, 3, 1)},
        {"shape": (2, 3, 4, 5), "dims": (3, 2, 1, 0)},
        {"shape": (2, 1, 3, 17), "dims": (0, 2, 1, 3)},
        {"shape": (0, 3), "dims": (1, 0)},
        {"shape": (4,), "dims": (0,)},
    ], [
        BadCall(lambda d: on(d, 2, 3).permute(0, 0), ValueError, "[permute] expected each of 2 axes once, got (0, 0)"),
        BadCall(lambda d: on(d, 2, 3).permute(0, 2), IndexError, "[permute] expected dim in [-2, 1], got 2"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("expand", lambda x, to: x.expand(to), normal, [
        {"shape": (3, 1), "to": (3, 5)},
        {"shape": (5,), "to": (2, 3, 5)},
        {"shape": (1, 3, 1), "to": (4, 3, 17)},
        {"shape": (1,), "to": (0,)},
    ], bad=[
        BadCall(lambda d: on(d, 2, 3).expand(2, 4), ValueError,
                "[broadcast_to] expected an array that broadcasts to (2, 4), got shape (2, 3)"),
        BadCall(lambda d: on(d, 2, 3).reshape(4), ValueError, "[reshape] expected a shape of 6 elements, got (4,)"),
    ], shape_only=("shape",), epsilons=16, bytes=copied),
    OpCase("cat", lambda *parts, dim: fastdl.cat(parts, dim), several, [
        {"shapes": [(2, 3), (2, 3)], "dim": 0},
        {"shapes": [(2, 3), (2, 4), (2, 1)], "dim": 1},
        {"shapes": [(2, 3, 5), (2, 0, 5), (2, 2, 5)], "dim": -2},
        {"shapes": [(7,)], "dim": 0},
    ], bad=[
        BadCall(lambda d: fastdl.cat([on(d, 2, 3), on(d, 2, 4)], 0), ValueError,
                "[concat] expected shapes equal to (2, 3) except along axis 0, got shape (2, 4)"),
        BadCall(lambda d: fastdl.cat([]), ValueError, "[cat] expected a non-empty sequence of tensors, got none"),
    ], shape_only=("shapes",), epsilons=1),
    OpCase("stack", lambda *parts, dim: fastdl.stack(parts, dim), several, [
        {"shapes": [(2, 3), (2, 3)], "dim": 0},
        {"shapes": [(2, 3), (2, 3), (2, 3)], "dim": 2},
    ], shape_only=("shapes",), epsilons=1),
    OpCase("slice", lambda x, at: x[at], normal, [
        {"shape": (5, 7), "at": (slice(1, 4), slice(None, None, 2))},
        {"shape": (5, 7), "at": (slice(0, 0), slice(None))},
        {"shape": (3, 40, 5), "at": (slice(None), slice(3, 37, 3), slice(1, None))},
        {"shape": (20,), "at": slice(2, 19)},
    ], shape_only=("shape",), epsilons=1),
    OpCase("pad", F.pad, normal, [
        {"shape": (2, 3, 4, 5), "pad": (1, 2, 3, 0), "value": 1.5},
        {"shape": (4,), "pad": (2, 1), "value": 0.0},
    ], shape_only=("shape",), epsilons=1),
    OpCase("transpose", lambda x: x.transpose(0, -1), normal, [{"shape": (3, 4, 5)}, {"shape": (6,)}],
           shape_only=("shape",), epsilons=1),
]  # fmt: skip
