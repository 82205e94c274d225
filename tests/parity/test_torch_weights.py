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


def test_safetensors_of_every_precision(tmp_path):
    from safetensors.torch import load_file, save_file

    base = torch.linspace(-3, 3, 12).reshape(3, 4)
    saved = {
        "half": base.half(), "brain": base.bfloat16(), "double": base.double(), "float": base, "flags": base > 0,
        "bytes": (base.abs() * 9).to(torch.uint8), "small": base.to(torch.int8), "short": base.to(torch.int16),
        "int": base.to(torch.int32), "long": base.long(), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3),
    }  # fmt: skip
    save_file(saved, tmp_path / "w.safetensors")
    found = fastdl.load(tmp_path / "w.safetensors")
    assert found.keys() == saved.keys()
    for name, value in saved.items():
        assert found[name].shape == tuple(value.shape)
        assert found[name].tolist() == (value.float() if value.is_floating_point() else value).tolist(), name
    fastdl.save(found, tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert all(again[name].tolist() == value.tolist() for name, value in found.items())
    save_file({"eighth": base.to(torch.float8_e4m3fn)}, tmp_path / "f8.safetensors")
    with pytest.raises(ValueError, match=r"\[load\] expected a safetensors file, got .*numbers of dtype F8_E4M3"):
        fastdl.load(tmp_path / "f8.safetensors")
