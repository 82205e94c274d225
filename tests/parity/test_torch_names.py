"""Names, arguments and small functions of `torch` that programs of courses use, against PyTorch."""

import math

import numpy as np
import pytest

import fastdl
import fastdl.data
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

X = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 4))
MANY = np.array([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 0.5, -3.0, 1e-6, 1e6])
FUNCTIONS = {
    "angles": lambda k, x: [k.asin(x), k.acos(x), k.atan(x * 9), k.atan2(x, x.flip(0)), k.sinc(x)],
    "areas": lambda k, x: [k.asinh(x * 5), k.acosh(x + 2), k.atanh(x), x.arcsin(), k.arctan2(x, x + 2)],
    "signs": lambda k, x: [k.copysign(x, -x.flip(1)), k.sgn(x), k.positive(x), k.rsub(x, 1), k.ldexp(x, x * 2)],
    "powers": lambda k, x: [k.float_power(x.abs(), 2), k.logaddexp2(x, x * 2), k.logcumsumexp(x, 1)],
    "largest": lambda k, x: [k.fmax(x, x.flip(0)), k.fmin(x, x * 2), k.heaviside(x.detach(), x.detach())],
    "sums": lambda k, x: [k.addmv(x[:, 0], x, x[0]), k.addr(x, x[:, 0], x[0]), k.ger(x[0], x[1])],
    "depth": lambda k, x: [
        k.dstack([x, x]),
        k.atleast_3d(x),
        k.diagflat(x),
        k.combinations(x[0]),
        k.vander(x[0].detach(), 3),
    ],
    "parts": lambda k, x: [*k.hsplit(x, 2), *x.vsplit([1])],
    "axis": lambda k, x: [x.sum(axis=0), k.mean(x, axis=1, keepdims=True), k.cat([x, x], axis=1), x.std(axis=-1)],
    "axes": lambda k, x: [k.softmax(x, axis=1), k.stack([x, x], axis=2), k.max(x, axis=1).values, x.argsort(axis=0)],
    "dims": lambda k, x: [k.flip(x, dims=[1]), x.flip(dims=(0, 1)), k.permute(x, dims=(1, 0))],
    "dtype": lambda k, x: [
        x.detach().cumsum(1, dtype=k.float32),
        x.mean(dtype=k.float64),
        (x > 0).cumprod(0, dtype=k.float64),
    ],
    "div": lambda k, x: [
        k.div(x.detach(), -0.25, rounding_mode="trunc"),
        x.detach().div(x.detach().flip(0), rounding_mode="floor"),
    ],
    "scatter": lambda k, x: [x.detach().scatter(1, k.tensor([[0, 1], [2, 0], [1, 1]]), 2.0, reduce="add")],
    "cat of nothing": lambda k, x: [k.cat([k.tensor([], dtype=x.dtype), x])],
    "mode": lambda k, x: [k.mode((x * 3).round().detach(), 1).values, *k.histogram(x.detach(), 5)],
    "integers": lambda k, x: [x[np.int64(1)], x[:, np.int32(-1)], k.unravel_index(k.tensor([3, 11]), (3, 4))[1]],
    "in place": lambda k, x: [x.clone().erf_().log1p_(), x.clone().atan2_(x + 2), x.clone().sinh_().frac_()],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    mine, other = fastdl.tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    ours, theirs = FUNCTIONS[name](fastdl, mine), FUNCTIONS[name](torch, other)
    assert len(ours) == len(theirs)
    for o, t in zip(ours, theirs, strict=True):
        assert str(o.dtype).split(".")[1] == str(t.dtype).split(".")[1]
        assert_close(o, t.detach().numpy(), 64)
    if theirs[0].requires_grad:
        sum((o.double() ** 2).sum() for o in ours if o.requires_grad).backward()
        sum((t.double() ** 2).sum() for t in theirs if t.requires_grad).backward()
        assert_close(mine.grad, other.grad.numpy(), 512)


@pytest.mark.parametrize("name", ["atan2", "fmax", "fmin", "copysign"])
def test_special_numbers_in_pairs(name):
    y, x = (a.ravel().astype(np.float32) for a in np.meshgrid(MANY, MANY))
    ours = getattr(fastdl, name)(fastdl.tensor(y), fastdl.tensor(x)).numpy()
    theirs = getattr(torch, name)(torch.tensor(y), torch.tensor(x)).numpy()
    if name in ("atan2", "copysign"):
        keep = ~np.isnan(x) & ~np.isnan(y)
        assert (np.isnan(ours) == np.isnan(theirs))[keep | (name == "atan2")].all()
        ours, theirs = ours[keep], theirs[keep]
    np.testing.assert_allclose(ours, theirs, rtol=4e-7)
    if name in ("atan2", "copysign"):
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))


