"""Losses of pairs of numbers, with their reductions; and the losses that are made of other operations."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase

SHAPES = [(5,), (0,), (1,), (7,), (15,), (16,), (17,), (3, 33), (70_001,)]
SIZES = [{"shape": s, "reduction": r} for s in SHAPES for r in ("none", "mean", "sum")
         if s != (0,) or r != "mean"]  # fmt: skip


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def apart(rng, shape, **_):
    """Differences off the kinks at 0, 0.5, 1 and 2."""
    difference = rng.choice([-1, 1], shape) * (rng.integers(0, 6, shape) * 0.5 + rng.uniform(0.05, 0.45, shape))
    target = rng.standard_normal(shape)
    return [target + difference, target]


def probabilities(rng, shape, weights=0, **_):
    return [rng.uniform(0.02, 0.98, shape), rng.uniform(0.02, 0.98, shape), *_weights(rng, shape, weights)]


def logits(rng, shape, weights=0, **_):
    return [4 * rng.standard_normal(shape), rng.uniform(0, 1, shape), *_weights(rng, shape, weights)]


def _weights(rng, shape, n):
    return [rng.uniform(0.5, 2.0, shape[-1:]) for _ in range(n)]


def signs(rng, shape, **_):
    x = rng.choice([-1, 1], shape) * rng.uniform(0.05, 0.9, shape) * rng.choice([1, 3], shape)
    return [x, rng.choice([-1.0, 1.0], shape)]


def positive(rng, shape, **_):
    return [rng.uniform(0.1, 9.0, shape), rng.uniform(0.1, 9.0, shape) + 10]


def case(name, call, inputs, extra=(), bad=(), differentiable=None):
    sizes = [*SIZES, *extra]
    checked = [s for s in sizes if s["shape"] in ((5,), (3, 33))]
    return OpCase(name, call, inputs, sizes, bad, differentiable=differentiable, shape_only=("shape", "weights"),
                  epsilons=64, gradcheck_sizes=checked, bytes=lambda x, *_, **__: 2 * x.nbytes)  # fmt: skip


def errors(name, function):
    return [
        BadCall(lambda d: function(None, on(d, 2)), TypeError, f"[{name}] expected a Tensor for input, got NoneType"),
        BadCall(lambda d: function(on(d, 2), 1.0), TypeError, f"[{name}] expected a Tensor for target, got float"),
        BadCall(lambda d: function(on(d, 2), on(d, 2), reduction="x"), ValueError,
                f"[{name}] expected reduction none, mean or sum, got 'x'"),
        BadCall(lambda d: function(on(d, 2, dtype="int64"), on(d, 2, dtype="int64")), TypeError,
                f"[{name}] expected input of dtype float32 or float64, got int64"),
    ]  # fmt: skip


def weighted(*weights):
    return [{"shape": (3, 33), "reduction": r, "weights": n} for r in ("none", "mean") for n in weights]


def with_logits(x, t, weight=None, pos_weight=None, **attributes):
    return F.binary_cross_entropy_with_logits(x, t, weight, pos_weight=pos_weight, **attributes)


def tensor(device, *values):
    return fastdl.tensor(list(values), device=device)


def triplets(rng, shape, **_):
    return [rng.standard_normal(shape) for _ in range(3)]


def pairs_of_vectors(rng, shape, **_):
    return [rng.standard_normal(shape), rng.standard_normal(shape), rng.choice([-1, 1], shape[:-1])]


def scores(rng, shape, weighted=False, **_):
    weight = [rng.uniform(0.5, 2.0, shape[1])] if weighted else []
    return [3 * rng.standard_normal(shape), rng.integers(0, shape[1], shape[0]), *weight]


def multi_margin(x, t, weight=None, **attributes):
    return F.multi_margin_loss(x, t, weight=weight, **attributes)


CASES = [
    case("mse_loss", F.mse_loss, apart, bad=[
        *errors("mse_loss", F.mse_loss),
        BadCall(lambda d: F.mse_loss(on(d, 2), on(d, 3)), ValueError,
                "[mse_loss] expected shapes that broadcast, got (2,) and (3,)"),
    ]),
    case("l1_loss", F.l1_loss, apart, bad=errors("l1_loss", F.l1_loss)),
    case("rmse_loss", F.rmse_loss, apart),
    case("smooth_l1_loss", F.smooth_l1_loss, apart, [
        {"shape": (3, 33), "reduction": "mean", "beta": 0.5}, {"shape": (3, 33), "reduction": "none", "beta": 0.0},
    ], [
        BadCall(lambda d: F.smooth_l1_loss(on(d, 2), on(d, 2), beta=-1), ValueError,
                "[smooth_l1_loss] expected beta of at least 0, got -1"),
    ]),
    case("huber_loss", F.huber_loss, apart, [{"shape": (3, 33), "reduction": "mean", "delta": 2.0}], [
        BadCall(lambda d: F.huber_loss(on(d, 2), on(d, 2), delta=0), ValueError,
                "[huber_loss] expected delta above 0, got 0"),
    ]),
    case("msle_loss", F.msle_loss, positive, bad=[
        BadCall(lambda d: F.msle_loss(tensor(d, 0.0, -2.0), on(d, 2)), ValueError,
                "[msle_loss] expected input and target above -1, got -2 and 1 at position 1"),
    ]),
    case("mape_loss", F.mape_loss, positive),
    case("binary_cross_entropy", F.binary_cross_entropy, probabilities, weighted(1), [
        *errors("binary_cross_entropy", F.binary_cross_entropy),
        BadCall(lambda d: F.binary_cross_entropy(tensor(d, 0.0, 0.5, 1.5), on(d, 3)), ValueError,
                "[binary_cross_entropy] expected input between 0 and 1, got 1.5 at position 2"),
        BadCall(lambda d: F.binary_cross_entropy(on(d, 2), on(d, 1)), ValueError,
                "[binary_cross_entropy] expected target of shape (2,), got shape (1,)"),
        BadCall(lambda d: F.binary_cross_entropy(on(d, 2), on(d, 2), on(d, 3)), ValueError,
                "[binary_cross_entropy] expected shapes that broadcast, got (3,) and (2,)"),
    ], differentiable=[0, 1]),
    case("binary_cross_entropy_with_logits", with_logits, logits, weighted(1, 2), differentiable=[0, 1]),
    case("hinge_loss", F.hinge_loss, signs, bad=[
        BadCall(lambda d: F.hinge_loss(on(d, 2), tensor(d, 1.0, 0.0)), ValueError,
                "[hinge_loss] expected targets -1 or 1, got 0 at position 1"),
    ], differentiable=[0]),
    case("kl_div", F.kl_div, probabilities,
         [{"shape": (3, 33), "reduction": "batchmean"}, {"shape": (3, 33), "reduction": "mean", "log_target": True}],
         [BadCall(lambda d: F.kl_div(on(d, 2), on(d, 2), reduction="x"), ValueError,
                  "[kl_div] expected reduction none, batchmean, mean or sum, got 'x'")]),
    OpCase("multi_margin_loss", multi_margin, scores,
           [{"shape": (4, 5)}, {"shape": (4, 5), "p": 2, "margin": 0.5}, {"shape": (6, 7), "weighted": True},
            {"shape": (3, 4), "reduction": "none"}, {"shape": (3, 4), "reduction": "sum", "weighted": True}],
           [BadCall(lambda d: F.multi_margin_loss(on(d, 2, 3), fastdl.tensor([0, 3], device=d)), IndexError,
                    "[multi_margin_loss] expected class indices in [0, 3), got 3"),
            BadCall(lambda d: F.multi_margin_loss(on(d, 2, 3), fastdl.tensor([0, 1], device=d), p=3), ValueError,
                    "[multi_margin_loss] expected p 1 or 2, got 3")],
           differentiable=[0], shape_only=("shape", "weighted")),
    OpCase("cosine_embedding_loss", F.cosine_embedding_loss, pairs_of_vectors,
           [{"shape": (6, 5)}, {"shape": (6, 5), "margin": 0.25, "reduction": "none"}],
           [BadCall(lambda d: F.cosine_embedding_loss(on(d, 2, 3), on(d, 2, 3), on(d, 3)), ValueError,
                    "[cosine_embedding_loss] expected inputs of one shape (N, D) and target (N,), "
                    "got (2, 3), (2, 3) and (3,)")],
           shape_only=("shape",), epsilons=64),
    OpCase("triplet_margin_loss", F.triplet_margin_loss, triplets,
           [{"shape": (6, 5)}, {"shape": (6, 5), "p": 1.0, "swap": True, "reduction": "sum"},
            {"shape": (6, 5), "p": 3.0, "margin": 0.5, "reduction": "none"}],
           [BadCall(lambda d: F.triplet_margin_loss(on(d, 2), on(d, 2), on(d, 3)), ValueError,
                    "[triplet_margin_loss] expected three arrays of one shape, got (2,), (2,) and (3,)")],
           shape_only=("shape",), epsilons=64),
]  # fmt: skip
