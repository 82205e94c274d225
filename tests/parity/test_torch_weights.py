"""Files that PyTorch wrote, in both of its formats."""

import collections

import pytest

import fastdl
from fastdl import nn
from fastdl.torch_files import load_torch

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("archive", [True, False])
def test_state_dicts(tmp_path, archive):
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    torch.save(theirs.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=archive)
    found = fastdl.load(tmp_path / "w.pth")
    assert isinstance(found, collections.OrderedDict)
    mine = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    mine.load_state_dict(found)
    x = torch.randn(2, 1, 4, 4)
    expected = theirs(x).detach().numpy()
    assert abs(mine(fastdl.tensor(x.numpy())).detach().numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("archive", [True, False])
def test_checkpoints_with_views_dtypes_and_plain_values(tmp_path, archive):
    base = torch.arange(24.0)
    saved = {
        "epoch": 3, "name": "x", "rate": 0.5, "nothing": None, "list": [base[3:9], (base.view(4, 6).t(),)],
        "half": base[:4].half(), "brain": base[:4].bfloat16(), "bytes": torch.arange(4, dtype=torch.uint8),
        "long": torch.arange(3), "flags": base > 20, "parameter": torch.nn.Parameter(base[:2].clone()),
        "shape": base.shape,
    }  # fmt: skip
    torch.save(saved, tmp_path / "c.pt", _use_new_zipfile_serialization=archive)
    found = load_torch(tmp_path / "c.pt")
    assert [found[k] for k in ("epoch", "name", "rate", "nothing", "shape")] == [3, "x", 0.5, None, (24,)]
    assert found["list"][0].tolist() == saved["list"][0].tolist()
    assert found["list"][1][0].tolist() == saved["list"][1][0].tolist()
    for name in ("half", "brain", "bytes", "long", "flags", "parameter"):
        assert found[name].tolist() == saved[name].tolist(), name


def test_a_pickled_model_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(ValueError, match="which weights do not need"):
        load_torch(tmp_path / "model.pth")