@pytest.mark.parametrize("name", ["asinh", "acosh", "atanh", "asin", "acos", "atan", "isposinf", "isneginf", "sinc"])
def test_special_numbers(name):
    ours = getattr(fastdl, name)(fastdl.tensor(MANY[MANY != 1e6])).numpy()
    theirs = getattr(torch, name)(torch.tensor(MANY[MANY != 1e6])).numpy()
    if name == "sinc":  # sin(inf): NaN, as the sum says
        ours, theirs = (v[np.isfinite(MANY[MANY != 1e6])] for v in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_makers_and_constants():
    for make in ("FloatTensor", "LongTensor", "BoolTensor"):
        ours, theirs = getattr(fastdl, make)([1, 0]), getattr(torch, make)([1, 0])
        assert str(ours) == str(theirs) and getattr(fastdl, make)(2, 3).shape == (2, 3)
    assert str(fastdl.Tensor([1, 2])) == str(torch.Tensor([1, 2])) and fastdl.Tensor(2, 3).shape == (2, 3)
    assert fastdl.Tensor(2).shape == (2,) and fastdl.Tensor().shape == (0,)
    assert fastdl.ones(2).type(fastdl.LongTensor).dtype is fastdl.int64
    assert fastdl.zeros(size=(2, 3)).shape == fastdl.randn(size=(2, 3)).shape == (2, 3)
    assert (fastdl.pi, fastdl.e, fastdl.inf, fastdl.newaxis) == (torch.pi, torch.e, torch.inf, torch.newaxis)
    assert fastdl.device("cuda", 0) == "cuda:0" and fastdl.device("cuda:1").index == 1
    assert fastdl.broadcast_shapes((2, 1), (3,)) == (2, 3)
    assert fastdl.promote_types(fastdl.int32, fastdl.bool) is fastdl.int32
    assert fastdl.can_cast(fastdl.int64, fastdl.float32) and not fastdl.can_cast(fastdl.float64, fastdl.int64)


def test_default_dtype():
    fastdl.set_default_dtype(fastdl.float64)
    try:
        made = [fastdl.ones(1), fastdl.tensor(1.5), fastdl.randn(2), fastdl.arange(0.0, 1, 0.5), fastdl.full((1,), 2.0)]
        assert all(t.dtype is fastdl.float64 for t in [*made, fastdl.nn.Linear(2, 2).weight])
        assert fastdl.tensor(np.ones(1, np.float32)).dtype is fastdl.float32
    finally:
        fastdl.set_default_dtype(fastdl.float32)
    assert fastdl.ones(1).dtype is fastdl.get_default_dtype() is fastdl.float32
    with pytest.raises(TypeError, match=r"\[set_default_dtype\] expected float32 or float64, got fastdl.int64"):
        fastdl.set_default_dtype(fastdl.int64)


@pytest.mark.parametrize("separate", [False, True])
def test_functions_of_users_with_several_outputs(separate):
    def grads(k):
        class SumAndProduct(k.autograd.Function):
            @staticmethod
            def backward(ctx, of_sum, of_product, of_order):
                a, b = ctx.saved_tensors
                return of_sum + of_product * b, of_sum + of_product * a, None

        def setup(ctx, inputs, output):
            ctx.save_for_backward(*inputs[:2])
            ctx.mark_non_differentiable(output[2])

        def compute(a, b, scale):
            return a + b, a * b, a > b

        def forward(ctx, a, b, scale):
            out = compute(a, b, scale)
            setup(ctx, (a, b), out)
            return out

        SumAndProduct.forward = staticmethod(compute if separate else forward)
        if separate:
            SumAndProduct.setup_context = staticmethod(setup)
        a, b = k.tensor([1.0, 2.0], requires_grad=True), k.tensor([5.0, -4.0], requires_grad=True)
        total, product, order = SumAndProduct.apply(a, b, 3)
        assert not order.requires_grad and total.requires_grad
        (product * 3).sum().backward()
        return a.grad.tolist(), b.grad.tolist()

    assert grads(fastdl) == grads(torch)


def test_addresses_of_older_programs():
    from fastdl.autograd import Variable
    from fastdl.cuda.amp import GradScaler, autocast

    x = Variable(fastdl.ones(2), requires_grad=True)
    with autocast(enabled=False):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0] and GradScaler is fastdl.amp.GradScaler
    fastdl.backends.cudnn.benchmark = True
    assert not fastdl.backends.mps.is_available() and not fastdl.backends.cudnn.is_available()
    fastdl.use_deterministic_algorithms(True)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: fastdl.arange(5, 0), ValueError, "[arange] expected a step from start towards end, got 5, 0 and 1"),
        (lambda: fastdl.nn.Linear(1, 1).register_buffer("weight", fastdl.ones(1)), KeyError, "[register_buffer]"),
        (
            lambda: fastdl.optim.Adam([fastdl.ones(1, requires_grad=True)]).load_state_dict({"a": 1}),
            ValueError,
            "[load_state_dict] expected 'state' and 'param_groups', got ['a']",
        ),
        (lambda: fastdl.div(fastdl.ones(1), 2, rounding_mode="up"), ValueError, "[div] expected rounding_mode"),
        (lambda: fastdl.broadcast_shapes((2,), (3,)), ValueError, "[broadcast_shapes] expected shapes that broadcast"),
        (lambda: fastdl.unravel_index(fastdl.tensor(6), (2, 3)), ValueError, "[unravel_index] expected indices in"),
        (lambda: list(fastdl.data.DataLoader([np.ones(2), np.ones(3)], 2)), ValueError, "[collate] expected items"),
    ],
)
def test_wrong_arguments(wrong, error, message):
    with pytest.raises(error) as caught:
        wrong()
    assert message in str(caught.value)


def test_items_without_batches_and_joined_sets():
    loader = fastdl.data.DataLoader([(1, np.ones(2)), (2, np.zeros(2))], batch_size=None)
    assert [(i, x.tolist()) for i, x in loader] == [(1, [1.0, 1.0]), (2, [0.0, 0.0])]
    two = fastdl.data.TensorDataset(np.arange(2))
    assert len(two + two) == 4
