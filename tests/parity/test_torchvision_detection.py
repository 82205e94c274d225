"""Building blocks of detectors against torchvision: losses of boxes, pyramids, layers; their gradients, their state."""

import numpy as np
import pytest

import fastdl
from fastdl import ops
from fastdl.testing import assert_close, gradcheck

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
theirs = torchvision.ops
RNG = np.random.default_rng(11)


def boxes(*shape, seed=0):
    """Boxes (..., 4) with both sides of at least 1."""
    rng = np.random.default_rng([seed, *shape])
    corner, sides = rng.uniform(0, 20, (*shape, 2)), rng.uniform(1, 15, (*shape, 2))
    return np.concatenate([corner, corner + sides], -1)


def pairs(*arrays, dtype="float64"):
    """Tensors of fastdl and of PyTorch that require gradients."""
    cast = [np.asarray(a).astype(dtype) for a in arrays]
    ours = [fastdl.tensor(a, requires_grad=True) for a in cast]
    return ours, [torch.tensor(a, requires_grad=True) for a in cast]


def assert_same_with_gradients(function, reference, arrays, dtype="float64", epsilons=64):
    ours, other = pairs(*arrays, dtype=dtype)
    found, expected = function(*ours), reference(*other)
    assert_close(found.detach(), expected.detach().numpy(), epsilons)
    weight = np.random.default_rng(1).uniform(0.5, 1, tuple(expected.shape)).astype(dtype)
    (found * fastdl.tensor(weight)).sum().backward()
    (expected * torch.tensor(weight)).sum().backward()
    for a, b in zip(ours, other, strict=True):
        assert_close(a.grad, b.grad.numpy(), 16 * epsilons)


# ---- losses ----------------------------------------------------------------------------------------------------------

PAIRWISE = ["distance_box_iou", "complete_box_iou"]
LOSSES = ["generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise(name, dtype):
    assert_same_with_gradients(getattr(ops, name), getattr(theirs, name), [boxes(7), boxes(5, seed=1)], dtype)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("shape", [(9,), (2, 3), ()])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, shape, reduction):
    def of(package):
        return lambda a, b: getattr(package, name)(a, b, reduction=reduction)

    assert_same_with_gradients(of(ops), of(theirs), [boxes(*shape), boxes(*shape, seed=1)])


@pytest.mark.parametrize("name", [n for n in (*LOSSES, *PAIRWISE) if "complete" not in n])
def test_gradients_of_losses(name):
    """Those of complete IoU take a factor as constant, so that they are no derivatives: PyTorch's are their measure."""
    assert gradcheck(getattr(ops, name), [fastdl.tensor(boxes(4, seed=s), requires_grad=True) for s in (0, 1)])


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_no_boxes(name):
    for reduction in ("none", "mean", "sum"):
        found = getattr(ops, name)(fastdl.zeros(0, 4), fastdl.zeros(0, 4), reduction=reduction)
        expected = getattr(theirs, name)(torch.zeros(0, 4), torch.zeros(0, 4), reduction=reduction)
        assert found.shape == tuple(expected.shape) and found.tolist() == expected.tolist()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"alpha": -1}, {"gamma": 0}, {"alpha": 0.6, "gamma": 3.5}], ids=str)
def test_focal_loss(options, reduction):
    logits, targets = RNG.standard_normal((5, 3)) * 4, RNG.integers(0, 2, (5, 3)).astype(float)

    def of(package, make):
        return lambda x: package.sigmoid_focal_loss(x, make(targets), reduction=reduction, **options)

    assert_same_with_gradients(of(ops, fastdl.tensor), of(theirs, torch.tensor), [logits], epsilons=256)
    x = fastdl.tensor(logits, requires_grad=True)
    assert gradcheck(of(ops, fastdl.tensor), [x])


