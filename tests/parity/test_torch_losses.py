"""Activations and losses against PyTorch: values, gradients by input and target, special numbers."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import nn

from .test_torch_functions import compare

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
TF = torch.nn.functional

ACTIVATIONS = [
    ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}), ("elu", {}), ("elu", {"alpha": 0.4}), ("selu", {}),
    ("softplus", {}), ("softplus", {"beta": 2.0, "threshold": 3.0}), ("logsigmoid", {}), ("gelu", {}),
    ("gelu", {"approximate": "tanh"}), ("silu", {}), ("hardtanh", {}), ("hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("relu6", {}), ("hardsigmoid", {}), ("hardswish", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attributes"), ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations(name, attributes, dtype):
    epsilons = 2e8 if name == "hardsigmoid" and dtype == "float64" else 32  # PyTorch's sixth is a float32 there
    x = np.concatenate([np.random.default_rng(0).standard_normal(500) * 4, [0.0, -3.0, 3.0, 6.0, 1.0, -1.0, 40, -40]])
    compare(
        lambda t: getattr(F, name)(t, **attributes), lambda t: getattr(TF, name)(t, **attributes), [x], dtype, epsilons
    )  # fmt: skip


@pytest.mark.parametrize(("name", "attributes"), ACTIVATIONS)
def test_special_values_of_activations(name, attributes):
    infinity = 1e4 if name == "gelu" else np.inf  # PyTorch gives NaN for plus infinity
    x = np.tile(np.float32([0.0, infinity, -infinity, np.nan, 1e30, -1e30, 88.8, -104.0, 20.0, -20.0]), 4)
    mine = getattr(F, name)(fastdl.tensor(x), **attributes).numpy()
    theirs = getattr(TF, name)(torch.tensor(x), **attributes).numpy()
    np.testing.assert_allclose(mine, theirs, rtol=3e-6, atol=1e-37)


@pytest.mark.parametrize("shape", [(6,), (4, 3), (2, 3, 5, 4)])
def test_prelu(shape):
    rng = np.random.default_rng(0)
    channels = shape[1] if len(shape) > 1 else 1
    for n in {1, channels}:
        compare(F.prelu, TF.prelu, [rng.standard_normal(shape), rng.uniform(0.1, 1, n)])


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def numbers(rng, shape):
    return rng.standard_normal(shape)


def probabilities(rng, shape):
    return rng.uniform(0.01, 0.99, shape)


LOSSES = [
    ("mse_loss", {}, numbers, numbers), ("l1_loss", {}, numbers, numbers), ("smooth_l1_loss", {}, numbers, numbers),
    ("smooth_l1_loss", {"beta": 0.5}, numbers, numbers), ("smooth_l1_loss", {"beta": 0.0}, numbers, numbers),
    ("huber_loss", {"delta": 0.7}, numbers, numbers), ("binary_cross_entropy", {}, probabilities, probabilities),
    ("binary_cross_entropy_with_logits", {}, numbers, probabilities), ("kl_div", {}, numbers, probabilities),
    ("kl_div", {"log_target": True}, numbers, numbers),
]  # fmt: skip


@pytest.mark.parametrize(("name", "attributes", "input", "target"), LOSSES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses(name, attributes, input, target, reduction, dtype):
    rng = np.random.default_rng(0)
    arrays = [input(rng, (7, 33)), target(rng, (7, 33))]
    options = {**attributes, "reduction": reduction}
    by_target = name not in ("huber_loss", "smooth_l1_loss", "l1_loss") or dtype == "float64"
    compare(lambda *t: getattr(F, name)(*t, **options), lambda *t: getattr(TF, name)(*t, **options), arrays, dtype, 64,
            differentiable=[0, 1] if by_target else [0])  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_weights_of_binary_cross_entropy(reduction):
    rng = np.random.default_rng(0)
    x, t, w, p = numbers(rng, (6, 5)), probabilities(rng, (6, 5)), rng.uniform(0.5, 2, (6, 1)), rng.uniform(0.5, 2, 5)
    compare(lambda x, t, w: F.binary_cross_entropy(x, t, w, reduction=reduction),
            lambda x, t, w: TF.binary_cross_entropy(x, t, w, reduction=reduction),
            [probabilities(rng, (6, 5)), t, w], differentiable=[0])  # fmt: skip
    compare(lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=p, reduction=reduction),
            lambda x, t, w, p: TF.binary_cross_entropy_with_logits(x, t, w, pos_weight=p, reduction=reduction),
            [x, t, w, p], differentiable=[0, 1])  # fmt: skip


def test_binary_cross_entropy_is_finite_at_the_ends():
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])
    options = {"reduction": "none"}
    compare(lambda *a: F.binary_cross_entropy(*a, **options), lambda *a: TF.binary_cross_entropy(*a, **options), [x, t],
            "float32", differentiable=[0])  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_loss(reduction, p):
    rng = np.random.default_rng(0)
    x, t, w = rng.standard_normal((9, 5)) * 2, rng.integers(0, 5, 9), rng.uniform(0.5, 2, 5)
    options = {"p": p, "margin": 0.7, "reduction": reduction}
    compare(lambda x, t, w: F.multi_margin_loss(x, t, weight=w, **options),
            lambda x, t, w: TF.multi_margin_loss(x, t, weight=w, **options), [x, t, w], differentiable=[0])  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses_of_distances(reduction):
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 9, 5))
    options = {"margin": 0.2, "reduction": reduction}
    compare(lambda *t: F.cosine_embedding_loss(*t, **options), lambda *t: TF.cosine_embedding_loss(*t, **options),
            [a, b, rng.choice([-1, 1], 9)])  # fmt: skip
    for more in ({}, {"swap": True}, {"p": 1.0}, {"p": 3.0}):
        both = options | more
        compare(lambda *t, o=both: F.triplet_margin_loss(*t, **o), lambda *t, o=both: TF.triplet_margin_loss(*t, **o),
                [a, b, c])  # fmt: skip


MODULES = [
    "LeakyReLU(0.2)", "ELU(0.5)", "SELU(inplace=True)", "Softplus()", "LogSigmoid()", "GELU('tanh')", "SiLU()",
    "Hardtanh(-2.0, 2.0)", "ReLU6()", "Hardsigmoid()", "Hardswish()", "PReLU(3)", "L1Loss()", "SmoothL1Loss(beta=0.5)",
    "HuberLoss(delta=2.0)", "BCELoss()", "BCEWithLogitsLoss()", "MultiMarginLoss()", "NLLLoss()", "KLDivLoss()",
    "CosineEmbeddingLoss()", "TripletMarginLoss()",
]  # fmt: skip


@pytest.mark.parametrize("text", MODULES)
def test_modules_print_and_save_as_in_torch(text):
    mine, theirs = eval(f"nn.{text}"), eval(f"torch.nn.{text}")
    assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert nn  # the evaluated text names it
