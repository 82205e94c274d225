"""Unpooling from indices, and bed of nails."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def pooled(rng, shape, pool, dtype="int64", **_):
    """Maxima of windows, as pooling gives them."""
    x = fastdl.tensor(rng.standard_normal(shape))
    values, indices = F.max_pool2d(x, **pool, return_indices=True)
    return [values.numpy(), indices.numpy().astype(dtype)]


def sequences(rng, shape, pool, **_):
    values, indices = F.max_pool1d(fastdl.tensor(rng.standard_normal(shape)), **pool, return_indices=True)
    return [values.numpy(), indices.numpy()]


def anywhere(rng, shape, output_size, **_):
    """Indices of the caller's own, some of which meet."""
    return [rng.standard_normal(shape), rng.integers(0, output_size[0] * output_size[1], shape)]


def values(rng, shape, **_):
    return [rng.standard_normal(shape)]


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def case(shape, output_size=None, dtype="int64", **pool):
    window = {k: v for k, v in pool.items() if k in ("kernel_size", "stride", "padding")}
    return {"shape": shape, "pool": pool, "dtype": dtype, "output_size": output_size, **window}


SIZES = [
    case((2, 3, 6, 6), kernel_size=2),
    case((2, 3, 7, 5), (7, 5), kernel_size=2),
    case((2, 3, 7, 5), (2, 3, 7, 5), dtype="int32", kernel_size=2),
    case((1, 2, 9, 9), kernel_size=3, stride=2),
    case((1, 2, 9, 9), kernel_size=3, stride=2, padding=1),
    case((3, 8, 8), kernel_size=(2, 4)),
    case((0, 3, 6, 6), kernel_size=2),
    case((1, 2, 24, 33), (24, 33), kernel_size=2),
    case((1, 2, 30, 64), dtype="int32", kernel_size=2),
    case((1, 2, 32, 34), kernel_size=2),
]
SEQUENCES = [
    {"shape": (2, 3, 8), "pool": {"kernel_size": 2}, "kernel_size": 2},
    {"shape": (3, 9), "pool": {"kernel_size": 2}, "kernel_size": 2, "output_size": (9,)},
]
FREE = [
    {"shape": (2, 3, 4, 5), "kernel_size": 2, "output_size": (8, 10)},
    {"shape": (1, 2, 8, 17), "kernel_size": 2, "output_size": (16, 34)},
    {"shape": (1, 2, 3, 3), "kernel_size": 1, "output_size": (3, 3)},
]
NAILS = [
    {"shape": (2, 3, 4, 5), "kernel_size": 2},
    {"shape": (2, 3, 4, 5), "kernel_size": (1, 3)},
    {"shape": (3, 4, 17), "kernel_size": (3, 2)},
    {"shape": (0, 3, 4, 5), "kernel_size": 2},
    {"shape": (1, 2, 0, 5), "kernel_size": 2},
    {"shape": (1, 1, 33, 16), "kernel_size": 2},
]


def unpool(d, indices, shape=(1, 1, 2, 2), **attributes):
    return F.max_unpool2d(on(d, *shape), fastdl.tensor(indices, device=d), 2, **attributes)


BAD = [
    BadCall(lambda d: unpool(d, [[[[0, 1], [2, 16]]]]), IndexError,
            "[max_unpool2d] expected indices into a plane of 16 elements, got one outside it at position 3"),
    BadCall(lambda d: unpool(d, [[[[0, -1], [2, 16]]]]), IndexError,
            "[max_unpool2d] expected indices into a plane of 16 elements, got one outside it at position 1"),
    BadCall(lambda d: unpool(d, [[[[0, 2**33], [2, 3]]]]), IndexError,
            "[max_unpool2d] expected indices into a plane of 16 elements, got one outside it at position 1"),
    BadCall(lambda d: unpool(d, [[[[0.0, 1.0], [2.0, 3.0]]]]), TypeError,
            "[max_unpool2d] expected indices of dtype int32 or int64, got float32"),
    BadCall(lambda d: unpool(d, [[[[0, 1]]]]), ValueError,
            "[max_unpool2d] expected indices of shape (1, 1, 2, 2), got shape (1, 1, 1, 2)"),
    BadCall(lambda d: unpool(d, [[[[0, 1], [2, 3]]]], output_size=(7, 4)), ValueError,
            "[max_unpool2d] expected an output_size that differs from (4, 4) by less than the stride (2, 2), "
            "got (7, 4)"),
    BadCall(lambda d: unpool(d, [[[[0, 1], [2, 3]]]], output_size=4), TypeError,
            "[max_unpool2d] expected sizes for output_size, got 4"),
    BadCall(lambda d: F.max_unpool2d(on(d, 1, 1, 2, 2), None, 2), TypeError,
            "[max_unpool2d] expected a Tensor for indices, got NoneType"),
    BadCall(lambda d: F.max_unpool2d(on(d, 2, 2), on(d, 2, 2), 2), ValueError,
            "[max_unpool2d] expected input with 3 or 4 dimensions, got shape (2, 2)"),
]  # fmt: skip
BAD_NAILS = [
    BadCall(lambda d: F.bed_of_nails_unpool2d(on(d, 1, 1, 2, 2), 0), ValueError,
            "[bed_of_nails] expected kernel_size of at least 1 and below 2^31, got (0, 0)"),
    BadCall(lambda d: F.bed_of_nails_unpool2d(on(d, 1, 1, 2, 2), 2**31 - 1), ValueError,
            "[bed_of_nails] expected axes of less than 2^31 elements, got 2 times 2147483647"),
    BadCall(lambda d: F.bed_of_nails_unpool2d(on(d, 1, 1, 2, 2, dtype="int32"), 2), TypeError,
            "[bed_of_nails] expected input of dtype float32 or float64, got int32"),
]  # fmt: skip
ONLY = ("shape", "pool", "dtype")
CASES = [
    OpCase("max_unpool2d", F.max_unpool2d, pooled, SIZES, BAD, shape_only=ONLY, epsilons=0,
           bytes=lambda x, i, **_: 5.0 * x.nbytes + i.nbytes),
    OpCase("max_unpool1d", F.max_unpool1d, sequences, SEQUENCES, shape_only=ONLY, epsilons=0),
    OpCase("max_unpool2d_anywhere", F.max_unpool2d, anywhere, FREE, shape_only=ONLY, epsilons=0, gradcheck_sizes=[]),
    OpCase("bed_of_nails_unpool2d", F.bed_of_nails_unpool2d, values, NAILS, BAD_NAILS, shape_only=("shape",),
           epsilons=0, bytes=lambda x, **_: 5.0 * x.nbytes),
]  # fmt: skip
