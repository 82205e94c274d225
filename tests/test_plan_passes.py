"""The passes of a plan one by one, and every operation of the library recorded and run again on other numbers."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import nn
from fastdl.plan import passes, trace
from fastdl.plan.folding import Weights
from fastdl.plan.lower import record_graph
from fastdl.plan.tree import flatten
from fastdl.testing import assert_close

from .cases import all_cases

# Cases whose results have sizes that depend on numbers, that read them, draw random ones, or change their arguments.
REFUSED = {
    "batch_norm_moves_statistics", "remove_small_boxes", "remove_small_boxes_special", "dropout",
    "uniform_float32", "uniform_float64", "normal_float32", "normal_float64", "randint_int32", "randint_int64",
    "floor_divide_integers", "remainder_integers", "floor_divide_octets", "remainder_octets",
    "fmod_integers", "fmod_octets", "embedding_bwd_rows", "masked_select", "nonzero", "multi_margin_loss",
    "nms", "nms_of_detections", "nms_on_a_lattice",
    "nms_of_special_boxes", "batched_nms", "soft_nms", "soft_nms_on_a_lattice", "soft_nms_of_special_boxes",
    "sgd_step", "adam_step", "rmsprop_step", "adagrad_step", "adadelta_step", "adamax_step",
    "ahead_step", "rprop_step", "clip_norm", "clip_value", "unique", "bincount",
}  # fmt: skip


@pytest.mark.parametrize("case", all_cases(), ids=lambda c: c.name)
def test_every_operation_runs_again_on_other_numbers(case):
    """The same bits as the call itself: no kernel has kept a pointer to memory of the first call."""
    for attributes in case.sizes[:1] if case.name in REFUSED else case.sizes:
        for dtype in case.dtypes:
            first, other = (case.tensors(case.make(attributes, seed), "cpu", dtype, False) for seed in (1, 2))

            def call(*tensors, attributes=attributes):
                return case.call(*tensors, **case.call_attributes(attributes))

            if case.name in REFUSED:
                with pytest.raises(RuntimeError, match=r"\[compile\] expected a network"):
                    fastdl.compile(call, *first)
                continue
            plan = fastdl.compile(call, *first)
            for inputs in (other, first):
                got, want = flatten(plan(*inputs))[0], flatten(call(*[t.clone() for t in inputs]))[0]
                for g, w in zip(got, want, strict=True):
                    assert g.dtype == w.dtype and g.shape == w.shape
                    assert g.numpy().tobytes() == w.detach().numpy().tobytes() or np.array_equal(
                        g.numpy(), w.detach().numpy(), equal_nan=g.is_floating_point()
                    )


# ---- passes ----------------------------------------------------------------------------------------------------------


def functions(graph):
    return [node.function for node in graph.nodes]


def run(graph, *inputs):
    return [fastdl.Tensor(a, x._backend) for x in inputs[:1] for a in record_graph(graph).recorded.run(
        [x._array for x in inputs])]  # fmt: skip


def expect_same(before, after, *inputs, epsilons=512):
    for got, want in zip(run(after, *inputs), run(before, *inputs), strict=True):
        assert_close(got, want, epsilons)


def statistics(channels, dtype="float32"):
    return [fastdl.rand(channels, dtype=dtype) + low for low in (-0.5, 0.5, 0.5, -0.5)]  # mean, variance, weight, bias


def normed(channels, dtype="float32"):
    mean, var, weight, bias = statistics(channels, dtype)
    return lambda y: F.batch_norm(y, mean, var, weight, bias)


TRANSPOSED = fastdl.tensor(np.random.default_rng(0).random((4, 3, 2, 2)), dtype=fastdl.float32)
PRODUCERS = {
    "conv2d": (lambda x: F.conv2d(x, fastdl.ones(6, 2, 3, 3) / 9, None, groups=2), 6),
    "conv2d with bias": (lambda x: F.conv2d(x, fastdl.ones(6, 4, 1, 1), fastdl.arange(6) / 2), 6),
    "conv_transpose2d": (lambda x: F.conv_transpose2d(x, TRANSPOSED, groups=2), 6),
    "linear": (lambda x: F.linear(x.reshape(2, -1), fastdl.ones(5, 100) / 9, fastdl.ones(5)), 5),
}


@pytest.mark.parametrize("name", PRODUCERS)
def test_batch_norm_is_folded(name):
    produce, channels = PRODUCERS[name]
    norm = normed(channels)
    x = fastdl.randn(2, 4, 5, 5)
    graph = trace(lambda x: norm(produce(x)), x)
    folded = passes.optimize(graph)
    assert "batch_norm" in functions(graph)
    assert [f for f in functions(folded) if f != "reshape"] == [name.split()[0]]
    expect_same(graph, folded, x)


def test_batch_norm_stays_where_others_see_its_input():
    norm, w = normed(3), fastdl.rand(3, 2, 1, 1)
    x = fastdl.randn(1, 2, 4, 4)

    def shared(x):
        y = F.conv2d(x, w)
        return norm(y), y

    for function in (shared, lambda x: norm(F.conv2d(x, w).relu()), lambda x: norm(F.conv2d(x, x[:, :, :1, :1].reshape(
            1, 2, 1, 1).expand(3, 2, 1, 1)))):  # fmt: skip
        graph = trace(function, x)
        assert "batch_norm" in functions(passes.optimize(graph))
        expect_same(graph, passes.optimize(graph), x)


BY_CHANNEL = fastdl.tensor([0.5, -1.5, 2.0]).reshape(3, 1, 1)
AFFINE = {
    "frozen norm": lambda y: y * BY_CHANNEL + BY_CHANNEL.exp(),
    "scalars": lambda y: (3 - y * 2) / 4 - 1 + 0.5,
    "tensors": lambda y: (BY_CHANNEL - y) / BY_CHANNEL.exp() - BY_CHANNEL.reshape(1, 3, 1, 1) + fastdl.ones(1),
}


@pytest.mark.parametrize("name", AFFINE)
def test_scales_and_shifts_are_folded(name):
    w, m = fastdl.rand(3, 2, 3, 3), fastdl.rand(4, 3)
    x = fastdl.randn(2, 2, 5, 5)
    graph = trace(lambda x: AFFINE[name](F.conv2d(x, w)).relu(), x)
    folded = passes.optimize(graph)
    assert functions(folded) == ["conv2d"] and folded.nodes[0].args[7] == "relu"
    expect_same(graph, folded, x)
    rows = fastdl.randn(5, 4, 3)
    graph = trace(lambda x: (AFFINE["scalars"](x @ m.T + fastdl.arange(4.0))).sigmoid(), rows)
    folded = passes.optimize(graph)
    assert functions(folded) == ["linear"] and folded.nodes[0].args[3] == "sigmoid"
    expect_same(graph, folded, rows)


def test_only_numbers_by_channel_are_folded():
    w = fastdl.rand(3, 2, 3, 3)
    x = fastdl.randn(2, 2, 5, 5)
    for function in (
        lambda y: y * fastdl.arange(3.0),  # by column
        lambda y: y + fastdl.arange(2.0).reshape(2, 1, 1, 1),  # by image
        lambda y: y + fastdl.arange(3.0).reshape(1, 1, 3, 1, 1),  # larger than y
        lambda y: 1 / y,
        lambda y: fastdl.ones(3, 1, 1) / y,
        lambda y: y / 0.0,
        lambda y: y * y.mean(),
    ):
        graph = trace(lambda x, function=function: function(F.conv2d(x, w)), x)
        assert len(passes.optimize(graph).nodes) >= 2
        expect_same(graph, passes.optimize(graph), x)


@pytest.mark.parametrize("function", ["relu", "relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish"])
def test_activations_are_fused(function):
    act, w, m = getattr(F, function), fastdl.rand(3, 2, 3, 3), fastdl.rand(4, 27)
    x = fastdl.randn(1, 2, 5, 5)
    graph = trace(lambda x: act(F.linear(act(F.conv2d(x, w).flatten(1)), m)), x)
    fused = passes.optimize(graph)
    assert functions(fused) == ["conv2d", "reshape", "linear"]
    assert [fused.nodes[0].args[7], fused.nodes[2].args[3]] == [function] * 2
    expect_same(graph, fused, x)


def test_activations_stay_where_others_see_their_input():
    w = fastdl.rand(3, 2, 3, 3)
    x = fastdl.randn(1, 2, 5, 5)

    def shared(x):
        y = F.conv2d(x, w)
        return y.relu() + y

    for function in (shared, lambda x: F.conv2d(x, w).relu().sigmoid(), lambda x: (F.conv2d(x, w) + x.sum()).relu()):
        graph = trace(function, x)
        fused = passes.optimize(graph)
        expect_same(graph, fused, x)
        assert functions(graph).count("conv2d") == 1 and set(functions(fused)) & {"relu", "sigmoid"}


def test_identities_and_dead_nodes_go():
    def network(x):
        x.exp()
        y = x.reshape(6).reshape(2, 3).reshape(3, 2) * 1.0
        y = fastdl.cat([y.permute(0, 1)], 0)[:, :].expand(3, 2).float()
        return y.sum(()) if False else F.dropout(y, 0.5, False).reshape(2, 3)

    x = fastdl.randn(2, 3)
    assert functions(passes.optimize(trace(network, x))) == []
    graph = passes.optimize(trace(lambda x: (x.exp().reshape(6).reshape(3, 2), x.reshape(3, 2)[::2]), x))
    assert functions(graph) == ["exp", "reshape", "slice", "reshape"]


def test_folded_weights_are_made_once():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    weights = Weights()
    a, b = (passes.optimize(trace(model, fastdl.ones(n, 1, 4, 4)), weights) for n in (1, 2))
    assert a.nodes[0].args[1].array is b.nodes[0].args[1].array
    assert len(weights.made) == 1


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_arrays_share_memory_when_they_do_not_live_together():
    def chain(x):
        for _ in range(10):
            x = x.exp().sqrt()
        return x

    plan = fastdl.compile(chain, fastdl.ones(1000))
    size = 4032  # 4,000 bytes, in blocks of 64
    assert plan.memory() == {"arena": 2 * size, "intermediates": 20 * size, "weights": 0}


def test_a_residual_lives_as_long_as_it_is_needed():
    def network(x):
        y = x.exp()
        z = y.sqrt().log().tanh()
        return y + z

    x = fastdl.rand(1000)
    plan = fastdl.compile(network, x)
    assert plan(x).numpy().tobytes() == network(x).numpy().tobytes()
    assert plan.memory()["arena"] == 3 * 4032


def test_concatenated_arrays_are_made_in_place():
    """Along the first axis that is not 1; others, and what several concatenations share, are copied."""
    a, b, c = (fastdl.rand(16, 3, 3, 3) - 0.5 for _ in range(3))

    def network(x):
        first, second = F.conv2d(x, a, padding=1), F.max_pool2d(F.conv2d(x, b, padding=1), 3, 1, 1)
        both = fastdl.cat([first, second], 1)
        more = fastdl.cat([both, x, F.conv2d(x, c, padding=1), first], 1)
        return more.relu(), first.relu(), fastdl.cat([second, second], 1)

    for n, copies in ((1, 4), (2, 8)):
        x = fastdl.randn(n, 3, 4, 8)
        plan = fastdl.compile(network, x)
        for got, want in zip(plan(x), network(x), strict=True):
            assert got.numpy().tobytes() == want.numpy().tobytes()
        ends = np.diff([0, *plan._latest().ends])
        made = sum(int(e) for node, e in zip(plan.graph.nodes, ends, strict=True) if node.function == "concat")
        assert made == copies


def test_a_failed_recording_leaves_nothing_behind():
    cpu = fastdl.backends.get("cpu")
    x = fastdl.rand(5)

    def fail():
        cpu.exp(x._array)
        cpu.to_numpy(x._array)

    before = fastdl.memory_stats()["allocated"]
    with pytest.raises(RuntimeError, match=r"\[to_numpy\] expected no recording, since it reads numbers, got one"):
        cpu.record_kernels(fail, [])
    with pytest.raises(RuntimeError, match=r"\[record\] expected one recording at a time, got a second one"):
        cpu.record_kernels(lambda: [cpu.record_kernels(list, [])], [])
    with pytest.raises(TypeError, match=r"\[record\] expected arrays from build"):
        cpu.record_kernels(lambda: [3], [])
    assert fastdl.memory_stats()["allocated"] == before
    assert fastdl.compile(fastdl.exp, x)(x).numpy().tobytes() == x.exp().numpy().tobytes()


def test_in_place_forms_never_touch_what_is_still_needed():
    """relu of a value that a view of it, an output or an input also holds."""

    def network(x):
        y = x.exp() - 2
        view = y.reshape(-1)
        return x.relu(), y.relu() + view.reshape(y.shape), view, (y - 1).relu()

    x = fastdl.randn(3, 4)
    kept = x.numpy().copy()
    plan = fastdl.compile(network, x)
    for _ in range(2):
        for got, want in zip(plan(x), network(x), strict=True):
            assert got.numpy().tobytes() == want.numpy().tobytes()
        assert (x.numpy() == kept).all()
