"""Products and convolutions large enough for every way in which they are made: on the tile unit float32 numbers are
split into three bfloat16, which must show neither in digits nor in infinities and NaN."""

import numpy as np
import pytest

from fastdl import backends
from fastdl.backends import reference
from fastdl.testing import assert_close

CPU = backends.get("cpu")
LEVELS = pytest.mark.parametrize("isa", CPU.isa_levels())
LARGEST = np.finfo(np.float32).max


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def put(*arrays):
    return [CPU.from_numpy(a, False) for a in arrays]


def matmul(a, b, trans_a=False, trans_b=False):
    return CPU.to_numpy(CPU.matmul(*put(a, b), trans_a, trans_b))


def conv2d(x, w, stride=2):
    pad = w.shape[2] // 2
    attributes = (stride, stride), (pad,) * 4, (1, 1), 1, "none", None
    return CPU.to_numpy(CPU.conv2d(*put(x, w, np.zeros(len(w), np.float32)), *attributes)), attributes


# Around blocks of 32 rows and columns, tiles of 16, steps of 32 and blocks of 16 steps.
@LEVELS
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("m, n, k", [(225, 208, 513), (128, 257, 1055), (333, 160, 96), (240, 240, 31), (145, 999, 64)])
def test_matmul(isa, m, n, k, trans_a, trans_b):
    CPU.set_isa(isa)
    a, b = normal(*((k, m) if trans_a else (m, k)), seed=1), normal(*((n, k) if trans_b else (k, n)), seed=2)
    wide = [(v.T if turned else v).astype(np.float64) for v, turned in ((a, trans_a), (b, trans_b))]
    want, magnitude = wide[0] @ wide[1], np.abs(wide[0]) @ np.abs(wide[1])
    results = []
    for threads in (1, 2, 3):
        CPU.set_num_threads(threads)
        results.append(matmul(a, b, trans_a, trans_b))
    assert_close(results[0], want, 8, magnitude=float(magnitude.max()))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


@LEVELS
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e28])
def test_matmul_of_large_and_small_numbers(isa, scale):
    """Digits do not depend on the exponent: from 1e-33 on all parts of a number are ordinary ones."""
    CPU.set_isa(isa)
    a, b = normal(256, 300), normal(300, 256, seed=1)
    want = a.astype(np.float64) @ b.astype(np.float64)
    magnitude = (np.abs(a).astype(np.float64) @ np.abs(b)).max()
    a, b = a * np.float32(scale), b / np.float32(scale)
    assert np.isfinite(a).all()
    assert_close(matmul(a, b), want, 10, magnitude=float(magnitude))


@LEVELS
def test_matmul_with_numbers_that_have_no_parts(isa):
    """The largest numbers, infinities and NaN give what products of float32 give, and change no other result."""
    CPU.set_isa(isa)
    a, b = normal(256, 320), normal(320, 256, seed=1)
    plain = matmul(a, b)
    a[3, 5], a[40, 0], a[41, 31], a[200, 319] = LARGEST, np.inf, np.nan, -np.inf
    a[90, 7], b[7, 100] = 0, np.inf
    a[130, 16], b[16, 33] = np.float32(1e30), np.float32(-1e30)
    b[5] *= np.float32(1e-3)
    with np.errstate(all="ignore"):
        want = a.astype(np.float64) @ b.astype(np.float64)
        want = np.where(np.abs(want) > LARGEST, np.copysign(np.inf, want), want)
    got = matmul(a, b)
    assert (np.isnan(got) == np.isnan(want)).all()
    assert (np.isinf(got) == np.isinf(want)).all()
    assert (np.sign(got) == np.sign(want))[np.isinf(want)].all()
    rows, columns = np.isfinite(a).all(axis=1), np.isfinite(b).all(axis=0)
    ordinary = got[np.ix_(rows, columns)]
    assert np.isfinite(ordinary[:, np.arange(ordinary.shape[1]) != 33]).all()
    assert (np.abs(got[3, columns] - want[3, columns]) <= 1e-5 * np.abs(want[3, columns]).max()).all()
    b[5] *= np.float32(1e3)
    b[5], untouched = normal(320, 256, seed=1)[5], np.ones((256, 256), bool)
    untouched[[3, 40, 41, 90, 130, 200]], untouched[:, [33, 100]] = False, False
    assert (matmul(a, b)[untouched] == plain[untouched]).all()


@LEVELS
@pytest.mark.parametrize(
    "x, w, stride",
    [
        ((2, 96, 29, 30), (80, 96, 3, 3), 2),  # rows of pixels that fill no vector
        ((1, 130, 40, 41), (100, 130, 1, 1), 1),  # steps that are partly empty
        ((3, 40, 17, 19), (64, 40, 5, 5), 3),
    ],
    ids=str,
)
def test_conv2d(isa, x, w, stride):
    CPU.set_isa(isa)
    x, w = normal(*x), normal(*w, seed=1)
    results = []
    for threads in (1, 2, 3):
        CPU.set_num_threads(threads)
        got, attributes = conv2d(x, w, stride)
        results.append(got)
    want = reference.conv2d(x.astype(np.float64), w.astype(np.float64), None, *attributes)
    assert np.abs(results[0] - want).max() <= 2e-6 * np.abs(want).max()
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


@pytest.fixture
def direct():
    """Winograd's transforms spread an infinity over a tile."""
    CPU.set_conv_algorithm("direct")
    yield
    CPU.set_conv_algorithm("auto")


@LEVELS
def test_conv2d_keeps_infinities_and_nan(isa, direct):
    CPU.set_isa(isa)
    x, w = normal(2, 96, 28, 28), normal(96, 96, 3, 3, seed=1)
    plain, attributes = conv2d(x, w)
    x[0, 3, 5, 7], x[0, 50, 20, 20], x[1, 95, 27, 27], x[1, 0, 1, 1] = np.inf, np.nan, -np.inf, LARGEST
    got, _ = conv2d(x, w)
    with np.errstate(all="ignore"):
        want = np.asarray(reference.conv2d(x.astype(np.float64), w.astype(np.float64), None, *attributes))
        want = np.where(np.abs(want) > LARGEST, np.copysign(np.inf, want), want)
    assert (np.isnan(got) == np.isnan(want)).all()
    assert (got == want)[np.isinf(want)].all()
    reached = np.asarray(reference.conv2d((np.abs(x) < 10).astype(np.float64) - 1, np.ones(w.shape), None, *attributes))
    assert (got == plain)[reached == 0].all()
