"""permute, reverse, roll, broadcast, concatenate, slice, pad, triangles."""

import fastdl
import fastdl.functional as F
from fastdl import backends
from fastdl.functional import diagonals, rearranging
from fastdl.testing import BadCall, OpCase


def normal(rng, shape, **_):
    return [rng.standard_normal(shape)]


def several(rng, shapes, **_):
    return [rng.standard_normal(s) for s in shapes]


def copied(x, **_):
    return 2 * x.nbytes


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def octets(rng, shape, dtype="uint8", **_):
    """Numbers of the dtype: none of them has a gradient."""
    return [rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)]


def moved(x, way, **_):
    """Every way of moving that knows sizes of elements only."""
    if way == "flip":
        return rearranging.flip(x, (0, -1))
    if way == "roll":
        return rearranging.roll(x, (1, -3), (0, -1))
    if way == "rot90":
        return fastdl.rot90(x, 1, (-2, -1))
    if way == "unfold":
        return x.unfold(-1, 4, 3)
    return diagonals.tril(x) if way == "tril" else F.pad(x, (3, 2), way)


def turned(x, k, dims):
    return fastdl.rot90(x, k, dims)


def backend(device, function, *args):
    """A function of the surface, of an array of ones (2, 3)."""
    k = backends.get(device)
    return getattr(k, function)(on(device, 2, 3)._array, *args)


