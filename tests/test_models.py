"""The networks of fastdl.models: sizes, work, shapes, gradients, inner layers, weights from files, errors."""

import re

import numpy as np
import pytest

import fastdl
from fastdl import models, nn
from fastdl.data import catalogue, from_installed

PARAMETERS = {
    "alexnet": 61_100_840, "alexnet_undivided": 62_378_344, "alexnet_two_groups": 60_965_224,
    "vgg16": 138_357_544, "vgg19": 143_667_240, "googlenet": 13_004_888, "googlenet_published": 13_378_280,
    "inception_v3": 27_161_264, "mobilenet_v2": 3_504_872, "digits_network": 19_082,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "resnet20_cifar": 269_722, "plain20_cifar": 269_722, "resnet56_cifar": 853_018,
    "plain56_cifar": 853_018,
}  # fmt: skip


def test_every_network_is_listed():
    assert set(PARAMETERS) < set(models.list_models()) and len(models.list_models()) == 28
    assert models.list_models("vgg*", exclude=["*_bn"]) == ["vgg11", "vgg13", "vgg16", "vgg19"]


@pytest.fixture
def quick(monkeypatch):
    """Shapes are asked for, so that no random numbers are drawn."""
    for draw in ("default_", "normal_", "trunc_normal_", "kaiming_normal_", "xavier_uniform_"):
        monkeypatch.setattr(nn.init, draw, lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name, quick):
    """Exactly the published numbers."""
    model = models.get_model(name)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]
    if name == "googlenet_published":
        heads = [*model.aux1.parameters(), *model.aux2.parameters()]
        assert PARAMETERS[name] - sum(p.numel() for p in heads) == 6_998_552
    if name.startswith("alexnet_"):
        found = models.create_feature_extractor(model.eval(), ["flatten"])(fastdl.zeros(1, 3, 227, 227))
        assert found["flatten"].shape == (1, 9216)


