"""Pictures of layers, detections and embeddings: drawn to files, with the right things on them."""

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.viz import (
    activations,
    check_activations,
    plot_activation_histograms,
    plot_detections,
    plot_embedding,
    plot_feature_maps,
    plot_filters,
    plot_patches,
    plot_profile,
    strongest_patches,
)


def model():
    fastdl.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))


def test_activations_are_collected_and_hooks_removed():
    net = model()
    with activations(net) as found:
        net(fastdl.randn(2, 3, 8, 8))
    assert {n: t.shape for n, t in found.items()} == {"0": (2, 8, 6, 6), "1": (2, 8, 6, 6), "2": (2, 288), "3": (2, 4)}
    assert not any(t.requires_grad for t in found.values())
    found.clear()
    net(fastdl.randn(2, 3, 8, 8))
    assert found == {}
    with pytest.raises(ValueError, match=r"\[activations\] expected layers 0, 1, 2, 3, got 'conv'"), \
         activations(net, ["conv"]):  # fmt: skip
        pass


def test_pictures_of_layers(tmp_path):
    net = model()
    image = fastdl.randn(3, 8, 8)
    with activations(net) as found:
        net(image.unsqueeze(0))
    assert len(plot_filters(net[0].weight, tmp_path / "filters.png").axes) == 8
    assert len(plot_filters(np.ones((5, 2, 3, 3))).axes) == 5
    maps = plot_feature_maps(net, image, "1", tmp_path / "maps.png", maps=6)
    assert len(maps.axes) == 6 and net.training
    assert len(plot_activation_histograms(found, tmp_path / "histograms.png").axes) == 4
    assert all((tmp_path / f"{n}.png").stat().st_size > 1000 for n in ("filters", "maps", "histograms"))
    with pytest.raises(ValueError, match=r"\[plot_feature_maps\] expected a layer with maps"):
        plot_feature_maps(net, image, "3")
    with pytest.raises(ValueError, match=r"\[plot_filters\] expected weights"):
        plot_filters(np.ones((2, 2)))


def test_alarms():
    values = np.ones((4, 3, 2, 2))
    values[:, 1] = 0
    values[0, 0, 0, 0], values[1, 0, 0, 0], values[2, 0, 0, 0] = np.nan, np.inf, -1e9
    assert [str(a) for a in check_activations({"conv": values})] == [
        "conv: 1 of 48 values are NaN", "conv: 1 of 48 values are infinite",
        "conv: 1 of 48 values are beyond 10000", "conv: 1 of 3 channels are zero for every item",
    ]  # fmt: skip
    assert str(check_activations({"x": np.full((2, 2), 3.0)})[0]) == "x: every value is 3"
    assert check_activations({"x": np.random.default_rng(0).standard_normal((5, 4))}) == []


def test_detections(tmp_path):
    image = np.random.default_rng(0).random((3, 40, 60))
    mask = np.zeros((2, 40, 60))
    mask[0, 5:20, 5:25] = 1
    figure = plot_detections(image, [[5, 5, 25, 20], [30, 10, 50, 35]], ["cat", "dog"], [0.9, 0.75], mask,
                             fastdl.tensor([[[10.0, 10.0, 1.0], [20.0, 15.0, 1.0], [0.0, 0.0, 0.0]]]), [(0, 1), (1, 2)],
                             tmp_path / "found.png")  # fmt: skip
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["cat 0.90", "dog 0.75"]
    assert len(axes.patches) == 2 and len(axes.lines) == 1 and len(axes.collections[0].get_offsets()) == 2
    assert len(plot_detections(np.zeros((1, 8, 8)), boxes=fastdl.zeros(0, 4)).axes[0].patches) == 0
    for bad in ({"boxes": [[1, 2, 3]]}, {"masks": np.ones((1, 3, 3))}, {"keypoints": np.ones((2, 2))}):
        with pytest.raises(ValueError, match=r"\[plot_detections\] expected (boxes|masks|keypoints) of shape"):
            plot_detections(image, **bad)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_embeddings(tmp_path, method):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 10)
    figure = plot_embedding(rng.standard_normal((30, 8)) + 5 * labels[:, None], labels, tmp_path / "e.png", method)
    assert len(figure.axes[0].collections) == 3
    words = plot_embedding(fastdl.randn(4, 2), texts=["a", "b", "c", "d"], method=method)
    assert [t.get_text() for t in words.axes[0].texts] == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match=r"\[plot_embedding\] expected method pca or tsne, got 'umap'"):
        plot_embedding(np.ones((3, 2)), method="umap")


