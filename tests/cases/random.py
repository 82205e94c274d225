"""Arrays of random numbers: the same bits on every device, but for the last ones of normal numbers."""

import numpy as np

import fastdl
from fastdl.testing import BadCall, OpCase


def of(make, dtype):
    """`make(shape, dtype, device)` where x lies, from a place of the stream whose counters pass 2^32."""

    def call(x, **attributes):
        fastdl.manual_seed(2**40 + 3)
        fastdl.random.default_generator.take_counters(2**32 - 2)
        return make(x.shape, dtype, x.device, **attributes)

    return call


def uniform(shape, dtype, device, low, high):
    return fastdl.empty(shape, dtype=dtype, device=device).uniform_(low, high)


def normal(shape, dtype, device, mean, std):
    return fastdl.empty(shape, dtype=dtype, device=device).normal_(mean, std)


def integers(shape, dtype, device, low, high):
    return fastdl.randint(low, high, shape, dtype=dtype, device=device)


def inputs(rng, n, **_):
    return [np.zeros(n, np.int64)]


def on(device, dtype="float32"):
    return fastdl.empty(2, dtype=dtype, device=device)


SIZES = (0, 1, 2, 3, 15, 16, 17, 63, 64, 65, 1001, 70_003)
RANGES = ((1.0, 2.0), (-3.3, 7.1), (-1e38, 1e38), (5.0, 5.0), (16777215.0, 16777216.0))


def uniform_case(dtype):
    sizes = [{"n": n, "low": 0.0, "high": 1.0} for n in SIZES]
    sizes += [{"n": 1001, "low": low, "high": high} for low, high in RANGES]
    return OpCase(f"uniform_{dtype}", of(uniform, dtype), inputs, sizes, dtypes=(dtype,), shape_only=("n",), epsilons=0,
                  bytes=lambda x, **_: x.size * np.dtype(dtype).itemsize)  # fmt: skip


def normal_case(dtype):
    sizes = [{"n": n, "mean": 0.0, "std": 1.0} for n in SIZES] + [{"n": 1001, "mean": -5.0, "std": 0.1}]
    return OpCase(f"normal_{dtype}", of(normal, dtype), inputs, sizes, dtypes=(dtype,), shape_only=("n",), epsilons=2,
                  bytes=lambda x, **_: x.size * np.dtype(dtype).itemsize)  # fmt: skip


def integers_case(dtype, ranges, bad=()):
    sizes = [{"n": n, "low": -5, "high": 12} for n in SIZES if n < 2000]
    sizes += [{"n": 1001, "low": low, "high": high} for low, high in ranges]
    return OpCase(f"randint_{dtype}", of(integers, dtype), inputs, sizes, bad, dtypes=("float32",), shape_only=("n",),
                  bytes=lambda x, **_: x.size * np.dtype(dtype).itemsize)  # fmt: skip


CASES = [
    uniform_case("float32"),
    uniform_case("float64"),
    normal_case("float32"),
    normal_case("float64"),
    integers_case("int64", [(7, 8), (0, 2**32), (-(2**63), 2**63 - 1), (0, 2**40 + 7), (-3, 2**32)]),
    integers_case("int32", [(-(2**31), 2**31)], [
        BadCall(lambda d: fastdl.randint(0, 2**31 + 1, (2,), dtype="int32", device=d), ValueError,
                "[randint] expected numbers within int32, got 0 and 2147483649"),
        BadCall(lambda d: fastdl.randint(3, 3, (2,), device=d), ValueError,
                "[randint] expected low < high, got 3 and 3"),
        BadCall(lambda d: fastdl.rand(2, dtype="int64", device=d), TypeError,
                "[rand] expected dtype float32 or float64, got int64"),
        BadCall(lambda d: on(d, "int64").uniform_(), TypeError,
                "[uniform_] expected out of dtype float32 or float64, got int64"),
        BadCall(lambda d: on(d, "bool").normal_(), TypeError,
                "[normal_] expected out of dtype float32 or float64, got bool"),
        BadCall(lambda d: on(d).uniform_(1.5, 1.0), ValueError,
                "[uniform_] expected low <= high, finite and at a finite distance, got 1.5 and 1"),
        BadCall(lambda d: on(d).uniform_(-3e38, 3e38), ValueError,
                "[uniform_] expected low <= high, finite and at a finite distance, got -3e+38 and 3e+38"),
        BadCall(lambda d: on(d).uniform_(0.0, float("nan")), ValueError,
                "[uniform_] expected low <= high, finite and at a finite distance, got 0 and nan"),
        BadCall(lambda d: on(d).normal_(0.0, -1.0), ValueError, "[normal_] expected std of at least 0, got -1"),
        BadCall(lambda d: on(d).bernoulli_(1.5), ValueError, "[bernoulli_] expected p between 0 and 1, got 1.5"),
    ]),
]  # fmt: skip
