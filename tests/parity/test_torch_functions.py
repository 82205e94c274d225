"""Outputs and gradients of random shapes and attributes against PyTorch in float64 and float32."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
TF = torch.nn.functional

SEEDS = range(12)


def compare(ours, theirs, arrays, dtype="float64", epsilons=64, differentiable=None):
    """Runs both functions on the same arrays and compares outputs and gradients."""
    mine = [fastdl.tensor(a, dtype=dtype if a.dtype.kind == "f" else None) for a in arrays]
    other = [torch.tensor(a, dtype=getattr(torch, dtype) if a.dtype.kind == "f" else None) for a in arrays]
    for i, a in enumerate(arrays):
        if a.dtype.kind == "f" and (differentiable is None or i in differentiable):
            mine[i].requires_grad_()
            other[i].requires_grad_()
    out, expected = ours(*mine), theirs(*other)
    assert_close(out, expected.detach().numpy(), epsilons)
    if expected.requires_grad:
        grad = np.random.default_rng(9).standard_normal(expected.shape)
        out.backward(fastdl.tensor(grad, dtype=dtype))
        expected.backward(torch.tensor(grad, dtype=getattr(torch, dtype)))
        for i, (m, o) in enumerate(zip(mine, other, strict=True)):
            if o.grad is not None:
                assert_close(m.grad, o.grad.numpy(), epsilons, what=f"gradient {i}")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conv2d(seed, dtype):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    kernel = rng.integers(1, 5, 2)
    stride, dilation, padding = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(0, 3, 2)
    size = (kernel - 1) * dilation + 1 + rng.integers(0, 20, 2)
    channels, filters = int(groups * rng.integers(1, 20)), int(groups * rng.integers(1, 20))
    x = rng.standard_normal((rng.integers(1, 4), channels, *size))
    w = rng.standard_normal((filters, channels // groups, *kernel))
    b = rng.standard_normal(filters)
    pairs = {"stride": stride, "padding": padding, "dilation": dilation}
    attributes = {name: tuple(int(n) for n in pair) for name, pair in pairs.items()} | {"groups": groups}
    compare(lambda *t: F.conv2d(*t, **attributes), lambda *t: TF.conv2d(*t, **attributes), [x, w, b], dtype, 96)


@pytest.mark.parametrize("size", [(1, 64, 28, 28), (2, 48, 13, 17), (1, 16, 30, 31), (3, 32, 12, 12)])
@pytest.mark.parametrize("padding", [0, 1, "same"])
def test_conv2d_3x3_large_enough_for_winograd(size, padding):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(size), rng.standard_normal((40, size[1], 3, 3))
    exact = TF.conv2d(
        torch.tensor(x.astype(np.float32)).double(), torch.tensor(w.astype(np.float32)).double(), padding=padding
    )
    out = F.conv2d(fastdl.tensor(x, dtype="float32"), fastdl.tensor(w, dtype="float32"), padding=padding)
    error = np.abs(out.numpy() - exact.numpy()).max() / np.abs(exact.numpy()).max()
    assert error <= 6e-6


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conv_transpose2d(seed, dtype):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    kernel, stride, dilation = rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    padding = rng.integers(0, (kernel - 1) * dilation // 2 + 1)
    extra = rng.integers(0, np.maximum(stride, dilation))
    x = rng.standard_normal((rng.integers(1, 4), groups * rng.integers(1, 20), *rng.integers(1, 20, 2)))
    w = rng.standard_normal((x.shape[1], rng.integers(1, 20), *kernel))
    b = rng.standard_normal(w.shape[1] * groups)
    pairs = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": extra}
    attributes = {name: tuple(int(n) for n in pair) for name, pair in pairs.items()} | {"groups": groups}
    ours, theirs = F.conv_transpose2d, TF.conv_transpose2d
    compare(lambda *t: ours(*t, **attributes), lambda *t: theirs(*t, **attributes), [x, w, b], dtype, 96)
    row = {name: value[1:] if isinstance(value, tuple) else value for name, value in attributes.items()}
    arrays = [x[:, :, 0], w[:, :, 0], b]
    compare(lambda *t: F.conv_transpose1d(*t, **row), lambda *t: TF.conv_transpose1d(*t, **row), arrays, dtype, 96)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 2, "same", "valid"])
@pytest.mark.parametrize("axes", [1, 2])
def test_convolution_layers(mode, padding, axes):
    name, attributes = f"Conv{axes}d", {"padding": padding, "padding_mode": mode, "dilation": 2, "groups": 2}
    ours, theirs = getattr(fastdl.nn, name)(4, 6, 4, **attributes), getattr(torch.nn, name)(4, 6, 4, **attributes)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: fastdl.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 4, 9, 11)[: axes + 2])
    compare(ours, theirs, [x], "float32", 96)


@pytest.mark.parametrize("axes", [1, 2])
def test_transposed_convolution_layers(axes):
    name, attributes = f"ConvTranspose{axes}d", {"stride": 3, "padding": 1, "output_padding": 2, "bias": False}
    ours, theirs = getattr(fastdl.nn, name)(4, 6, 4, **attributes), getattr(torch.nn, name)(4, 6, 4, **attributes)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: fastdl.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x, size = np.random.default_rng(0).standard_normal((2, 4, 5, 6)[: axes + 2]), (15, 18)[:axes]
    compare(ours, theirs, [x], "float32", 96)
    compare(lambda t: ours(t, size), lambda t: theirs(t, size), [x], "float32", 96)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(1, 2), (0, 3, 2, 1), (2, -1, -1, 1), (-2, 3, 3, -2), (1, 1, 0, 2, 3, 1)])
def test_pad_modes(mode, pad):
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)[-len(pad) // 2 - 1 :])
    compare(lambda t: F.pad(t, pad, mode), lambda t: TF.pad(t, pad, mode), [x])


@pytest.mark.parametrize("shape", [(5, 5), (3, 4, 9), (2, 0, 3), (2, 3, 33, 70)])
@pytest.mark.parametrize("k", [0, 2, -1, 100, -100])
def test_triangles(shape, k):
    x = np.random.default_rng(0).standard_normal(shape)
    for name in ("tril", "triu"):
        compare(lambda t, f=name: getattr(fastdl, f)(t, k), lambda t, f=name: getattr(torch, f)(t, k), [x])
        for dtype in (np.uint8, np.int32, np.int64, np.bool_):
            theirs = getattr(torch, name)(torch.tensor(x.astype(dtype)), k).numpy()
            assert (getattr(fastdl, name)(fastdl.tensor(x.astype(dtype)), k).numpy() == theirs).all()


@pytest.mark.parametrize("dims", [(0,), (1,), (3,), (-1, 1), (0, 1, 2, 3), ()])
def test_flip_and_roll(dims):
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 37))
    shifts = tuple(range(-2, 3 * len(dims) - 2, 3))
    compare(lambda t: fastdl.flip(t, dims), lambda t: torch.flip(t, dims), [x])
    if dims:
        compare(lambda t: fastdl.roll(t, shifts, dims), lambda t: torch.roll(t, shifts, dims), [x])
        compare(lambda t: fastdl.roll(t, (1, 2), (dims[0],) * 2), lambda t: torch.roll(t, (1, 2), (dims[0],) * 2), [x])
    compare(lambda t: fastdl.roll(t, 1000), lambda t: torch.roll(t, 1000), [x])
    for dtype in (np.uint8, np.int32, np.int64, np.bool_):
        ours, theirs = fastdl.tensor(x.astype(dtype)), torch.tensor(x.astype(dtype))
        assert (fastdl.flip(ours, dims).numpy() == torch.flip(theirs, dims).numpy()).all()
        assert (fastdl.roll(ours, 7, 3).numpy() == torch.roll(theirs, 7, 3).numpy()).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_max_pool2d(seed):
    rng = np.random.default_rng(seed)
    kernel = tuple(int(k) for k in rng.integers(1, 5, 2))
    attributes = {
        "kernel_size": kernel,
        "stride": tuple(int(s) for s in rng.integers(1, 4, 2)),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "dilation": tuple(int(d) for d in rng.integers(1, 3, 2)),
        "ceil_mode": bool(rng.integers(2)),
    }
    x = rng.standard_normal((2, 3, *rng.integers(8, 40, 2)))
    x[rng.random(x.shape) < 0.02] = np.nan
    compare(lambda t: F.max_pool2d(t, **attributes), lambda t: TF.max_pool2d(t, **attributes), [x], "float32", 4)
    mine = F.max_pool2d(fastdl.tensor(x), **attributes, return_indices=True)[1]
    theirs = TF.max_pool2d(torch.tensor(x), **attributes, return_indices=True)[1]
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "shapes", [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((5,), (5,)), ((2, 1, 3, 4), (3, 4, 2)), ((4,), (3, 4, 2))]
)
def test_matmul(shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in shapes]
    compare(fastdl.matmul, torch.matmul, arrays)


UNARY = ["exp", "log", "sqrt", "abs", "tanh", "sigmoid", "neg", "relu"]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    x = np.abs(np.random.default_rng(0).standard_normal((5, 37))) + 0.1
    compare(getattr(fastdl, name, None) or getattr(F, name), getattr(torch, name), [x])


SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 88.8, 89.0, -104.0, 1e30, -1e30, 1.0, 0.5, 20.0, -20.0]
)


@pytest.mark.parametrize("name", [*UNARY, "sign"])
def test_special_values(name):
    x = np.concatenate([SPECIAL, SPECIAL]).astype(np.float32)
    mine = (getattr(fastdl, name, None) or getattr(F, name))(fastdl.tensor(x)).numpy()
    theirs = getattr(torch, name)(torch.tensor(x)).numpy()
    normal = ~((np.abs(x) < 1.2e-38) & (x != 0))  # kernels read denormal numbers as zero
    np.testing.assert_allclose(mine[normal], theirs[normal], rtol=3e-7, atol=1e-38)
    zero = normal & (theirs == 0) & (name != "relu")  # PyTorch's own relu(-0) depends on where in a vector it stands
    np.testing.assert_array_equal(np.signbit(mine[zero]), np.signbit(theirs[zero]))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "pow"])
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((2, 3, 1), (1, 5)), ((4, 1, 6), (3, 1)), ((), (7,))])
def test_binary(name, shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.3, 2.0, s) for s in shapes]
    compare(getattr(fastdl, name), getattr(torch, name), arrays)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "var"])
@pytest.mark.parametrize("dim", [0, 1, (0, 2), (1, 2, 3), -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions(name, dim, keepdim):
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 6))
    compare(
        lambda t: getattr(t, name)(dim=dim, keepdim=keepdim), lambda t: getattr(t, name)(dim=dim, keepdim=keepdim), [x]
    )


def test_max_gives_values_and_first_index():
    x = np.random.default_rng(0).integers(0, 3, (20, 9)).astype(np.float64)
    _, indices = fastdl.tensor(x).max(dim=1)
    np.testing.assert_array_equal(indices.numpy(), x.argmax(1))
    compare(
        lambda t: t.max(dim=1).values, lambda t: t.max(dim=1).values, [np.random.default_rng(1).standard_normal((4, 9))]
    )


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(function, dim):
    x = np.random.default_rng(0).standard_normal((4, 33, 5)) * 6
    compare(lambda t: getattr(F, function)(t, dim), lambda t: getattr(TF, function)(t, dim), [x])
    nothing = np.full((2, 3, 4), -np.inf)
    ours, theirs = getattr(F, function), getattr(TF, function)
    compare(lambda t: ours(t, dim), lambda t: theirs(t, dim), [nothing], differentiable=[])


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spatial", [(), (5,), (2, 3)])
def test_cross_entropy(reduction, smoothing, weighted, spatial):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 7, *spatial)) * 4
    target = rng.integers(0, 7, (6, *spatial))
    target.reshape(-1)[1] = -100
    weight = [rng.uniform(0.5, 2, 7)] if weighted else []
    probabilities = np.moveaxis(rng.dirichlet(np.ones(7), (6, *spatial)), -1, 1)
    for y in (target, probabilities):
        compare(
            lambda x, y, *w: F.cross_entropy(x, y, *w, reduction=reduction, label_smoothing=smoothing),
            lambda x, y, *w: TF.cross_entropy(x, y, *w, reduction=reduction, label_smoothing=smoothing),
            [x, y, *weight], differentiable=[0],
        )  # fmt: skip


def test_cross_entropy_without_rows_that_count():
    x, target = fastdl.ones(2, 3), fastdl.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, target).item())
    assert F.cross_entropy(x, target, reduction="sum").item() == 0.0


def test_other_functions():
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((5, 7)), rng.standard_normal((3, 7)), rng.standard_normal(3)
    compare(F.linear, TF.linear, [x, w, b])
    compare(lambda a, c: F.mse_loss(a, c), lambda a, c: TF.mse_loss(a, c), [x, rng.standard_normal((5, 7))])
    compare(lambda a: F.pad(a, (1, 2, 0, 3), value=2.0), lambda a: TF.pad(a, (1, 2, 0, 3), value=2.0), [x])
    compare(lambda a: fastdl.clamp(a, -0.3, 0.4), lambda a: torch.clamp(a, -0.3, 0.4), [x])
    compare(lambda a: F.nll_loss(F.log_softmax(a, 1), fastdl.tensor([0, 1, 2, 3, 4])),
            lambda a: TF.nll_loss(TF.log_softmax(a, 1), torch.tensor([0, 1, 2, 3, 4])), [x])  # fmt: skip
    compare(lambda a: a.permute(1, 0)[2:, ::2], lambda a: a.permute(1, 0)[2:, ::2], [x])
    compare(lambda a: fastdl.stack([a, a * 2], 1), lambda a: torch.stack([a, a * 2], 1), [x])
