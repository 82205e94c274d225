"""Normalisation of random shapes and attributes against PyTorch."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import nn
from fastdl.testing import assert_close

from .test_torch_functions import SEEDS, TF, compare, torch


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm(seed, dtype):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 20, rng.integers(2, 6)))
    arrays = [rng.standard_normal(shape) * 2 + 1, rng.uniform(0.5, 2, shape[1]), rng.standard_normal(shape[1])]
    mean, var = rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1])
    for train in (True, False):
        moved = []

        def run(kit, make, *tensors, train=train, moved=moved):
            statistics = [make(mean), make(var)]
            moved.append(statistics)
            return kit.batch_norm(tensors[0], *statistics, *tensors[1:], train, 0.3, 1e-3)

        compare(
            lambda *t: run(F, lambda a: fastdl.tensor(a, dtype=dtype), *t),
            lambda *t: run(TF, lambda a: torch.tensor(a, dtype=getattr(torch, dtype)), *t),
            arrays, dtype, 256,
        )  # fmt: skip
        for ours, theirs in zip(*moved, strict=True):
            assert_close(ours, theirs.numpy(), 64)


@pytest.mark.parametrize("seed", SEEDS)
def test_layer_norm(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 30, rng.integers(1, 5)))
    inner = shape[rng.integers(0, len(shape)) :]
    arrays = [rng.standard_normal(shape), rng.uniform(0.5, 2, inner), rng.standard_normal(inner)]
    compare(lambda x, w, b: F.layer_norm(x, inner, w, b), lambda x, w, b: TF.layer_norm(x, inner, w, b), arrays,
            epsilons=4096)  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_local_response_norm(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(tuple(int(n) for n in rng.integers(1, 12, rng.integers(3, 6)))) * 3
    options = (int(rng.integers(1, 9)), rng.uniform(0, 1), float(rng.choice([0.75, 0.5, 1.0, 0.6])), 1.5)
    compare(lambda t: F.local_response_norm(t, *options), lambda t: TF.local_response_norm(t, *options), [x])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_group_norm(seed, dtype):
    rng = np.random.default_rng(seed)
    groups, size = int(rng.integers(1, 9)), int(rng.integers(2, 5))
    shape = (int(rng.integers(2, 6)), groups * size, *(int(n) for n in rng.integers(1, 40, rng.integers(0, 3))))
    arrays = [rng.standard_normal(shape) * 2 + 1, rng.uniform(0.5, 2, shape[1]), rng.standard_normal(shape[1])]
    for given in (3, 1):
        compare(
            lambda x, *p: F.group_norm(x, groups, *p, eps=1e-3),
            lambda x, *p: TF.group_norm(x, groups, *p, eps=1e-3),
            arrays[:given], dtype, 4096,
        )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("own", [True, False])
def test_instance_norm(seed, own):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 20, rng.integers(3, 6)))
    arrays = [rng.standard_normal(shape) * 2 + 1, rng.uniform(0.5, 2, shape[1]), rng.standard_normal(shape[1])]
    mean, var = rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1])
    moved = []

    def run(kit, make, *tensors):
        statistics = [make(mean), make(var)]
        moved.append(statistics)
        return kit.instance_norm(tensors[0], *statistics, *tensors[1:], own, 0.3, 1e-3)

    compare(
        lambda *t: run(F, lambda a: fastdl.tensor(a, dtype="float64"), *t),
        lambda *t: run(TF, torch.tensor, *t),
        arrays, "float64", 4096,
    )  # fmt: skip
    for ours, theirs in zip(*moved, strict=True):
        assert_close(ours, theirs.numpy(), 64)


@pytest.mark.parametrize(
    "options",
    [{}, {"affine": True}, {"affine": True, "bias": False}, {"track_running_stats": True}, {"momentum": None}],
)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_instance_norm_layers(dims, options):
    ours = getattr(nn, f"InstanceNorm{dims}d")(5, **options)
    theirs = getattr(torch.nn, f"InstanceNorm{dims}d")(5, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((4, 5, *[3] * dims)).astype(np.float32)
    for batch in (x, x + 1, x[0]):
        assert_close(ours(fastdl.tensor(batch)), theirs(torch.tensor(batch)), 64)
    for name, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], value.numpy(), 64)
    assert_close(ours.eval()(fastdl.tensor(x)), theirs.eval()(torch.tensor(x)), 64)
    fresh = type(ours)(5, **options)
    fresh.load_state_dict(ours.state_dict())
    assert_close(fresh.eval()(fastdl.tensor(x)), ours(fastdl.tensor(x)).detach(), 0)


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}, {"eps": 1e-2}])
def test_group_norm_layer(options):
    ours, theirs = nn.GroupNorm(3, 6, **options), torch.nn.GroupNorm(3, 6, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((2, 6, 4, 3)).astype(np.float32)
    assert_close(ours(fastdl.tensor(x)), theirs(torch.tensor(x)), 64)


def test_refused_layers():
    with pytest.raises(ValueError, match="num_groups that divides the number of channels, got 3 for 4 channels"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ValueError, match="expected input with 5 channels"):
        nn.InstanceNorm1d(5, affine=True)(fastdl.ones(2, 4, 3))
    with pytest.raises(ValueError, match="expected input with 2 or 3 dimensions"):
        nn.InstanceNorm1d(5)(fastdl.ones(2, 5, 3, 3))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}, {"track_running_stats": False}])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_batch_norm_layers(dims, options, momentum):
    ours = getattr(nn, f"BatchNorm{dims}d")(5, momentum=momentum, **options)
    theirs = getattr(torch.nn, f"BatchNorm{dims}d")(5, momentum=momentum, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.standard_normal((4, 5, *[3] * dims)).astype(np.float32)
        assert_close(ours(fastdl.tensor(x)), theirs(torch.tensor(x)), 64)
    for name, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], value.numpy(), 64)
    assert_close(ours.eval()(fastdl.tensor(x)), theirs.eval()(torch.tensor(x)), 64)
    fresh = type(ours)(5, **options)
    fresh.load_state_dict(ours.state_dict())
    assert_close(fresh.eval()(fastdl.tensor(x)), ours(fastdl.tensor(x)).detach(), 0)


@pytest.mark.parametrize("arguments", [((4, 5),), ((4, 5), 1e-3, False), ((4, 5), 1e-3, True, False)])
def test_layer_norm_layer(arguments):
    ours, theirs = nn.LayerNorm(*arguments), torch.nn.LayerNorm(*arguments)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    assert_close(ours(fastdl.tensor(x)), theirs(torch.tensor(x)), 64)


def test_printed_layers():
    assert repr(nn.LocalResponseNorm(5)) == repr(torch.nn.LocalResponseNorm(5))
