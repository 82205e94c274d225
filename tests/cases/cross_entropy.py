"""Cross-entropy of logits against class indices."""

import fastdl
import fastdl.functional as F
from fastdl.testing import BadCall, OpCase


def logits(rng, shape, weighted=False, ignored=(), **_):
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    if len(ignored):
        target.reshape(-1)[list(ignored)] = -100
    arrays = [3 * rng.standard_normal(shape), target]
    return [*arrays, rng.uniform(0.5, 2.0, shape[1])] if weighted else arrays


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def classes(device, *values):
    return fastdl.tensor(list(values), dtype=fastdl.int64, device=device)


SIZES = [
    {"shape": (3, 5)},
    {"shape": (4, 5), "reduction": "none"},
    {"shape": (4, 5), "reduction": "sum"},
    {"shape": (6, 7), "weighted": True},
    {"shape": (6, 7), "weighted": True, "ignored": (1, 4), "label_smoothing": 0.1},
    {"shape": (6, 7), "ignored": (0,), "label_smoothing": 0.3, "reduction": "sum"},
    {"shape": (2, 4, 3, 5), "weighted": True, "ignored": (2, 7)},
    {"shape": (2, 3, 17), "reduction": "none", "label_smoothing": 0.2},
    {"shape": (5, 1)},
    {"shape": (128, 10)},
    {"shape": (3, 1003)},
    {"shape": (0, 5), "reduction": "sum"},
]


def gradient_of_bad_target(device):
    """Targets that another forward pass checked: the backward pass looks again."""
    k = fastdl.backends.get(device)
    x, target = fastdl.zeros(2, 3, 1, device=device), fastdl.tensor([[0], [3]], device=device)
    lse, one = fastdl.zeros(2, 1, device=device), fastdl.tensor(1.0, device=device)
    k.cross_entropy_bwd(one._array, x._array, target._array, None, lse._array, one._array, -100, 0.0, "mean")


BAD = [
    BadCall(gradient_of_bad_target, IndexError,
            "[cross_entropy_bwd] expected class indices in [0, 3) or ignore_index, got 3 at position 1"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, 0, 3)), IndexError,
            "[cross_entropy] expected class indices in [0, 3) or ignore_index, got 3 at position 1"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, -1, 0)), IndexError,
            "[cross_entropy] expected class indices in [0, 3) or ignore_index, got -1 at position 0"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, 0)), ValueError,
            "[cross_entropy] expected target of shape (2,) for input of shape (2, 3), got (1,)"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), on(d, 2)), TypeError,
            "[cross_entropy] expected target of dtype int64, got float32"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, 0, 1), weight=on(d, 2)), ValueError,
            "[cross_entropy] expected weight of shape (3,), got shape (2,)"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, 0, 1), reduction="x"), ValueError,
            "[cross_entropy] expected reduction none, mean or sum, got 'x'"),
    BadCall(lambda d: F.cross_entropy(on(d, 2, 3), classes(d, 0, 1), label_smoothing=2.0), ValueError,
            "[cross_entropy] expected label_smoothing between 0 and 1, got 2"),
    BadCall(lambda d: F.cross_entropy(None, classes(d, 0, 1)), TypeError,
            "[cross_entropy] expected a Tensor for input, got NoneType"),
]  # fmt: skip


def call(x, target, weight=None, **attributes):
    return F.cross_entropy(x, target, weight, **attributes)


CASES = [
    OpCase("cross_entropy", call, logits, SIZES, BAD,
           differentiable=[0], shape_only=("shape", "weighted", "ignored"), epsilons=64,
           gradcheck_sizes=SIZES[:8], bytes=lambda x, *_, **__: x.nbytes),
]  # fmt: skip
