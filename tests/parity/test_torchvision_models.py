"""Networks against torchvision's: names and shapes of the state, outputs in training and evaluation, statistics."""

import numpy as np
import pytest

import fastdl
from fastdl import models

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")

VGG = [f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")]
RESNET = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
INCEPTION = ("googlenet", "inception_v3")


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch):
    """Every weight is set below, so that none is drawn before."""
    for draw in ("default_", "normal_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_"):
        monkeypatch.setattr(fastdl.nn.init, draw, lambda tensor, *_, **__: tensor)


def pair(name):
    """torchvision's network and ours with its weights: as He et al. by fan-in, no dropout, statistics of one batch."""
    torch.manual_seed(0)
    plain = {"init_weights": False} if name.startswith("vgg") or name in INCEPTION else {}
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(**plain)
    theirs, mine = theirs.to_empty(device="cpu"), models.get_model(name, **plain)
    with torch.no_grad():
        for key, b in theirs.named_buffers():
            b.fill_(1 if key.endswith("running_var") else 0)
        for p in theirs.parameters():
            p.normal_(0, (2 / p[0].numel()) ** 0.5) if p.ndim > 1 else p.uniform_(0.5, 1)
    state = theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in mine.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in state.items()
    ]
    mine.load_state_dict({k: fastdl.tensor(v.numpy()) for k, v in state.items()})
    for module in [*theirs.modules(), *mine.modules()]:
        if "Dropout" in type(module).__name__:
            module.p = 0.0
        if "BatchNorm" in type(module).__name__:
            module.momentum = 1.0
    return mine, theirs


def close(mine, theirs, what):
    theirs = theirs.detach().numpy()
    error = np.abs(mine.detach().numpy() - theirs).max() / max(np.abs(theirs).max(), 1e-30)
    assert error < 1e-4, (what, error)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v2", *INCEPTION, *RESNET, *VGG])
def test_equal_weights_give_equal_outputs(name):
    mine, theirs = pair(name)
    size = 299 if name == "inception_v3" else 64
    x = torch.randn(3, 3, size, size)
    with torch.no_grad(), fastdl.no_grad():
        found, expected = mine(fastdl.tensor(x.numpy())), theirs(x)
        if name in INCEPTION:
            assert found._fields == expected._fields
        else:
            found, expected = [found], [expected]
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            close(a, b, f"output {i} in training")
        buffers = dict(theirs.named_buffers())
        for key, value in mine.named_buffers():
            close(value, buffers[key], key)
        mine.load_state_dict({k: fastdl.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
        close(mine.eval()(fastdl.tensor(x.numpy())), theirs.eval()(x), "output in evaluation")


def test_feature_extractor_follows_torchvisions():
    from torchvision.models.feature_extraction import create_feature_extractor

    mine, theirs = pair("resnet18")
    nodes = {"layer1.0.relu": "first", "layer1.0.relu_1": "second", "layer3": "feat", "avgpool": "pooled"}
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad(), fastdl.no_grad():
        expected = create_feature_extractor(theirs.eval(), nodes)(x)
        found = models.create_feature_extractor(mine.eval(), nodes)(fastdl.tensor(x.numpy()))
    assert list(found) == list(expected)
    for name in found:
        close(found[name], expected[name], name)


def test_files_written_by_torch_load(tmp_path):
    torch.save(torchvision.models.googlenet(init_weights=False).state_dict(), tmp_path / "googlenet.pth")
    mine = models.googlenet(weights=tmp_path / "googlenet.pth")
    assert mine.transform_input and mine.aux1 is None
    assert models.googlenet(weights=tmp_path / "googlenet.pth", aux_logits=True).aux1 is not None
