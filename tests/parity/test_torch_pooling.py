"""Pooling, unpooling, interpolation and pixel shuffle: random shapes and attributes against PyTorch."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F

from .test_torch_functions import TF, compare, torch

SEEDS = range(12)


def image(rng, low=8, high=40):
    return rng.standard_normal((2, 3, *rng.integers(low, high, 2)))


def window(rng, largest=6):
    kernel = tuple(int(k) for k in rng.integers(1, largest, 2))
    return {
        "kernel_size": kernel,
        "stride": tuple(int(s) for s in rng.integers(1, 4, 2)),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "ceil_mode": bool(rng.integers(2)),
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_avg_pool2d(seed, dtype):
    rng = np.random.default_rng(seed)
    attributes = window(rng) | {
        "count_include_pad": bool(rng.integers(2)),
        "divisor_override": None if rng.integers(3) else int(rng.integers(1, 9)),
    }
    compare(lambda t: F.avg_pool2d(t, **attributes), lambda t: TF.avg_pool2d(t, **attributes), [image(rng)], dtype, 32)


@pytest.mark.parametrize("seed", SEEDS)
def test_sequences(seed):
    rng = np.random.default_rng(seed)
    attributes = {k: v[0] if isinstance(v, tuple) else v for k, v in window(rng).items()}
    x = rng.standard_normal((2, 3, rng.integers(8, 60)))
    for name in ("max_pool1d", "avg_pool1d"):
        compare(
            lambda t, f=name: getattr(F, f)(t, **attributes), lambda t, f=name: getattr(TF, f)(t, **attributes), [x]
        )
    size = int(rng.integers(1, 20))
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        compare(lambda t, f=name: getattr(F, f)(t, size), lambda t, f=name: getattr(TF, f)(t, size), [x])


@pytest.mark.parametrize("seed", SEEDS)
def test_adaptive_pooling(seed):
    rng = np.random.default_rng(seed)
    x = image(rng, 1, 30)
    size = tuple(int(n) for n in rng.integers(1, 12, 2))
    compare(lambda t: F.adaptive_avg_pool2d(t, size), lambda t: TF.adaptive_avg_pool2d(t, size), [x], "float32")
    x[rng.random(x.shape) < 0.05] = np.nan
    x = np.where(rng.random(x.shape) < 0.2, np.round(x), x)  # equal maxima: the first one wins
    compare(lambda t: F.adaptive_max_pool2d(t, size), lambda t: TF.adaptive_max_pool2d(t, size), [x])
    mine = F.adaptive_max_pool2d(fastdl.tensor(x), size, return_indices=True)[1]
    theirs = TF.adaptive_max_pool2d(torch.tensor(x), size, return_indices=True)[1]
    assert mine.dtype is fastdl.int64
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 3}, {"kernel_size": (2, 4)}])
def test_max_unpool2d(seed, window):
    rng = np.random.default_rng(seed)
    x = image(rng)
    values, indices = TF.max_pool2d(torch.tensor(x), **window, return_indices=True)
    mine, theirs = fastdl.tensor(indices.numpy()), indices
    compare(
        lambda t: F.max_unpool2d(t, mine, **window, output_size=x.shape[2:]),
        lambda t: TF.max_unpool2d(t, theirs, **window, output_size=x.shape[2:]),
        [values.numpy()],
        "float32",
        0,
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "aligned"])
def test_interpolate(seed, mode):
    rng = np.random.default_rng(seed)
    x = image(rng, 1, 30)
    given = [
        {"scale_factor": 2},
        {"scale_factor": tuple(float(f) for f in rng.uniform(0.5, 4, 2))},
        {"size": tuple(int(n) for n in rng.integers(1, 70, 2))},
    ][seed % 3]
    if seed % 2 and "scale_factor" in given:
        given["recompute_scale_factor"] = True
    if any(n * f < 1 for n, f in zip(x.shape[2:], np.broadcast_to(given.get("scale_factor", 1), 2), strict=True)):
        given = {"size": (3, 4)}
    given |= {"mode": "nearest"} if mode == "nearest" else {"mode": "bilinear", "align_corners": mode == "aligned"}
    # PyTorch finds the places of a float32 image in single precision.
    epsilons = 0 if mode == "nearest" else 600
    mine, theirs = lambda t: F.interpolate(t, **given), lambda t: TF.interpolate(t, **given)
    compare(mine, theirs, [x], "float32", max(epsilons, 16))
    if mode != "nearest":
        compare(mine, theirs, [x], "float64", 64)


def test_interpolate_sequences():
    x = np.random.default_rng(0).standard_normal((2, 3, 17))
    for attributes in ({"size": 40}, {"scale_factor": 1.7}, {"scale_factor": 2, "mode": "linear"}):
        compare(
            lambda t, a=attributes: F.interpolate(t, **a),
            lambda t, a=attributes: TF.interpolate(t, **a),
            [x],
            "float32",
        )


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_pixel_shuffle(factor):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3 * factor * factor, 5, 19))
    compare(lambda t: F.pixel_shuffle(t, factor), lambda t: TF.pixel_shuffle(t, factor), [x], epsilons=0)
    y = rng.standard_normal((3, 5 * factor, 18 * factor))
    compare(lambda t: F.pixel_unshuffle(t, factor), lambda t: TF.pixel_unshuffle(t, factor), [y], epsilons=0)


LAYERS = [
    ("MaxPool1d", (3,), {"padding": 1}), ("MaxPool2d", (2,), {}), ("MaxPool2d", ((2, 3),), {"stride": 1}),
    ("AvgPool1d", (3, 2), {}), ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}),
    ("AdaptiveAvgPool1d", (5,), {}), ("AdaptiveAvgPool2d", ((None, 3),), {}), ("AdaptiveAvgPool2d", (1,), {}),
    ("AdaptiveMaxPool1d", (5,), {}), ("AdaptiveMaxPool2d", ((3, 4),), {}),
    ("Upsample", (), {"scale_factor": 2}), ("Upsample", ((9, 5),), {"mode": "bilinear"}),
    ("UpsamplingNearest2d", (), {"scale_factor": 3}), ("UpsamplingBilinear2d", ((20, 30),), {}),
    ("PixelShuffle", (2,), {}), ("PixelUnshuffle", (2,), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "keywords"), LAYERS)
def test_layers(name, arguments, keywords):
    mine = getattr(fastdl.nn, name)(*arguments, **keywords)
    theirs = getattr(torch.nn, name)(*arguments, **keywords)
    assert repr(mine) == repr(theirs)
    shape = (2, 4, 12) if name.endswith("1d") else (2, 4, 12, 10)
    compare(mine, theirs, [np.random.default_rng(0).standard_normal(shape)], epsilons=16)


@pytest.mark.parametrize(("name", "shape"), [("MaxUnpool1d", (2, 3, 8)), ("MaxUnpool2d", (2, 3, 8, 6))])
def test_unpooling_layers(name, shape):
    mine, theirs = getattr(fastdl.nn, name)(2, stride=2), getattr(torch.nn, name)(2, stride=2)
    assert repr(mine) == repr(theirs)
    pool = torch.nn.MaxPool1d if name.endswith("1d") else torch.nn.MaxPool2d
    values, indices = pool(2, return_indices=True)(torch.tensor(np.random.default_rng(0).standard_normal(shape)))
    ours = fastdl.tensor(indices.numpy())
    compare(lambda t: mine(t, ours), lambda t: theirs(t, indices), [values.numpy()], epsilons=0)
