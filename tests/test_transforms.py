"""Transforms of batches: what each does to pictures, and that draws are independent and reproducible."""

import numpy as np
import pytest

from fastdl.data import DataLoader, TensorDataset
from fastdl.data import transforms as T

RNG = np.random.default_rng


def pictures(n=8, channels=3, height=6, width=7):
    return RNG(0).random((n, channels, height, width), np.float32)


def applied(transform, x, seed=1):
    before = x.copy()
    out, label = transform((x, "label"), RNG(seed))
    assert (x == before).all() and label == "label"
    assert out.dtype == np.float32 and out.flags.c_contiguous
    return out


@pytest.mark.parametrize(("kind", "axis"), [(T.RandomHorizontalFlip, -1), (T.RandomVerticalFlip, -2)])
def test_flips(kind, axis):
    x = pictures(64)
    assert (applied(kind(0.0), x) == x).all() and (applied(kind(1.0), x) == np.flip(x, axis)).all()
    out = applied(kind(0.5), x)
    flipped = [(a == np.flip(b, axis)).all() for a, b in zip(out, x, strict=True)]
    assert all(f or (a == b).all() for f, a, b in zip(flipped, out, x, strict=True)) and 16 < sum(flipped) < 48


def test_crops_are_windows_at_places_of_their_own():
    x = np.arange(20 * 6 * 7, dtype=np.float32).reshape(20, 1, 6, 7)
    out = applied(T.RandomCrop((4, 5)), x)
    corners = out[:, 0, 0, 0] - x[:, 0, 0, 0]
    assert len(set(corners.tolist())) > 3
    for image, corner in zip(out, corners.astype(int), strict=True):
        assert (image - image[0, 0, 0] == x[0, :, :4, :5]).all() and corner // 7 <= 2 and corner % 7 <= 2
    assert (applied(T.CenterCrop(4), x) == x[:, :, 1:5, 2:6]).all()
    padded = applied(T.RandomCrop((6, 7), padding=1, padding_mode="edge"), np.ones((30, 1, 6, 7), np.float32))
    assert (padded == 1).all()
    assert (applied(T.RandomCrop((8, 9), padding=1), np.ones((2, 1, 6, 7), np.float32))[:, :, 1:-1, 1:-1] == 1).all()


def test_shifts():
    x = pictures(40)
    moved = applied(T.RandomShift((1, 2)), x)
    for image, original in zip(moved, x, strict=True):
        fits = [np.array_equal(image, np.pad(original, ((0, 0), (1, 1), (2, 2)))[:, a : a + 6, b : b + 7])
                for a in range(3) for b in range(5)]  # fmt: skip
        assert sum(fits) == 1
    turned = applied(T.RandomCyclicShift(2), x)
    assert np.allclose(np.sort(turned.reshape(40, -1)), np.sort(x.reshape(40, -1)))
    assert any(not np.array_equal(a, b) for a, b in zip(turned, x, strict=True))


def test_rotation():
    x = pictures(4, 1, 9, 9)
    np.testing.assert_allclose(applied(T.RandomRotation((90, 90)), x), np.rot90(x, 1, (2, 3)), atol=1e-5)
    np.testing.assert_allclose(applied(T.RandomRotation(0), x), x, atol=1e-6)
    assert not np.allclose(applied(T.RandomRotation(30), x), x, atol=1e-2)


def test_noise_colour_and_normalisation():
    x = pictures(16)
    noise = applied(T.GaussianNoise(0.5, 0.1), np.zeros((16, 3, 50, 50), np.float32))
    assert abs(noise.mean() - 0.5) < 0.01 and abs(noise.std() - 0.1) < 0.01
    np.testing.assert_allclose(applied(T.ColorJitter((0.5, 0.5)), x), x * 0.5, rtol=1e-6)
    grey = applied(T.ColorJitter(saturation=(0, 0)), x)
    np.testing.assert_allclose(grey[:, 0], grey[:, 2], rtol=1e-6)
    flat = applied(T.ColorJitter(contrast=(0, 0)), x)
    np.testing.assert_allclose(flat.std((1, 2, 3)), 0, atol=1e-6)
    factors = applied(T.ColorJitter(0.4), np.full((100, 3, 2, 2), 0.5, np.float32))[:, 0, 0, 0] / 0.5
    assert factors.min() >= 0.6 and factors.max() <= 1.4 and factors.std() > 0.15
    out = applied(T.Normalize.of(x), x)
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, rtol=1e-5)


def test_a_loader_draws_anew_for_each_epoch_and_the_same_for_each_seed():
    both = T.Compose([T.RandomCrop(4), T.RandomHorizontalFlip(), T.GaussianNoise()])

    def epochs():
        import fastdl

        fastdl.manual_seed(1)
        loader = DataLoader(TensorDataset(pictures(16)), 4, transform=both)
        return [np.concatenate([x.numpy() for (x,) in loader]) for _ in range(2)]

    first, second = epochs(), epochs()
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all() and not (first[0] == first[1]).all()
    assert "RandomCrop(size=(4, 4)" in repr(both)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: T.RandomHorizontalFlip(1.5), r"\[RandomHorizontalFlip\] expected p between 0 and 1, got 1.5"),
    (lambda: T.RandomCrop(0), r"\[RandomCrop\] expected size of at least 1, got 0"),
    (lambda: T.RandomCrop(9)((pictures(),), RNG(0)), r"expected images of at least \(9, 9\), got \(6, 7\)"),
    (lambda: T.RandomRotation(-1), r"\[RandomRotation\] expected degrees of at least 0, or \(low, high\), got -1"),
    (lambda: T.GaussianNoise(0, -1), r"\[GaussianNoise\] expected sigma of at least 0, got -1"),
    (lambda: T.ColorJitter(-0.5), r"\[ColorJitter\] expected brightness of at least 0"),
    (lambda: T.ColorJitter(saturation=1)((pictures(channels=1),), RNG(0)), "expected 3 channels for saturation, got 1"),
    (lambda: T.Normalize([0], [0]), r"\[Normalize\] expected std above 0, got \[0\]"),
    (lambda: T.Normalize([0], [1])((pictures(),), RNG(0)), r"\[Normalize\] expected 1 channels, got 3"),
    (lambda: T.RandomShift(1)((np.zeros((2, 2)),), RNG(0)), r"expected images \(N, C, H, W\), got shape \(2, 2\)"),
])  # fmt: skip
def test_bad_calls(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_resize():
    x = pictures(2, 3, 6, 9)
    assert applied(T.Resize((6, 9)), x) == pytest.approx(x, abs=1e-6)
    assert applied(T.Resize(3), x).shape == (2, 3, 3, 4) and applied(T.Resize(8), x).shape == (2, 3, 8, 12)
    halved = applied(T.Resize((3, 9), antialias=False), x)
    assert halved == pytest.approx((x[:, :, ::2] + x[:, :, 1::2]) / 2, abs=1e-6)
    smoothed = applied(T.Resize((3, 9)), x)[:, :, 1]  # pixels 1 to 4 of 6 lie 0.5 and 1.5 from the place
    assert smoothed == pytest.approx((x[:, :, 1] + 3 * x[:, :, 2] + 3 * x[:, :, 3] + x[:, :, 4]) / 8, abs=1e-6)
    constant = np.full((1, 1, 5, 7), 0.3, np.float32)
    for size in (1, 4, (13, 2), (5, 11)):
        assert applied(T.Resize(size), constant) == pytest.approx(0.3, abs=1e-6)
    with pytest.raises(ValueError, match=r"\[Resize\] expected size of at least 1, got 0"):
        T.Resize(0)