def test_bad_arguments():
    a = fastdl.zeros(2, 4)
    with pytest.raises(
        ValueError, match=r"\[sigmoid_focal_loss\] expected alpha between 0 and 1, or -1 for none, got 2"
    ):
        ops.sigmoid_focal_loss(a, a, alpha=2)
    with pytest.raises(ValueError, match=r"\[distance_box_iou_loss\] expected boxes2 of shape \(2, 4\), got shape"):
        ops.distance_box_iou_loss(a, fastdl.zeros(3, 4))
    with pytest.raises(ValueError, match=r"\[complete_box_iou_loss\] expected reduction none, mean or sum, got 'all'"):
        ops.complete_box_iou_loss(a, a, reduction="all")
    with pytest.raises(ValueError, match=r"\[FeaturePyramidNetwork\] expected 2 maps, got 1"):
        ops.FeaturePyramidNetwork([4, 4], 2)({"a": fastdl.zeros(1, 4, 2, 2)})
    with pytest.raises(ValueError, match=r"\[MultiScaleRoIAlign\] expected maps p2 and sizes of images, got maps a"):
        ops.MultiScaleRoIAlign(["p2"], 2, 2)({"a": fastdl.zeros(1, 4, 2, 2)}, [a], [(4, 4)])
    with pytest.raises(ValueError, match=r"\[stochastic_depth\] expected mode batch or row, got 'all'"):
        ops.stochastic_depth(a, 0.5, "all")


def test_masks_to_boxes():
    masks = RNG.random((6, 9, 7)) > 0.9
    masks[2] = False
    for kind in (bool, np.uint8, np.float32):
        found = ops.masks_to_boxes(fastdl.tensor(masks.astype(kind)))
        np.testing.assert_array_equal(found.numpy(), theirs.masks_to_boxes(torch.tensor(masks.astype(kind))).numpy())
    assert ops.masks_to_boxes(fastdl.zeros(0, 3, 3)).shape == (0, 4)


# ---- layers ----------------------------------------------------------------------------------------------------------


def assert_layers_agree(mine, other, inputs, epsilons=512):
    """With equal weights: outputs, gradients of inputs and parameters."""
    mine, other = mine.double(), other.double()
    mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    assert list(mine.state_dict()) == list(other.state_dict())
    ours, reference = pairs(*inputs)
    found, expected = mine(*ours), other(*reference)
    assert_close(found.detach(), expected.detach().numpy(), epsilons)
    found.square().sum().backward()
    expected.square().sum().backward()
    gradients = [(a.grad, b.grad) for a, b in zip(ours, reference, strict=True)]
    gradients += [(a.grad, b.grad) for a, b in zip(mine.parameters(), other.parameters(), strict=True)]
    for a, b in gradients:
        assert_close(a, b.numpy(), 64 * epsilons)