@pytest.mark.parametrize(("name", "published", "exact"), [
    ("resnet18", 1.8, 1_814_073_344), ("resnet34", 3.6, 3_663_761_408), ("resnet50_published", 3.8, 3_857_973_248),
    ("resnet101_published", 7.6, 7_570_194_432), ("resnet152_published", 11.3, 11_282_415_616),
    ("resnet50", 4.1, 4_089_184_256),
])  # fmt: skip
def test_multiply_adds(name, published, exact, quick):
    """The paper's table rounds some numbers down and others to the nearest."""
    model = models.get_model(name)
    assert models.multiply_adds(model, fastdl.zeros(1, 3, 224, 224)) == exact
    assert abs(exact / 1e9 - published) < 0.1
    assert model.training and all(not m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("name", ["resnet18", "resnet50_published", "mobilenet_v2", "googlenet", "resnet20_cifar",
                                  "plain20_cifar"])  # fmt: skip
def test_gradients_reach_every_parameter(name):
    model = models.get_model(name, num_classes=5)
    out = model(fastdl.randn(2, 3, 64, 64))
    outs = out if isinstance(out, tuple) else [out]
    assert all(o.shape == (2, 5) for o in outs) and len(outs) == (3 if name == "googlenet" else 1)
    sum(o.square().sum() for o in outs).backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_heads_of_the_published_googlenet():
    model = models.googlenet_published(num_classes=3)
    out = model(fastdl.zeros(1, 3, 224, 224))
    assert out._fields == ("logits", "aux_logits2", "aux_logits1") and [o.shape for o in out] == [(1, 3)] * 3
    assert model.eval()(fastdl.zeros(1, 3, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize("name", models.list_models())
def test_summary(name, quick):
    model = models.get_model(name)
    size = {"digits_network": 28, "alexnet": 64, "inception_v3": 75}.get(name, 227 if "alexnet" in name else 32)
    found = fastdl.summary(model, (1 if size == 28 else 3, size, size))
    assert found.total_params == sum(p.numel() for p in model.parameters())
    assert found.rows[-1].output_shape == (None, 10 if size == 28 or "cifar" in name else 1000)


def test_features_share_names_and_stop_early():
    net = models.resnet20_cifar()
    ran = []
    net.fc.register_forward_hook(lambda *_: ran.append("fc"))
    features = models.create_feature_extractor(net, {"layer3": "feat", "layer1.0": "low"})
    out = features(fastdl.zeros(2, 3, 32, 32))
    assert list(out) == ["feat", "low"] and out["feat"].shape == (2, 64, 8, 8) and ran == []
    assert list(features.state_dict()) == list(net.state_dict())
    features.eval()
    assert not net.training and not net.layer1.training
    out["feat"].sum().backward()
    assert net.conv1.weight.grad is not None
    modes = models.create_feature_extractor(net, train_return_nodes=["fc"], eval_return_nodes=["avgpool"])
    assert list(modes(fastdl.zeros(1, 3, 32, 32))) == ["avgpool"]
    assert list(modes.train()(fastdl.zeros(2, 3, 32, 32))) == ["fc"]


@pytest.mark.parametrize("file", ["w.safetensors", "w"])
def test_weights_from_a_file(tmp_path, file):
    state = models.resnet20_cifar().state_dict()
    kept = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}  # as old files are
    fastdl.save(kept, tmp_path / file)
    again = models.resnet20_cifar(weights=tmp_path / file).state_dict()
    assert all(np.array_equal(state[k].numpy(), again[k].numpy()) for k in kept)


@pytest.mark.parametrize(("make", "error", "text"), [
    (lambda: models.resnet18(weights="DEFAULT"), ValueError, "fastdl downloads nothing"),
    (lambda: models.vgg16(weights="IMAGENET1K_V1"), ValueError, "[vgg16] expected weights as None or the path"),
    (lambda: models.resnet18(weights=True), TypeError, "[resnet18] expected weights as None or the path"),
    (lambda: models.resnet18(weights="none.pth"), FileNotFoundError, "none.pth"),
    (lambda: models.get_model("resnet19"), ValueError, "[get_model] expected one of"),
    (lambda: models.get_model(18), TypeError, "[get_model] expected name of type str"),
    (lambda: models.CifarResNet(21), ValueError, "expected depth 6n + 2"),
    (lambda: models.AlexNetPublished(groups=3), ValueError, "expected groups 1 or 2, got 3"),
    (lambda: models.resnet18(replace_stride_with_dilation=[True]), ValueError, "None or 3 bools"),
    (lambda: models.mobilenet_v2(inverted_residual_setting=[[1, 2]]), ValueError, "rows of 4 numbers"),
    (lambda: models.create_feature_extractor(nn.ReLU(), ["x"]), ValueError, "expected the name of a layer"),
    (lambda: models.create_feature_extractor(nn.ReLU(), "x"), TypeError, "a dict or list"),
    (lambda: models.create_feature_extractor(nn.ReLU()), ValueError, "got both or none"),
    (lambda: models.create_feature_extractor(nn.ReLU(), []), ValueError, "at least one layer"),
    (lambda: models.list_models(3), TypeError, "[list_models] expected include as patterns, got int"),
    (lambda: models.CifarResNet("a"), ValueError, "expected depth 6n + 2 from 8 on, got 'a'"),
    (lambda: models.mobilenet_v2(width_mult=-1), ValueError, "expected width_mult above 0, got -1"),
    (lambda: models.multiply_adds(3), TypeError, "expected a Module"),
])  # fmt: skip
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


@pytest.mark.slow
@pytest.mark.skipif(
    not all(catalogue()[name].installed for name in ("mobilenet_v2", "imagenet_samples")),
    reason="needs packages of requirements-data.txt",
)
def test_mobilenet_reads_photographs():
    """18 of the 20 ImageNet pictures in foolbox, with torchvision's published weights."""
    from PIL import Image

    model = models.mobilenet_v2()
    model.load_state_dict(from_installed("mobilenet_v2"))
    model.eval()
    samples = from_installed("imagenet_samples")
    pictures = [Image.fromarray((i.transpose(1, 2, 0) * 255).round().astype(np.uint8)) for i in samples["images"]]
    # as torchvision evaluates: bilinear to 256, the middle 224
    resized = [picture.resize((256, 256), Image.Resampling.BILINEAR) for picture in pictures]
    images = np.stack([np.asarray(i, np.float32) for i in resized])[:, 16:240, 16:240] / 255
    images = (images - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    with fastdl.no_grad():
        found = model(fastdl.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy().argmax(1)
    assert len(found) == 20 and (found == samples["labels"]).sum() >= 18
