"""Grids and sampling at their places against PyTorch, forward and backward."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
theirs = torch.nn.functional
RNG = np.random.default_rng(8)
IMAGE, VOLUME = RNG.standard_normal((2, 3, 5, 6)), RNG.standard_normal((2, 3, 4, 5, 6))
PLACES = RNG.uniform(-3, 3, (2, 4, 7, 2))
WITHIN = RNG.uniform(-1.1, 1.1, (2, 3, 4, 2, 3))


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic", "volume", "volume/nearest"])
def test_grid_sample(mode, padding, aligned):
    image, grid = (VOLUME, WITHIN) if mode.startswith("volume") else (IMAGE, PLACES)
    name = {"volume": "bilinear", "volume/nearest": "nearest"}.get(mode, mode)
    ours = [fastdl.tensor(a, requires_grad=True) for a in (image, grid)]
    other = [torch.tensor(a, requires_grad=True) for a in (image, grid)]
    found, expected = F.grid_sample(*ours, name, padding, aligned), theirs.grid_sample(*other, name, padding, aligned)
    assert_close(found.detach(), expected.detach().numpy(), 256)
    weight = np.random.default_rng(0).standard_normal(tuple(expected.shape))
    (found * fastdl.tensor(weight)).sum().backward()
    (expected * torch.tensor(weight)).sum().backward()
    assert_close(ours[0].grad, other[0].grad.numpy(), 2048)
    if name == "nearest":
        assert ours[1].grad is None or not ours[1].grad.any()
    else:
        assert_close(ours[1].grad, other[1].grad.numpy(), 2048)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_edges_and_places_far_away(mode, padding):
    points = np.array([-1, -1 / 3, 0, 1 / 3, 1, -5, 7, np.nan, 1e6, -1e6], np.float32)
    grid = np.stack(np.meshgrid(points, points), -1)[None]
    grid = np.nan_to_num(grid, nan=2.0) if padding == "zeros" else grid  # there PyTorch's NaN has no one meaning
    image = IMAGE[:1].astype(np.float32)
    found = F.grid_sample(fastdl.tensor(image), fastdl.tensor(grid), mode, padding)
    expected = theirs.grid_sample(torch.tensor(image), torch.tensor(grid), mode, padding, False).numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("size", [(2, 1, 4, 5), (2, 3, 2, 3), (2, 1, 2, 3, 4)])
def test_affine_grid(size, aligned):
    axes = len(size) - 2
    theta = RNG.standard_normal((2, axes, axes + 1))
    ours, other = fastdl.tensor(theta, requires_grad=True), torch.tensor(theta, requires_grad=True)
    found, expected = F.affine_grid(ours, size, aligned), theirs.affine_grid(other, size, aligned)
    assert_close(found.detach(), expected.detach().numpy(), 64)
    found.square().sum().backward()
    expected.square().sum().backward()
    assert_close(ours.grad, other.grad.numpy(), 1024)


def test_a_spatial_transformer_has_a_plan():
    theta = fastdl.tensor([[[0.8, 0.2, 0.1], [-0.1, 1.2, 0.0]]])

    def turn(x):
        return F.grid_sample(x, F.affine_grid(theta.expand(x.shape[0], 2, 3), x.shape))

    x = fastdl.tensor(IMAGE, dtype="float32")
    assert_close(fastdl.compile(turn, x)(x), turn(x), 8)


@pytest.mark.filterwarnings("ignore")
def test_upsample_is_interpolate():
    found = F.upsample(fastdl.tensor(IMAGE), scale_factor=2, mode="bilinear", align_corners=True)
    expected = theirs.upsample(torch.tensor(IMAGE), scale_factor=2, mode="bilinear", align_corners=True)
    assert_close(found, expected.numpy(), 64)


def test_bad_arguments():
    x, g = fastdl.zeros(1, 2, 3, 3), fastdl.zeros(1, 2, 2, 2)
    for arguments, message in (
        ((x, g, "linear"), "expected mode bilinear, nearest, bicubic for 4 axes, got 'linear'"),
        ((x, g, "nearest", "wrap"), "expected padding_mode zeros, border, reflection, got 'wrap'"),
        ((x, g[..., :1]), r"got \(1, 2, 3, 3\), \(1, 2, 2, 1\)"),
        ((fastdl.zeros(1, 2, 0, 3), g), "expected images with elements"),
        ((fastdl.zeros(1, 1, 2, 2, 2), fastdl.zeros(1, 1, 1, 1, 3), "bicubic"), "for 5 axes, got 'bicubic'"),
    ):
        with pytest.raises(ValueError, match=message):
            F.grid_sample(*arguments)
    with pytest.raises(TypeError, match="expected grid of dtype float32, got float64"):
        F.grid_sample(x, g.double())
    with pytest.raises(ValueError, match=r"expected theta of shape \(1, 2, 3\), got shape \(1, 3, 2\)"):
        F.affine_grid(fastdl.zeros(1, 3, 2), (1, 1, 2, 2))
