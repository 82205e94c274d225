"""Methods and functions of tensors against PyTorch: values and gradients."""

import numpy as np
import pytest

import fastdl
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def compare(function, *arrays, epsilons=64):
    """`function(kit, *tensors)` with either library: equal values, and equal gradients of float inputs."""
    mine = [fastdl.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    other = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    outs, expected = function(fastdl, *mine), function(torch, *other)
    outs, expected = (list(o) if isinstance(o, tuple | list) else [o] for o in (outs, expected))
    assert len(outs) == len(expected)
    for out, want in zip(outs, expected, strict=True):
        assert str(out.dtype).split(".")[1] == str(want.dtype).split(".")[1]
        assert_close(out, want.detach().numpy(), epsilons)
    roots = [(o, e) for o, e in zip(outs, expected, strict=True) if e.requires_grad]
    for i, (out, want) in enumerate(roots):
        grad = array(*want.shape, seed=i + 5)
        out.backward(fastdl.tensor(grad), retain_graph=True)
        want.backward(torch.tensor(grad), retain_graph=True)
    for m, o in zip(mine, other, strict=True):
        assert (m.grad is None) == (o.grad is None)
        if o.grad is not None:
            assert_close(m.grad, o.grad.numpy(), epsilons)


X = array(3, 4, 5)
SHAPES = {
    "repeat": lambda k, x: x.repeat(2, 1, 3, 2),
    "tile": lambda k, x: k.tile(x, (2, 2)),
    "repeat_interleave": lambda k, x: k.repeat_interleave(x, 2, dim=1),
    "repeat_interleave_flat": lambda k, x: x.repeat_interleave(3),
    "repeat_interleave_each": lambda k, x: x.repeat_interleave(k.tensor([1, 0, 2]), dim=0),
    "broadcast_to": lambda k, x: k.broadcast_to(x, (2, 3, 4, 5)),
    "expand_as": lambda k, x: x[:, :1].expand_as(x),
    "view_as": lambda k, x: x.view_as(k.zeros(5, 12)) * x.reshape_as(k.zeros(5, 12)),
    "select": lambda k, x: x.select(1, -1),
    "narrow": lambda k, x: k.narrow(x, 2, 1, 3),
    "unbind": lambda k, x: x.unbind(1),
    "tensor_split": lambda k, x: k.tensor_split(x, 3, dim=2),
    "tensor_split_places": lambda k, x: x.tensor_split([1, 3], dim=2),
    "tensor_split_back": lambda k, x: x.tensor_split([3, 1, -1], dim=2),
    "unflatten": lambda k, x: x.unflatten(1, (2, -1)),
    "hstack": lambda k, x: k.hstack([x, x[:, :2]]),
    "vstack": lambda k, x: k.vstack([x[0, 0], x[0]]),
    "column_stack": lambda k, x: k.column_stack([x[0, 0], x[0].T]),
    "movedim": lambda k, x: k.movedim(x, (0, 1), (-1, 0)),
    "swapaxes": lambda k, x: x.swapaxes(0, 2),
    "fliplr": lambda k, x: k.fliplr(x) + k.flipud(x),
    "meshgrid": lambda k, x: k.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
    "meshgrid_xy": lambda k, x: k.meshgrid(x[0, 0], x[0, :, 0], indexing="xy"),
    "cartesian_prod": lambda k, x: k.cartesian_prod(x[0, 0], x[1, 1]),
    "take": lambda k, x: k.take(x, k.tensor([[0, 7], [-1, 7]])),
    "unfold": lambda k, x: x.unfold(2, 3, 2),
    "unfold_first": lambda k, x: x.unfold(0, 2, 1),
    "tril": lambda k, x: k.tril(x, 1),
    "triu": lambda k, x: x.triu(-1),
    "diagonal": lambda k, x: k.diagonal(x, 1, 1, 2),
    "diagonal_below": lambda k, x: x.diagonal(-2, 2, 0),
    "diag_embed": lambda k, x: k.diag_embed(x, 2),
    "diag_embed_axes": lambda k, x: k.diag_embed(x, -1, 0, 2),
    "diag": lambda k, x: k.diag(k.diag(x[0], 1), -1),
    "trace": lambda k, x: k.trace(x[0]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    compare(SHAPES[name], X)


Z = array(3, 4, 5, seed=1)
Z[0, 1, 2] = Z[0, 1, 4] = Z[2, 3, 0] = 0.0
NUMBERS = {
    "prod": lambda k, x: k.prod(x),
    "prod_dim": lambda k, x: x.prod(1),
    "prod_keepdim": lambda k, x: x.prod(-1, keepdim=True),
    "cumprod": lambda k, x: k.cumprod(x, 1),
    "cumsum": lambda k, x: x.cumsum(0),
    "norm": lambda k, x: x.norm(),
    "norm_dim": lambda k, x: k.norm(x, dim=1, keepdim=True),
    "norm_1": lambda k, x: x.norm(1, dim=(0, 2)),
    "norm_inf": lambda k, x: x.norm(float("inf"), dim=1),
    "norm_3": lambda k, x: x.norm(3, dim=2),
    "norm_zero": lambda k, x: (x * 0).norm(dim=1),
    "norm_half": lambda k, x: (x.abs() + 1).norm(0.5, dim=0),
    "dist": lambda k, x: k.dist(x, x * 2 + 1, 2),
    "logsumexp": lambda k, x: k.logsumexp(x * 300, 1),
    "logsumexp_axes": lambda k, x: x.logsumexp((0, 2), keepdim=True),
    "std_mean": lambda k, x: k.std_mean(x, 1),
    "var_biased": lambda k, x: x.var(1, unbiased=False),
    "var_positional": lambda k, x: x.var(False),
    "std_unbiased": lambda k, x: x.std(unbiased=True),
    "var_mean": lambda k, x: k.var_mean(x, dim=(0, 1), correction=2),
    "aminmax": lambda k, x: tuple(k.aminmax(x, dim=1)),
    "cummax": lambda k, x: tuple(k.cummax(x, 1)),
    "cummin": lambda k, x: tuple(k.cummin(x, 2)),
    "max_dim": lambda k, x: tuple(x.max(1)),
    "min_dim": lambda k, x: tuple(k.min(x, dim=-1, keepdim=True)),
    "argmax": lambda k, x: (x.argmax(), x.argmax(2), x.argmin(0, keepdim=True)),
    "any_all": lambda k, x: ((x > 1).any(), (x > -1).all(2), k.any(x, 1), k.all(x, dim=0, keepdim=True)),
    "count_nonzero": lambda k, x: (k.count_nonzero(x), x.count_nonzero(1)),
    "bincount": lambda k, x: k.bincount((x.flatten() * 2).abs().long(), minlength=9),
    "unique": lambda k, x: k.unique(x.round().detach(), return_inverse=True, return_counts=True),
    "unique_rows": lambda k, x: k.unique((x[0] > 0).long(), dim=0),
    "tan": lambda k, x: k.tan(x) + x.tan(),
    "sinh": lambda k, x: k.sinh(x) * k.cosh(x),
    "logs": lambda k, x: k.log2(x.abs() + 1) + k.log10(x.abs() + 1) + k.exp2(x),
    "erfc": lambda k, x: k.erfc(x),
    "frac": lambda k, x: k.frac(x * 3),
    "logit": lambda k, x: k.logit(k.sigmoid(x)) + k.logit(x, eps=0.1),
    "lerp": lambda k, x: k.lerp(x, x * x, 0.3) + x.lerp(x * x, k.sigmoid(x)),
    "hypot": lambda k, x: k.hypot(x, x + 1),
    "logaddexp": lambda k, x: k.logaddexp(x * 500, x - 3),
    "xlogy": lambda k, x: k.xlogy(x, x.abs() + 1),
    "addc": lambda k, x: k.addcmul(x, x, x, value=0.5) + k.addcdiv(x, x, x.abs() + 1, value=2),
    "fmod": lambda k, x: k.fmod(x * 5, 1.5),
    "clamps": lambda k, x: x.clamp_min(-0.5) * x.clamp_max(0.5),
    "nan_to_num": lambda k, x: k.nan_to_num(k.where(x > 1, k.full((), float("nan")).double(), x), 0.5),
    "isclose": lambda k, x: k.isclose(x, x + 1e-9),
    "mv": lambda k, x: k.mv(x[0], x[1, 0]),
    "outer": lambda k, x: k.outer(x[0, 0], x[1, 1]),
    "addmm": lambda k, x: k.addmm(x[0, :, :4], x[0], x[1].T, beta=0.5, alpha=2),
    "baddbmm": lambda k, x: k.baddbmm(x[:, :, :4], x, x.mT),
    "inner": lambda k, x: k.inner(x, x[0]),
    "tensordot": lambda k, x: k.tensordot(x, x, dims=([1, 2], [1, 2])),
    "tensordot_count": lambda k, x: k.tensordot(x[0], x[0].T, 1),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    compare(NUMBERS[name], Z, epsilons=256)


EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij,kj->ki", (3, 4), (5, 4)),
    ("ji,jk->ik", (4, 3), (4, 5)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bqhd,bkhd->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
    ("bhqk,bkhd->bqhd", (2, 3, 4, 6), (2, 6, 3, 5)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (5,), (5,)),
    ("i,i", (5,), (5,)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ij->ji", (3, 4)),
    ("ba", (3, 4)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("bii->b", (3, 4, 4)),
    ("bii->bi", (3, 4, 4)),
    ("iii->i", (3, 3, 3)),
    ("ijk,ijk->jk", (2, 3, 4), (2, 3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4, 5), (3, 5, 2)),
    ("...ij->...ji", (2, 3, 4)),
    ("...i,...i", (2, 3, 4), (3, 4)),
    ("...,...->...", (2, 1, 4), (3, 4)),
    ("b...,b...->b", (3, 2, 2), (3, 2, 2)),
    ("i...->...", (3, 4)),
    ("...i->i", (2, 3, 4)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,j->", (3, 4), (4,)),
    (" i j , j k -> i k ", (3, 4), (4, 5)),
    ("ij,jk->ik", (3, 1), (4, 5)),
    ("nchw,oc->nohw", (2, 3, 4, 4), (5, 3)),
    ("nctkv,kvw->nctw", (2, 3, 4, 3, 5), (3, 5, 5)),
    ("ij,ik->jk", (0, 3), (0, 4)),
    ("aB,Bc->ca", (2, 3), (3, 4)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in EINSUMS])
def test_einsum(equation, shapes):
    arrays = [array(*shape, seed=i) for i, shape in enumerate(shapes)]
    compare(lambda k, *t: k.einsum(equation, *t), *arrays, epsilons=128)


def test_einsum_of_integers_and_lists():
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    compare(lambda k, x, y: k.einsum("ij,jk->ik", x, y), a, b)
    compare(lambda k, x, y: k.einsum("ij,jk->ik", [x, y]), a, b)


def assigned(item, value=None):
    def run(kit, x, y):
        out = x * 1
        out[item(kit)] = y * 2 if value is None else value
        return out * out

    return run


ITEMS = [
    (lambda k: 1, (4, 5)), (lambda k: (slice(None), 2), (3, 5)), (lambda k: (Ellipsis, slice(0, 4, 2)), (3, 4, 2)),
    (lambda k: slice(1, None), (1,)), (lambda k: (0, 1, 2), ()), (lambda k: k.tensor([2, 0]), (2, 4, 5)),
    (lambda k: (slice(None), k.tensor([1, 3])), (3, 2, 5)), (lambda k: (k.tensor([0, 2]), k.tensor([1, 1])), (2, 5)),
    (lambda k: (k.tensor([0, 2]), slice(None), k.tensor([1, 1])), (2, 4)), (lambda k: [0, 2], (1, 5)),
]  # fmt: skip


@pytest.mark.parametrize("i", range(len(ITEMS)))
def test_assignment_on_the_tape(i):
    item, shape = ITEMS[i]
    compare(assigned(item), X, array(*shape, seed=3))
    compare(assigned(item, 0.5), X, array(1))


def test_assignment_by_mask_and_into_new_tensors():
    def masked(k, x):
        out = x * 1
        out[x > 0.5] = 0.0
        out[x < -1] = x[x < -1] * 3
        return out

    def collected(k, x):
        out = k.zeros(4, 3, 5).double()
        for t in range(4):
            out[t] = x[:, t] * (t + 1)
        out[0] += out[1]
        return out

    compare(masked, X)
    compare(collected, X)


def test_in_place_on_the_tape():
    def steps(k, x):
        y = x * 2
        y += 1
        y *= x
        y -= 0.5
        y /= 3
        y.clamp_(-1, 1).exp_()
        y = y.sqrt() * 1
        y.neg_().add_(x)
        z = x * 1
        z.zero_()
        z.add_(y)
        w = x * 1
        w.copy_(y)
        return z + w.tanh_() + (x * 1).fill_(3)

    compare(steps, X)


def test_creation():
    for make in (
        lambda k: k.logspace(-1, 2, 7),
        lambda k: k.linspace(0, 1, 5, requires_grad=True).detach(),
        lambda k: k.eye(3, 5),
        lambda k: k.tril_indices(3, 4, 1),
        lambda k: k.triu_indices(4, 3, -1),
        lambda k: k.ones(2).double().new_zeros(3),
        lambda k: k.ones(2).long().new_full((2,), 7),
        lambda k: k.ones(2).new_tensor([1, 2]),
        lambda k: k.arange(5) // 2,
        lambda k: k.full_like(k.ones(2), 3.0),
        lambda k: k.tensor([2, 3]).type_as(k.ones(1)),
        lambda k: k.arange(3).new_ones((1, 2)),
    ):
        out, want = make(fastdl), make(torch)
        assert str(out.dtype).split(".")[1] == str(want.dtype).split(".")[1]
        assert_close(out, want.numpy(), 8)


def test_dlpack_both_ways():
    ours = fastdl.arange(6).reshape(2, 3)
    theirs = torch.from_dlpack(ours)
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9 and theirs.dtype == torch.int64
    for dtype in (torch.float32, torch.float64, torch.int32, torch.uint8, torch.bool):
        source = torch.ones(2, 3).to(dtype)
        back = fastdl.from_dlpack(source)
        source[1, 2] = 0
        np.testing.assert_array_equal(back.numpy(), source.numpy())
        assert fastdl.from_dlpack(fastdl.from_numpy(source.numpy())).shape == (2, 3)


@pytest.mark.parametrize("seed", range(60))
def test_printing(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(0 if seed % 10 == 0 else 1, [6, 6, 40][seed % 3], rng.integers(0, 4)))
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 9)
    kind = seed % 6
    if kind == 1:
        values = np.round(values)
    elif kind == 2:
        values = np.where(rng.random(shape) < 0.3, np.nan, values)
    elif kind == 3:
        values = np.where(rng.random(shape) < 0.3, np.inf, np.round(values))
    values = np.asarray(values).astype(["float32", "int64", "bool"][seed % 7 % 3] if kind in (0, 1) else "float32")
    grad = kind == 4
    mine, theirs = fastdl.tensor(values, requires_grad=grad), torch.tensor(values, requires_grad=grad)
    assert repr(mine) == repr(theirs).replace("torch.", "fastdl.")
    if grad:
        assert repr(mine * mine) == repr(theirs * theirs).replace("MulBackward0", "MulBackward")
