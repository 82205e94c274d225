"""Transforms of whole batches of images, under torchvision's names where it has them.

A transform is called as `transform(batch, rng)` on the tuple of arrays of a batch, as a `DataLoader` does: it changes
the first array, images (N, C, H, W) of float32, draws for each image anew, and passes the other arrays on. `Compose`
makes one of several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .augment import affine, resize

Batch = tuple[Any, ...]
Range = tuple[float, float]


class Transform:
    """Base class: define `images(x, rng)` on (N, C, H, W); it may change x in place, which is a copy."""

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise NotImplementedError(f"[{type(self).__name__}] expected an images method, got none")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        x, *rest = batch
        if not isinstance(x, np.ndarray) or x.ndim != 4:
            shape = getattr(x, "shape", type(x).__name__)
            raise ValueError(f"[{type(self).__name__}] expected images (N, C, H, W), got shape {shape}")
        return (np.ascontiguousarray(self.images(x.astype(np.float32), rng)), *rest)

    def _expect(self, condition: bool, expected: str, got: Any) -> None:
        if not condition:
            raise ValueError(f"[{type(self).__name__}] expected {expected}, got {got}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


class Compose:
    """Transforms one after the other (`torchvision.transforms.Compose`).

    >>> rng = np.random.default_rng(0)
    >>> both = Compose([RandomCrop(24), Normalize([0.5], [0.25])])
    >>> both((np.ones((2, 1, 28, 28), np.float32), np.arange(2)), rng)[0].shape
    (2, 1, 24, 24)
    """

    def __init__(self, transforms: Sequence[Callable[[Batch, np.random.Generator], Batch]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        for transform in self.transforms:
            batch = transform(batch, rng)
        return batch

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class _Flip(Transform):
    axis = -1

    def __init__(self, p: float = 0.5) -> None:
        self.p = p
        self._expect(0 <= p <= 1, "p between 0 and 1", p)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.random(len(x)) < self.p
        x[chosen] = np.flip(x[chosen], self.axis)
        return x


class RandomHorizontalFlip(_Flip):
    """Mirrors an image left to right with probability p (`torchvision.transforms.RandomHorizontalFlip`)."""


class RandomVerticalFlip(_Flip):
    """Mirrors an image top to bottom with probability p (`torchvision.transforms.RandomVerticalFlip`)."""

    axis = -2


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _windows(x: np.ndarray, tops: np.ndarray, lefts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Of each image the window of that size at its own place."""
    rows = (tops[:, None] + np.arange(height))[:, None, :, None]
    columns = (lefts[:, None] + np.arange(width))[:, None, None, :]
    n, channels = x.shape[:2]
    return x[np.arange(n)[:, None, None, None], np.arange(channels)[None, :, None, None], rows, columns]


class Resize(Transform):
    """Images at another size, bilinear (`torchvision.transforms.Resize`).

    size: (height, width), or an int for the shorter side; the longer one follows. antialias: where images shrink, every
    pixel is a weighted mean over all that fall into it, not over the nearest two a side.

    >>> Resize(224)((np.zeros((2, 3, 28, 56), np.float32),), None)[0].shape
    (2, 3, 224, 448)
    """

    def __init__(self, size: int | Sequence[int], antialias: bool = True) -> None:
        self.size, self.antialias = size, antialias
        self._expect(min(_pair(size)) >= 1, "size of at least 1", size)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._expect(min(x.shape[2:]) >= 1, "images of at least one pixel", x.shape)
        if not isinstance(self.size, int):
            return resize(x, _pair(self.size), self.antialias)
        short = min(x.shape[2:])
        height, width = (int(self.size * side / short) for side in x.shape[2:])
        return resize(x, (height, width), self.antialias)


class RandomCrop(Transform):
    """A window of `size` (int or (height, width)) at a random place, after padding.

    The counterpart is `torchvision.transforms.RandomCrop`. padding_mode is NumPy's: "constant" (zeros), "edge",
    "reflect", "symmetric" or "wrap".
    """

    def __init__(self, size: int | Sequence[int], padding: int = 0, padding_mode: str = "constant") -> None:
        self.size, self.padding, self.padding_mode = _pair(size), padding, padding_mode
        self._expect(min(self.size) >= 1, "size of at least 1", size)
        self._expect(padding >= 0, "padding of at least 0", padding)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.padding:
            side = (self.padding, self.padding)
            x = np.pad(x, ((0, 0), (0, 0), side, side), mode=self.padding_mode)  # type: ignore[call-overload]
        height, width = self.size
        self._expect(height <= x.shape[2] and width <= x.shape[3], f"images of at least {self.size}", x.shape[2:])
        tops = rng.integers(0, x.shape[2] - height + 1, len(x))
        return _windows(x, tops, rng.integers(0, x.shape[3] - width + 1, len(x)), height, width)