IMAGES = RNG.standard_normal((2, 8, 6, 5))
LAYERS = {
    "conv": lambda k, n: k.Conv2dNormActivation(8, 4, (3, 1), 2, dilation=(1, 2)),
    "conv without norm": lambda k, n: k.Conv2dNormActivation(8, 4, 5, norm_layer=None, activation_layer=n.SiLU),
    "squeeze": lambda k, n: k.SqueezeExcitation(8, 2, scale_activation=n.Tanh),
    "permute": lambda k, n: k.Permute([0, 2, 3, 1]),
    "frozen": lambda k, n: k.FrozenBatchNorm2d(8),
    "depth": lambda k, n: k.StochasticDepth(0.5, "row").eval(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make = LAYERS[name]
    assert_layers_agree(make(ops, fastdl.nn), make(theirs, torch.nn), [IMAGES])
    assert str(make(ops, fastdl.nn)) == str(make(theirs, torch.nn))


def test_mlp():
    def make(k, n):
        return k.MLP(5, [7, 4], norm_layer=n.LayerNorm, activation_layer=n.GELU)

    assert_layers_agree(make(ops, fastdl.nn), make(theirs, torch.nn), [RNG.standard_normal((3, 5))])


def test_frozen_batch_norm_has_the_state_of_a_batch_norm():
    trained = torch.nn.Sequential(torch.nn.BatchNorm2d(8))
    trained(torch.tensor(IMAGES, dtype=torch.float32))
    state = {k: v.numpy() for k, v in trained.state_dict().items()}
    frozen = fastdl.nn.Sequential(ops.FrozenBatchNorm2d(8))
    assert str(frozen.load_state_dict(state)) == "<All keys matched successfully>"
    assert "0.num_batches_tracked" not in frozen.state_dict()
    found = frozen(fastdl.tensor(IMAGES, dtype="float32"))
    assert_close(found, trained.eval()(torch.tensor(IMAGES, dtype=torch.float32)).detach().numpy(), 16)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        frozen.load_state_dict({**state, "0.other": np.zeros(1)})


@pytest.mark.parametrize("mode, size", [("row", 4000), ("batch", 1)])
def test_stochastic_depth_drops_by_chance(mode, size):
    fastdl.manual_seed(0)
    x = fastdl.ones(4000, 2)
    rows = ops.stochastic_depth(x, 0.25, mode).numpy()
    assert (rows[:, 0] == rows[:, 1]).all() and np.isin(rows, [0, np.float32(1 / 0.75)]).all()
    assert len(set(rows[:, 0])) == (2 if size > 1 else 1)
    if size > 1:
        assert abs((rows[:, 0] == 0).mean() - 0.25) < 0.03
    assert (ops.stochastic_depth(x, 1.0, mode) == 0).all()


# ---- pyramids --------------------------------------------------------------------------------------------------------


def extra(package, name):
    inner = package.ops if package is fastdl else package.ops.feature_pyramid_network
    return {"none": lambda: None, "pool": inner.LastLevelMaxPool, "p6p7": lambda: inner.LastLevelP6P7(16, 6),
            "p6p7 of results": lambda: inner.LastLevelP6P7(6, 6)}[name]()  # fmt: skip


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", ["none", "pool", "p6p7", "p6p7 of results"])
def test_pyramid(name, norm):
    norms = [n.BatchNorm2d if norm else None for n in (fastdl.nn, torch.nn)]
    mine = ops.FeaturePyramidNetwork([4, 8, 16], 6, extra(fastdl, name), norms[0]).double()
    other = theirs.FeaturePyramidNetwork([4, 8, 16], 6, extra(torchvision, name), norms[1]).double()
    mine.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    assert list(mine.state_dict()) == list(other.state_dict())
    arrays = [RNG.standard_normal((2, c, h, w)) for c, h, w in ((4, 13, 11), (8, 7, 6), (16, 4, 3))]
    ours, reference = pairs(*arrays)
    found = mine(dict(zip("abc", ours, strict=True)))
    expected = other(dict(zip("abc", reference, strict=True)))
    assert list(found) == list(expected)
    for a, b in zip(found.values(), expected.values(), strict=True):
        assert_close(a.detach(), b.detach().numpy(), 512)
    weights = [np.random.default_rng(2).standard_normal(tuple(v.shape)) for v in expected.values()]
    sum((v * fastdl.tensor(w)).sum() for v, w in zip(found.values(), weights, strict=True)).backward()
    sum((v * torch.tensor(w)).sum() for v, w in zip(expected.values(), weights, strict=True)).backward()
    for a, b in zip([*ours, *mine.parameters()], [*reference, *other.parameters()], strict=True):
        assert_close(a.grad, b.grad.numpy(), 2**15)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_regions_of_a_pyramid(levels):
    names = ["p2", "p3", "p4", "p5"][:levels]
    arrays = [RNG.standard_normal((2, 3, 256 >> (k + 2), 320 >> (k + 2))) for k in range(levels)]
    regions = [np.abs(boxes(n, seed=n)) * [[scale]] for n, scale in ((6, 2.0), (5, 7.0))]
    arguments = (names, (3, 2), 2)
    sizes = {"canonical_scale": 60, "canonical_level": 3}
    mine, other = ops.MultiScaleRoIAlign(*arguments, **sizes), theirs.MultiScaleRoIAlign(*arguments, **sizes)
    assert str(mine) == str(other)
    shapes = [(250, 310), (256, 320)]

    def of(pool, make):
        def call(*maps):
            named = {"other": maps[0], **dict(zip(names, maps, strict=True))}
            return pool(named, [make(r) for r in regions], shapes)

        return call

    assert_same_with_gradients(of(mine, fastdl.tensor), of(other, torch.tensor), arrays, epsilons=256)
    nothing = [fastdl.zeros(0, 4)] * 2
    maps = {n: fastdl.tensor(a, dtype="float32") for n, a in zip(names, arrays, strict=True)}
    assert mine(maps, nothing, shapes).shape == (0, 3, 3, 2)
