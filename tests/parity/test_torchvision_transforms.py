"""Transforms of images against torchvision's."""

import numpy as np
import pytest

from fastdl.data.transforms import Resize

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transforms = pytest.importorskip("torchvision.transforms", reason="torchvision is not installed")


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [7, 20, 45, (13, 64), (40, 9), (1, 1)])
def test_resize(size, antialias):
    x = np.random.default_rng(0).random((2, 3, 20, 33), np.float32)
    expected = transforms.Resize(size, antialias=antialias)(torch.from_numpy(x)).numpy()
    (found,) = Resize(size, antialias)((x,), None)
    assert found.shape == expected.shape and found == pytest.approx(expected, abs=2e-6)