class CenterCrop(Transform):
    """The window of `size` in the middle (`torchvision.transforms.CenterCrop`)."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair(size)
        self._expect(min(self.size) >= 1, "size of at least 1", size)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = self.size
        self._expect(height <= x.shape[2] and width <= x.shape[3], f"images of at least {self.size}", x.shape[2:])
        top, left = (x.shape[2] - height + 1) // 2, (x.shape[3] - width + 1) // 2
        return x[:, :, top : top + height, left : left + width]


class RandomShift(Transform):
    """Moves an image by up to `pixels` (int or (down, across)) in whole pixels; zeros come in."""

    def __init__(self, pixels: int | Sequence[int]) -> None:
        self.pixels = _pair(pixels)
        self._expect(min(self.pixels) >= 0, "pixels of at least 0", pixels)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        down, across = self.pixels
        height, width = x.shape[2:]
        padded = np.pad(x, ((0, 0), (0, 0), (down, down), (across, across)))
        tops = rng.integers(0, 2 * down + 1, len(x))
        return _windows(padded, tops, rng.integers(0, 2 * across + 1, len(x)), height, width)


class RandomCyclicShift(Transform):
    """As `RandomShift`; what leaves on one side comes in on the other."""

    def __init__(self, pixels: int | Sequence[int]) -> None:
        self.pixels = _pair(pixels)
        self._expect(min(self.pixels) >= 0, "pixels of at least 0", pixels)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        steps = [rng.integers(-most, most + 1, len(x)) for most in self.pixels]
        return np.stack([np.roll(image, move, (1, 2)) for image, move in zip(x, zip(*steps, strict=True), strict=True)])


class RandomRotation(Transform):
    """Turns an image about its centre by an angle in [-degrees, degrees] or a given range, counter-clockwise; bilinear,
    zeros outside (`torchvision.transforms.RandomRotation`)."""

    def __init__(self, degrees: float | Range) -> None:
        self.degrees: Range = (-degrees, degrees) if isinstance(degrees, int | float) else (degrees[0], degrees[1])
        self._expect(self.degrees[0] <= self.degrees[1], "degrees of at least 0, or (low, high)", degrees)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(rng.uniform(*self.degrees, len(x)))
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)
        return affine(x, matrix, np.zeros((len(x), 2)))


class GaussianNoise(Transform):
    """Adds noise of a mean and a standard deviation (`torchvision.transforms.v2.GaussianNoise`, without clipping)."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1) -> None:
        self.mean, self.sigma = mean, sigma
        self._expect(sigma >= 0, "sigma of at least 0", sigma)

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return x + rng.normal(self.mean, self.sigma, x.shape).astype(np.float32)


class ColorJitter(Transform):
    """Brightness, contrast and saturation, in that order, by a factor each in [max(0, 1 - amount), 1 + amount].

    A pair is the range itself. Results are cut to [0, 1]; saturation wants 3 channels. The counterpart is
    `torchvision.transforms.ColorJitter`, which also draws the order.
    """

    def __init__(
        self, brightness: float | Range = 0.0, contrast: float | Range = 0.0, saturation: float | Range = 0.0
    ) -> None:
        self.brightness, self.contrast, self.saturation = (
            self._range(name, amount)
            for name, amount in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation))
        )

    def _range(self, name: str, amount: float | Range) -> Range:
        low, high = (max(0.0, 1 - amount), 1 + amount) if isinstance(amount, int | float) else (amount[0], amount[1])
        self._expect(0 <= low <= high, f"{name} of at least 0, or 0 <= low <= high", amount)
        return low, high

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._expect(self.saturation == (1, 1) or x.shape[1] == 3, "3 channels for saturation", x.shape[1])
        brightness, contrast, saturation = (
            rng.uniform(*span, (len(x), 1, 1, 1)).astype(np.float32)
            for span in (self.brightness, self.contrast, self.saturation)
        )
        x = np.clip(x * brightness, 0, 1)
        if self.contrast != (1, 1):
            x = np.clip(_blend(x, _grey(x).mean((2, 3), keepdims=True), contrast), 0, 1)
        if self.saturation != (1, 1):
            x = np.clip(_blend(x, _grey(x), saturation), 0, 1)
        return x


def _blend(x: np.ndarray, other: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return other + (x - other) * factor


def _grey(x: np.ndarray) -> np.ndarray:
    """Luminance of RGB images (N, 1, H, W); images of other channels: their mean."""
    weights = [0.2989, 0.587, 0.114] if x.shape[1] == 3 else [1 / x.shape[1]] * x.shape[1]
    return np.tensordot(x, np.asarray(weights, np.float32), ((1,), (0,)))[:, None]


class Normalize(Transform):
    """(x - mean) / std for each channel (`torchvision.transforms.Normalize`).

    >>> images = np.stack([np.full((2, 2), 3.0), np.full((2, 2), 5.0)])[None]
    >>> Normalize.of(np.concatenate([images - 1, images + 1]))((images,), None)[0].ravel().tolist() == [0.0] * 8
    True
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self._expect(self.mean.shape == self.std.shape and self.mean.ndim == 1, "one mean and std a channel",
                     f"{self.mean.shape} and {self.std.shape}")  # fmt: skip
        self._expect(bool((self.std > 0).all()), "std above 0", list(std))

    @classmethod
    def of(cls, images: np.ndarray) -> Normalize:
        """With the means and deviations of the channels of given images (N, C, H, W)."""
        return cls(images.mean((0, 2, 3)), images.std((0, 2, 3)))

    def images(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._expect(x.shape[1] == len(self.mean), f"{len(self.mean)} channels", x.shape[1])
        return (x - self.mean[:, None, None]) / self.std[:, None, None]