PADDED = [
    {"shape": (2, 3, 9, 11), "pad": (1, 2, 3, 0)},
    {"shape": (2, 3, 4, 5, 37), "pad": (3, 1, 2, 2, 0, 3)},
    {"shape": (2, 40), "pad": (0, 17)},
    {"shape": (3, 4, 20), "pad": (-2, 5)},
    {"shape": (2, 3, 6, 7), "pad": (3, -1, -2, 4)},
    {"shape": (3, 6, 5), "pad": (-3, -2)},
    {"shape": (0, 4, 5), "pad": (1, 1)},
    {"shape": (2, 5000), "pad": (3, 4)},
]
TRIANGLES = [
    {"shape": (5, 5)}, {"shape": (2, 3, 4, 7), "diagonal": 1}, {"shape": (33, 17), "diagonal": -2},
    {"shape": (3, 40, 64), "diagonal": 10}, {"shape": (4, 4), "diagonal": 2**62}, {"shape": (4, 3), "diagonal": -9},
    {"shape": (3, 5000), "diagonal": 4200}, {"shape": (0, 3, 3)},
]  # fmt: skip

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
    OpCase("flip", lambda x, dims: rearranging.flip(x, dims), normal, [
        {"shape": (3, 5), "dims": (0, 1)},
        {"shape": (4,), "dims": (0,)},
        {"shape": (3, 4, 40), "dims": (0, 2)},
        {"shape": (3, 2, 16), "dims": (1,)},
        {"shape": (2, 1, 64), "dims": (-1, 1)},
        {"shape": (5000,), "dims": (0,)},
        {"shape": (0, 3), "dims": (1,)},
        {"shape": (), "dims": (0,)},
    ], [
        BadCall(lambda d: on(d, 2, 3).flip(0, 0), ValueError, "[flip] expected each dim once, got (0, 0)"),
        BadCall(lambda d: on(d, 2, 3).flip(2), IndexError, "[flip] expected dim in [-2, 1], got 2"),
        BadCall(lambda d: backend(d, "flip", (2,)), IndexError, "[flip] expected axes from 0 to 1, got (2,)"),
        BadCall(lambda d: backend(d, "flip", (1, 1)), ValueError, "[flip] expected each axis once, got (1, 1)"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("rot90", turned, normal, [
        {"shape": (3, 5), "k": 1, "dims": (0, 1)},
        {"shape": (3, 5), "k": 2, "dims": (0, 1)},
        {"shape": (3, 5), "k": -1, "dims": (0, 1)},
        {"shape": (3, 5), "k": 0, "dims": (0, 1)},
        {"shape": (64, 48), "k": 1, "dims": (0, 1)},
        {"shape": (48, 64), "k": 3, "dims": (0, 1)},
        {"shape": (130, 70), "k": 1, "dims": (1, 0)},
        {"shape": (2, 17, 3, 33), "k": 5, "dims": (1, -1)},
        {"shape": (33, 2, 20), "k": 3, "dims": (0, 1)},
        {"shape": (1, 9), "k": 1, "dims": (0, 1)},
        {"shape": (0, 3), "k": 1, "dims": (0, 1)},
    ], [
        BadCall(lambda d: on(d, 2, 3).rot90(1, (0, 0)), ValueError, "[rot90] expected two axes, got (0, 0)"),
        BadCall(lambda d: on(d, 2, 3).rot90(1, (0,)), ValueError, "[rot90] expected two axes, got (0,)"),
        BadCall(lambda d: on(d, 2, 3).rot90(1.5), TypeError, "[rot90] expected an int for k, got float"),
        BadCall(lambda d: backend(d, "rot90", 4, 0, 1), ValueError, "[rot90] expected k from 0 to 3, got 4"),
        BadCall(lambda d: backend(d, "rot90", 1, 0, 2), IndexError,
                "[rot90] expected two different axes from 0 to 1, got 0 and 2"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("windows", lambda x, dim, size, step: x.unfold(dim, size, step), normal, [
        {"shape": (7,), "dim": 0, "size": 3, "step": 1},
        {"shape": (3, 40), "dim": 1, "size": 16, "step": 4},
        {"shape": (9, 5), "dim": 0, "size": 4, "step": 2},
        {"shape": (2, 20, 3), "dim": -2, "size": 5, "step": 7},
        {"shape": (3, 6), "dim": 1, "size": 6, "step": 9},
        {"shape": (0, 4), "dim": 1, "size": 2, "step": 1},
    ], [
        BadCall(lambda d: on(d, 2, 3).unfold(1, 4, 1), ValueError,
                "[unfold] expected size in [1, 3] and step of at least 1, got 4 and 1"),
        BadCall(lambda d: backend(d, "unfold", 1, 4, 1), ValueError,
                "[unfold] expected a size from 1 to 3 and a step of at least 1, got 4 and 1"),
        BadCall(lambda d: backend(d, "unfold", 2, 1, 1), IndexError, "[unfold] expected an axis from 0 to 1, got 2"),
        BadCall(lambda d: backends.get(d).unfold(on(d, *[1] * 8)._array, 0, 1, 1), ValueError,
                "[unfold] expected at most 7 axes, got 8"),
    ], shape_only=("shape",), bytes=copied),
    OpCase("roll", rearranging.roll, normal, [
        {"shape": (3, 5), "shifts": (1, -2), "dims": (0, 1)},
        {"shape": (3, 5), "shifts": 7},
        {"shape": (2, 3, 40), "shifts": (11, 1, 2), "dims": (2, 0, 2)},
        {"shape": (4, 5, 6), "shifts": -1, "dims": 1},
        {"shape": (3, 64), "shifts": 2**63 - 1, "dims": 0},
        {"shape": (9000,), "shifts": 4097, "dims": 0},
        {"shape": (0, 3), "shifts": (1, 1), "dims": (0, 1)},
        {"shape": (), "shifts": 3},
    ], [
        BadCall(lambda d: on(d, 2, 3).roll((1, 2), 0), ValueError, "[roll] expected a shift for each of 1 dims, got 2"),
        BadCall(lambda d: on(d, 2, 3).roll(1.0, 0), TypeError, "[roll] expected an int for shifts, got float"),
        BadCall(lambda d: backend(d, "roll", (1,)), ValueError, "[roll] expected 2 shifts, got 1"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("tril", diagonals.tril, normal, TRIANGLES, [
        BadCall(lambda d: diagonals.tril(on(d, 3)), ValueError,
                "[tril] expected input with at least 2 dimensions, got shape (3,)"),
        BadCall(lambda d: backends.get(d).tril(on(d, 3)._array, 0), ValueError,
                "[tril] expected input with at least 2 dimensions, got shape (3,)"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("triu", diagonals.triu, normal, TRIANGLES, [
        BadCall(lambda d: diagonals.triu(on(d, 3, 3), 0.5), TypeError,
                "[triu] expected an int for diagonal, got float"),
    ], shape_only=("shape",), epsilons=1, bytes=copied),
    OpCase("diagonal", lambda x, offset=0, dims=(0, 1): fastdl.diagonal(x, offset, *dims), normal, [
        {"shape": (5, 5)}, {"shape": (5, 7), "offset": 2}, {"shape": (7, 5), "offset": -3},
        {"shape": (2, 33, 4, 40), "offset": 1, "dims": (1, 3)}, {"shape": (4, 3, 9), "dims": (2, 0)},
        {"shape": (3, 4), "offset": 9}, {"shape": (3, 4), "offset": -(2**40)}, {"shape": (0, 4)}, {"shape": (2, 0, 0),
        "dims": (1, 2)}, {"shape": (1, 1)},
    ], [
        BadCall(lambda d: fastdl.diagonal(on(d, 3, 3), 0, 1, -1), ValueError,
                "[diagonal] expected two different axes, got 1 and -1"),
        BadCall(lambda d: fastdl.diagonal(on(d, 3, 3), 0.5), TypeError,
                "[diagonal] expected an int for offset, got float"),
        BadCall(lambda d: backends.get(d).diagonal(on(d, 3, 3)._array, 7, 0, 1), ValueError,
                "[diagonal] expected an offset within shape (3, 3), got 7"),
        BadCall(lambda d: backends.get(d).diagonal(on(d, 3, 3)._array, 0, 0, 2), IndexError,
                "[diagonal] expected two different axes from 0 to 1, got 0 and 2"),
    ], shape_only=("shape",), bytes=lambda x, **_: 8 * min(x.shape)),
    OpCase("move_octets", moved, octets, [
        {"shape": shape, "dtype": dtype, "way": way}
        for way in ("flip", "roll", "rot90", "unfold", "tril", "reflect", "replicate", "circular")
        for dtype, shape in (("uint8", (5, 133)), ("uint8", (4, 64)), ("bool", (3, 9)), ("int32", (3, 36)),
                             ("int64", (2, 3, 5)))
    ], shape_only=("shape", "dtype"), epsilons=1),
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
    *(OpCase(f"pad_{mode}", lambda x, pad, mode=mode: F.pad(x, pad, mode), normal, PADDED,
             shape_only=("shape",), epsilons=8, bytes=copied) for mode in ("reflect", "replicate", "circular")),
    OpCase("pad_far", lambda x, pad: F.pad(x, pad, "replicate"), normal, [
        {"shape": (2, 3, 1), "pad": (40, 9)},
        {"shape": (2, 3, 2), "pad": (4, 0, 20, 3)},
        {"shape": (2, 2, 5), "pad": (-9, 12)},
    ], [
        BadCall(lambda d: F.pad(on(d, 1, 2), (2, 0), "reflect"), ValueError,
                "[pad] expected at least 3 elements on axis 1 for mode 'reflect', got 2"),
        BadCall(lambda d: F.pad(on(d, 1, 2), (0, 3), "circular"), ValueError,
                "[pad] expected at least 3 elements on axis 1 for mode 'circular', got 2"),
        BadCall(lambda d: F.pad(on(d, 1, 0), (0, 1), "replicate"), ValueError,
                "[pad] expected at least 1 elements on axis 1 for mode 'replicate', got 0"),
        BadCall(lambda d: F.pad(on(d, 1, 2), (0, -3), "reflect"), ValueError,
                "[pad] expected to cut off at most what shape (1, 2) has, got before (0, 0) and after (0, -3)"),
        BadCall(lambda d: F.pad(on(d, 2), (1, 1), "reflect"), NotImplementedError,
                "[pad] expected pad of the last 1 to 3 axes, all but one or two, for mode 'reflect', "
                "got 2 numbers and shape (2,)"),
        BadCall(lambda d: backend(d, "pad", (0, 0), (1,), "reflect"), ValueError,
                "[pad] expected numbers before and after each of 2 axes, got 2 and 1"),
        BadCall(lambda d: backend(d, "pad", (0, 0), (1, 1), "wrap"), ValueError,
                "[pad] expected mode reflect, replicate or circular, got wrap"),
        BadCall(lambda d: backend(d, "pad_bwd", (2, 2), (0,), "reflect"), ValueError,
                "[pad_bwd] expected a size and a number before for each of 2 axes, got 2 and 1"),
        BadCall(lambda d: backend(d, "pad_bwd", (2, 1), (0, 1), "reflect"), ValueError,
                "[pad_bwd] expected at least 2 elements on axis 1 for mode 'reflect', got 1"),
        BadCall(lambda d: backend(d, "pad_bwd", (2, 3), (0, 9), "reflect"), ValueError,
                "[pad_bwd] expected numbers before that grad of shape (2, 3) has room for, got (0, 9)"),
        BadCall(lambda d: backends.get(d).pad_bwd(on(d, 3, 1, 1, 1)._array, (2, 1, 1, 1), (0,) * 4, "reflect"),
                NotImplementedError,
                "[pad_bwd] expected padding of the last 3 axes, got shape (2, 1, 1, 1) and grad of shape (3, 1, 1, 1)"),
    ], shape_only=("shape",), epsilons=64),
    OpCase("transpose", lambda x: x.transpose(0, -1), normal, [{"shape": (3, 4, 5)}, {"shape": (6,)}],
           shape_only=("shape",), epsilons=1),
]  # fmt: skip
