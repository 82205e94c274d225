"""Inference plans: equal to the network itself, for every family of networks, and what a plan promises besides."""

import threading
from collections import namedtuple

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import backends, models, nn
from fastdl.plan import trace
from fastdl.plan.tree import flatten
from fastdl.testing import assert_close

Pair = namedtuple("Pair", "first second")


def expect_equal(got, want, epsilons=4096):
    """Trees of tensors, equal within rounding (batch norms are folded, sums are taken in other orders)."""
    (outs, tree), (expected, other) = flatten(got), flatten(want)
    assert tree == other
    for g, w in zip(outs, expected, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape and not g.requires_grad
        assert_close(g, w, epsilons)


def alive(model):
    """Batch norms as training leaves them, not as they begin."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.7, 1.3)
            module.weight.data.uniform_(0.7, 1.3)
            module.bias.data.uniform_(-0.2, 0.2)
    return model.eval()


NETWORKS = {
    "alexnet": (1, 3, 67, 67), "alexnet_undivided": (1, 3, 227, 227), "alexnet_two_groups": (1, 3, 227, 227),
    "vgg11_bn": (1, 3, 32, 32), "vgg16": (1, 3, 32, 32), "googlenet": (1, 3, 64, 64),
    "googlenet_published": (1, 3, 64, 64), "inception_v3": (1, 3, 80, 80), "mobilenet_v2": (2, 3, 40, 40),
    "digits_network": (3, 1, 28, 28), "resnet18": (2, 3, 40, 40), "resnet50": (1, 3, 33, 33),
    "resnet50_published": (1, 3, 32, 32), "resnet20_cifar": (2, 3, 32, 32), "plain20_cifar": (2, 3, 32, 32),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    model = alive(models.get_model(name))
    x = fastdl.randn(*NETWORKS[name])
    with fastdl.no_grad():
        expected = model(x)
    plan = fastdl.compile(model, x)
    expect_equal(plan(x), expected)
    functions = [node.function for node in plan.graph.nodes]
    assert "batch_norm" not in functions or "googlenet_published" in name
    memory = plan.memory()
    assert memory["arena"] < memory["intermediates"]


class Unet(nn.Module):
    """Down, up by a transposed convolution, and the skipped map beside it."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.inner = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.Tanh())
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 8, 2, stride=2, groups=2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        wide = self.down(x)
        up = self.up(self.inner(wide))
        up = F.pad(up, (0, wide.shape[3] - up.shape[3], 0, wide.shape[2] - up.shape[2]))
        mask = self.head(fastdl.cat([wide, up], 1))
        return F.interpolate(mask, scale_factor=2, mode="bilinear")


class Recurrent(nn.Module):
    """An embedding, an LSTM both ways, a GRU, and a classifier of the last step."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.5)
        self.gru = nn.GRU(10, 4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, index):
        out, (h, _) = self.lstm(self.table(index))
        out, _ = self.gru(out)
        return {"scores": self.head(out[:, -1]), "state": h}


class Attention(nn.Module):
    """Heads of attention with a causal mask made on the way, a norm, a residual sum and a gated layer."""

    def __init__(self):
        super().__init__()
        self.project, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
        self.norm, self.gate = nn.LayerNorm(12), nn.Linear(12, 24)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (part.reshape(n, t, 3, 4).permute(0, 2, 1, 3) for part in self.project(x).chunk(3, -1))
        scores = q @ k.transpose(-1, -2) / 2.0
        scores = scores.masked_fill(fastdl.ones(t, t, dtype="bool").triu(1), float("-inf"))
        mixed = fastdl.einsum("nhij,nhjc->nihc", scores.softmax(-1), v).reshape(n, t, 12)
        x = self.norm(x + self.out(mixed))
        return Pair(F.glu(self.gate(x)), [scores, F.scaled_dot_product_attention(q, k, v)])


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(30, 4), nn.Linear(4, 2)

    def forward(self, index, offsets):
        return self.head(self.bag(index, offsets))


def shifted_rows(x):
    """Writes in place into what it made, into a view of it, and into its argument."""
    table = fastdl.zeros(4, x.shape[1])
    table[1:3] = x[:2]
    table.reshape(-1).add_(1)
    x.mul_(2)
    return table, x


OTHERS = {
    "unet": (Unet, lambda n: [fastdl.randn(n, 3, 9 + n, 12)]),
    "recurrent": (Recurrent, lambda n: [fastdl.randint(0, 20, (n, 7))]),
    "attention": (Attention, lambda n: [fastdl.randn(n, 4 + n, 12)]),
    "text": (Text, lambda n: [fastdl.randint(0, 30, (8 + n,)), fastdl.tensor([0, 3, 3 + n])]),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Sigmoid()),
               lambda n: [fastdl.randn(n, 2, 9)]),
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2), nn.Tanh()),
            lambda n: [fastdl.randn(n, 4)]),
    "activations": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU(True), nn.Hardswish(), nn.ReLU6(), nn.PReLU()),
                    lambda n: [fastdl.randn(n, 1, 5, 5)]),
    "in place": (lambda: shifted_rows, lambda n: [fastdl.randn(2, n)]),
    "nothing": (lambda: lambda x: (x, None, 3.0), lambda n: [fastdl.randn(n)]),
    "constant": (lambda: lambda x: [fastdl.arange(3), x.shape[0]], lambda n: [fastdl.randn(n)]),
    "nested": (lambda: lambda d: {"sum": d["a"][0] + d["a"][1]}, lambda n: [{"a": [fastdl.randn(n), fastdl.ones(n)]}]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_networks_in_several_shapes(name, dtype):
    make, inputs = OTHERS[name]
    model = make()
    if isinstance(model, nn.Module):
        model.to(dtype)
    kept = [[x.to(dtype) if isinstance(x, fastdl.Tensor) and x.is_floating_point() else x for x in inputs(n)]
            for n in (1, 2, 5, 2, 1)]  # fmt: skip
    plan = fastdl.compile(model, *kept[0])
    if isinstance(model, nn.Module):
        model.eval()
    for some in kept:
        got = plan(*some)
        with fastdl.no_grad():
            expect_equal(got, model(*some))  # after the plan, which leaves its inputs as they are
    assert len(plan._recordings) == 3


# ---- the model -------------------------------------------------------------------------------------------------------


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    model[1].eval()
    seen = []
    model[0].register_forward_hook(lambda *_: seen.append(1))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    x = fastdl.randn(5, 3)
    plan = fastdl.compile(model, x)
    assert model.training and not model[1].training and model[0].weight.requires_grad and len(seen) == 1
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == [0, 1, 0, 0]
    assert all((before[name] == value.numpy()).all() for name, value in model.state_dict().items())
    expect_equal(plan(x), model.eval()(x).detach())


def test_weights_are_those_of_compile_until_refresh():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).eval()
    small, large = fastdl.randn(1, 1, 4, 4), fastdl.randn(3, 1, 4, 4)
    plan = fastdl.compile(model, small)
    old = model(large).detach()
    with fastdl.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    expect_equal(plan(large), old)  # a shape that was not recorded before
    plan.refresh()
    expect_equal(plan(large), model(large).detach())


def test_recordings_share_weights_and_are_bounded():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    plan = fastdl.compile(model, max_shapes=2)
    with pytest.raises(RuntimeError, match=r"\[Plan\] expected inputs of some shape first"):
        plan.memory()
    weights = []
    for n in (1, 2, 3, 1):
        plan(fastdl.randn(n, 1, 4, 4))
        weights.append(plan.graph.nodes[0].args[1].array.address)
        assert len(plan._recordings) <= 2
    assert len(set(weights)) == 1
    assert "2 recordings" in repr(plan) and "conv2d" in str(plan)


def test_settings_may_change():
    model = alive(models.resnet20_cifar())
    x = fastdl.randn(2, 3, 32, 32)
    plan = fastdl.compile(model, x)
    expected = plan(x)
    cpu = backends.get("cpu")
    for threads in (1, 3):
        fastdl.set_num_threads(threads)
        expect_equal(plan(x), expected)
    for isa in cpu.isa_levels():
        cpu.set_isa(isa)
        expect_equal(plan(x), expected)
    for algorithm in ("direct", "winograd", "auto"):
        fastdl.set_conv_algorithm(algorithm)
        expect_equal(plan(x), expected)


def test_a_plan_within_a_network():
    inner = fastdl.compile(nn.Linear(3, 3), fastdl.ones(1, 3))
    outer = fastdl.compile(lambda x: inner(x).relu(), fastdl.ones(1, 3))
    x = fastdl.randn(2, 3)
    expect_equal(outer(x), inner(x).relu())
    assert [node.function for node in outer.graph.nodes] == ["linear"]


def test_threads_compile_at_once():
    model, plans = alive(models.resnet20_cifar()), []
    threads = [threading.Thread(target=lambda: plans.append(fastdl.compile(model, x))) for _ in range(4)]
    x = fastdl.randn(1, 3, 32, 32)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = model(x).detach()
    assert len(plans) == 4
    for plan in plans:
        expect_equal(plan(x), expected)


def test_threads_take_turns():
    model = alive(models.resnet20_cifar())
    inputs = [fastdl.randn(n, 3, 32, 32) for n in (1, 2, 1, 2)]
    with fastdl.no_grad():
        expected = [model(x) for x in inputs]
    plan, failures = fastdl.compile(model), []

    def run(x, want):
        try:
            for _ in range(5):
                expect_equal(plan(x), want)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(inputs, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_outputs_are_fresh_and_nothing_leaks():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)).eval()
    x = fastdl.randn(1, 3, 8, 8)
    plan = fastdl.compile(model, x)
    first = plan(x)
    kept = first.numpy().copy()
    plan(fastdl.zeros(1, 3, 8, 8))
    assert (first.numpy() == kept).all()
    before = fastdl.memory_stats()["allocated"]
    for _ in range(1000):
        plan(x)
    assert fastdl.memory_stats()["allocated"] == before
    alone = before - sum(v.bytes for v in plan.graph.constants())
    del plan
    assert fastdl.memory_stats()["allocated"] <= alone


# ---- errors ----------------------------------------------------------------------------------------------------------

DEPENDS = r"\[compile\] expected a network whose steps do not depend on the numbers in its inputs, got "
table = fastdl.ones(3)


@pytest.mark.parametrize(("function", "error", "message"), [
    (lambda x: x * x.sum().item(), RuntimeError, DEPENDS + "one that reads them"),
    (lambda x: x if x.sum() > 0 else -x, RuntimeError, DEPENDS + "one that reads them"),
    (lambda x: fastdl.tensor(x.numpy()), RuntimeError, DEPENDS + "one that reads them"),
    (lambda x: x[x > 0], RuntimeError, DEPENDS + "nonzero, whose result"),
    (lambda x: x.to("reference"), RuntimeError, DEPENDS + "one that reads them"),
    (lambda x: fastdl.ones(3, device="reference"), ValueError, "expected a network that computes on cpu"),
    (lambda x: F.dropout(x), RuntimeError, "without random numbers, got dropout"),
    (lambda x: x + fastdl.rand(3), RuntimeError, "without random numbers, got one that draws"),
    (lambda x: table.add_(x), RuntimeError, r"leaves its parameters and buffers as they are, got add_ on one"),
    (lambda x: F.batch_norm(fastdl.stack([x, x]), table, table, training=True), RuntimeError, "got batch_norm on one"),
])  # fmt: skip
def test_networks_that_have_no_plan(function, error, message):
    with pytest.raises(error, match=message):
        fastdl.compile(function, fastdl.ones(3))
    assert table.tolist() == [1, 1, 1]
    assert backends.get("cpu").relu is fastdl._cpu.relu  # as before the trace


def test_bad_arguments():
    plan = fastdl.compile(nn.Linear(3, 2), fastdl.ones(1, 3))
    with pytest.raises(ValueError, match=r"\[compile\] expected tensors on cpu, got one on reference"):
        plan(fastdl.ones(1, 3, device="reference"))
    with pytest.raises(ValueError, match=r"\[linear\] expected"):
        plan(fastdl.ones(1, 4))
    with pytest.raises(TypeError, match=r"\[compile\] expected a Module or a function, got int"):
        fastdl.compile(3, fastdl.ones(1))
    with pytest.raises(TypeError, match=r"\[compile\] expected tensors, numbers and names .* type: 'numpy.ndarray'"):
        fastdl.compile(lambda x: x, np.ones(3))
    with pytest.raises(ValueError, match=r"\[compile\] expected max_shapes of at least 1, got 0"):
        fastdl.compile(nn.Linear(3, 2), max_shapes=0)
    with pytest.raises(ValueError, match=r"\[profile\] expected repeats of at least 1, got 0"):
        plan.profile(repeats=0)
    expect_equal(plan(fastdl.zeros(2, 3)), plan(fastdl.zeros(2, 3)))


def test_indices_are_checked_in_every_run():
    plan = fastdl.compile(nn.Embedding(4, 2), fastdl.tensor([0, 1]))
    with pytest.raises(IndexError, match=r"\[embedding\] expected indices in \[0, 4\), got 4 at position 1"):
        plan(fastdl.tensor([0, 4]))
    assert plan(fastdl.tensor([3, 2])).shape == (2, 2)


# ---- looking at a plan -----------------------------------------------------------------------------------------------


def test_profile():
    model = alive(models.resnet20_cifar())
    plan = fastdl.compile(model, fastdl.randn(2, 3, 32, 32))
    profile = plan.profile(repeats=3)
    assert [row.function for row in profile.rows].count("conv2d") == 19
    assert sum(row.flops for row in profile.rows) == 2 * 2 * models.multiply_adds(model, fastdl.zeros(1, 3, 32, 32))
    assert np.isclose(sum(row.share for row in profile.rows), 1, atol=0.01)
    text = str(profile)
    assert (
        "layer1.0.conv1" in text and "GFLOP/s" in text and "GB/s" in text and len(set(map(len, text.split("\n")))) == 1
    )
    assert plan.profile(fastdl.randn(1, 3, 32, 32), repeats=1).rows[0].shape[0] == 1


def test_constants_have_the_names_of_parameters():
    graph = trace(nn.Sequential(nn.Conv1d(2, 3, 3), nn.Sequential(nn.BatchNorm1d(3))), fastdl.ones(1, 2, 5))
    names = ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "1.0.running_mean", "1.0.running_var"]
    assert [value.name for value in graph.constants()] == names
    assert [node.source for node in graph.nodes if node.function != "reshape"] == ["0", "1.0"]
