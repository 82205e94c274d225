"""Augmentation of batches of images on the host."""

from __future__ import annotations

from typing import Any

import numpy as np


class Augment:
    """Random rotation, scaling, shear and shift of each image of a batch: one affine map, bilinear, zeros outside.

    Use it as the `transform` of a `DataLoader`; it changes the first array of the batch, (N, C, H, W) or (N, H, W)
    float32, and passes the others on.

    Args:
        degrees: rotation, uniform in [-degrees, degrees].
        scale: range of the enlargement factor; drawn for both axes separately.
        shear: uniform in [-shear, shear], pixels along x for each pixel along y.
        shift: translation in pixels, uniform in [-shift, shift] along both axes.
        noise: standard deviation of Gaussian noise added at the end.
        flip: whether to mirror half of the images left to right.

    >>> rng = np.random.default_rng(0)
    >>> Augment(degrees=10, shift=2)((np.ones((4, 1, 28, 28), np.float32),), rng)[0].shape
    (4, 1, 28, 28)
    """

    def __init__(
        self, degrees: float = 0.0, scale: tuple[float, float] = (1.0, 1.0), shear: float = 0.0, shift: float = 0.0,
        noise: float = 0.0, flip: bool = False,
    ) -> None:  # fmt: skip
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f"[Augment] expected scale as (low, high) with 0 < low <= high, got {scale}")
        for name, value in (("degrees", degrees), ("shear", shear), ("shift", shift), ("noise", noise)):
            if value < 0:
                raise ValueError(f"[Augment] expected {name} of at least 0, got {value}")
        self.degrees, self.scale, self.shear, self.shift, self.noise, self.flip = (
            degrees,
            scale,
            shear,
            shift,
            noise,
            flip,
        )

    def __call__(self, batch: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
        images, *rest = batch
        if images.ndim not in (3, 4):
            raise ValueError(f"[Augment] expected images (N, C, H, W) or (N, H, W), got shape {images.shape}")
        x = images if images.ndim == 4 else images[:, None]
        x = affine(x, *self._draw(len(x), rng))
        if self.flip:
            mirror = rng.random(len(x)) < 0.5
            x[mirror] = x[mirror, :, :, ::-1]
        if self.noise:
            x += rng.normal(0.0, self.noise, x.shape).astype(np.float32)
        return (x.reshape(images.shape), *rest)

    def _draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Matrices (n, 2, 2) and shifts (n, 2), from output to input pixels, in the order (y, x)."""
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees, n))
        sy, sx = 1.0 / rng.uniform(*self.scale, (2, n))
        shear = rng.uniform(-self.shear, self.shear, n)
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.empty((n, 2, 2))
        matrix[:, 0, 0], matrix[:, 0, 1] = cos * sy, sin * sy
        matrix[:, 1, 0], matrix[:, 1, 1] = (-sin + shear * cos) * sx, (cos + shear * sin) * sx
        return matrix, rng.uniform(-self.shift, self.shift, (n, 2))


def affine(x: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Each image of x (N, C, H, W) sampled at matrix @ (y, x) + shift about its centre, bilinear, zeros outside."""
    n, channels, height, width = x.shape
    yy, xx = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    grid = np.stack([yy.ravel(), xx.ravel()]).astype(np.float32)  # (2, pixels)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    at = matrix.astype(np.float32) @ grid + (shift + centre).astype(np.float32)[:, :, None]
    # One pixel of zeros all round, so that every neighbour of a clipped position exists.
    padded = np.zeros((n, channels, height + 2, width + 2), np.float32)
    padded[:, :, 1:-1, 1:-1] = x
    y = np.clip(at[:, 0] + 1, 0, height + 0.999)
    z = np.clip(at[:, 1] + 1, 0, width + 0.999)
    y0, x0 = y.astype(np.int64), z.astype(np.int64)
    wy, wx = (y - y0)[:, None], (z - x0)[:, None]
    flat = padded.reshape(n, channels, -1)
    corner = (y0 * (width + 2) + x0)[:, None]
    row = width + 2

    def pick(offset: int) -> np.ndarray:
        return np.take_along_axis(flat, np.broadcast_to(corner + offset, (n, channels, corner.shape[2])), axis=2)

    top = pick(0) * (1 - wx) + pick(1) * wx
    bottom = pick(row) * (1 - wx) + pick(row + 1) * wx
    return (top * (1 - wy) + bottom * wy).reshape(x.shape).astype(np.float32)


def resize(x: np.ndarray, size: tuple[int, int], antialias: bool = True) -> np.ndarray:
    """Images x (N, C, H, W) at another size, bilinear; where they shrink, `antialias` widens the filter accordingly."""
    rows, columns = (_triangles(n, m, antialias) for n, m in zip(x.shape[2:], size, strict=True))
    return np.matmul(np.matmul(rows, x), columns.T)


def _triangles(n: int, m: int, antialias: bool) -> np.ndarray:
    """Weights (m, n) that n pixels have in each of m: a triangle about the place, its sides cut off at the border."""
    scale = n / m
    width = max(scale, 1.0) if antialias else 1.0
    places = (np.arange(m) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(n) + 0.5 - places[:, None]) / width)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