def test_profile_of_a_plan(tmp_path):
    profile = fastdl.compile(model().eval(), fastdl.randn(2, 3, 8, 8)).profile(repeats=2)
    axes = plot_profile(profile, tmp_path / "profile.png", title="network").axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0 conv2d", "3 linear"]
    assert len(axes.patches) == 4 and (tmp_path / "profile.png").stat().st_size > 1000
    assert len(plot_profile(profile, most=1).axes[0].patches) == 2


def test_strongest_patches_are_where_the_pattern_is():
    """A filter that is a cross answers most to crosses; what it sees is its window, cut off at the border."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
    net[0].weight.data = fastdl.tensor(np.stack([cross - 0.5, 0.5 - cross])[:, None])  # their sum sees nothing
    images = [np.full((1, 9, 12), 0.1, np.float32), np.zeros((1, 8, 8), np.float32), np.zeros((1, 20, 6), np.float32)]
    images[0][0, 5:8, 7:10] = cross
    images[2][0, 17:, 3:] = 0.5 * cross
    found = strongest_patches(net, images, "0", count=5)
    assert list(found) == [0, 1] and [p.image for p in found[0]] == [0, 2, 1]
    assert found[0][0].box == (7, 5, 10, 8) and found[0][1].box == (3, 17, 6, 20)
    assert [p.value for p in found[0]] == pytest.approx([2.5, 1.25, 0.0])
    pooled = strongest_patches(net, images, "2", [0], 1)[0][0]
    assert pooled.value == pytest.approx(2.5)  # of a window of 4 x 4, what was greatest saw this much
    assert pooled.box[0] >= 7 and pooled.box[1] >= 5 and pooled.box[2] <= 12 and pooled.box[3] <= 9
    assert net.training and all(p.grad is None for p in net.parameters())


def test_strongest_patches_of_scores_are_whole_images(tmp_path):
    net = model()
    images = fastdl.rand(5, 3, 8, 8)
    found = strongest_patches(net, images, "3", [2, 0], count=4)
    scores = net.eval()(images).detach().numpy()
    assert list(found) == [2, 0] and all(p.box == (0, 0, 8, 8) for p in found[2])
    for channel, patches in found.items():
        best = np.argsort(-scores[:, channel])[:4]
        assert [p.image for p in patches] == list(best)
        assert [p.value for p in patches] == pytest.approx(list(scores[best, channel]), rel=1e-5)
    figure = plot_patches(images, {f"class {c}": p for c, p in found.items()}, tmp_path / "p.png", title="classes")
    assert [a.get_title() for a in figure.axes] == ["class 2", "class 0"]
    assert figure.axes[0].images[0].get_array().shape == (17, 17, 3) and (tmp_path / "p.png").stat().st_size > 1000


@pytest.mark.parametrize(("change", "error", "text"), [
    ({"layer": "conv"}, ValueError, "expected layer as one of 0, 1, 2, 3, got 'conv'"),
    ({"channels": [8]}, IndexError, r"expected channels in \[0, 7\], got 8"),
    ({"count": 0}, ValueError, "expected count of at least 1, got 0"),
    ({"images": np.ones((3, 8, 8))}, ValueError, r"expected images \(N, C, H, W\) or .* shape \(8, 8\)"),
    ({"images": []}, ValueError, "expected images .* got none"),
])  # fmt: skip
def test_strongest_patches_refuse(change, error, text):
    with pytest.raises(error, match=rf"\[strongest_patches\] {text}"):
        strongest_patches(**{"model": model(), "images": np.ones((2, 3, 8, 8), np.float32), "layer": "0", **change})
