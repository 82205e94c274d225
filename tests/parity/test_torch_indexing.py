"""Tables, indices and distances against PyTorch: outputs and gradients of random shapes."""

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl.testing import assert_close

from .test_torch_functions import compare

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
TF = torch.nn.functional
SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedding(seed, dtype):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 50))
    options = {
        "padding_idx": [None, 0, -1][seed % 3],
        "scale_grad_by_freq": bool(seed % 2),
        "max_norm": [None, 2.0][seed // 3],
        "norm_type": [2.0, 1.0][seed % 2],
    }
    arrays = [rng.integers(0, rows, (3, 7)), rng.standard_normal((rows, int(rng.integers(1, 40))))]
    leaf = options["max_norm"] is None  # PyTorch refuses to renormalise a leaf in place while recording
    if leaf:
        compare(lambda i, w: F.embedding(i, w, **options), lambda i, w: TF.embedding(i, w, **options), arrays, dtype)
        return
    index, table = arrays
    ours, theirs = fastdl.tensor(table, dtype=dtype), torch.tensor(table, dtype=getattr(torch, dtype))
    out = F.embedding(fastdl.tensor(index), ours, **options)
    assert_close(out, TF.embedding(torch.tensor(index), theirs, **options).numpy())
    assert_close(ours, theirs.numpy())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ["sum", "mean", "max", "weighted"])
@pytest.mark.parametrize("last", [False, True])
def test_embedding_bag(seed, mode, last):
    rng = np.random.default_rng(seed)
    rows, sizes = int(rng.integers(3, 50)), rng.integers(0, 6, 5)
    index = rng.integers(0, rows, int(sizes.sum()) + (not last))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    offsets = ends if last else ends[:-1]
    table = rng.standard_normal((rows, int(rng.integers(1, 40))))
    options = {"mode": "sum" if mode == "weighted" else mode, "include_last_offset": last}
    options |= {"padding_idx": [None, 2][seed % 2]}
    arrays = [index, table, offsets]
    if mode == "weighted":
        arrays.append(rng.standard_normal(len(index)))

    def call(function):
        return lambda i, w, o, *s: function(i, w, o, per_sample_weights=s[0] if s else None, **options)

    compare(call(F.embedding_bag), call(TF.embedding_bag), arrays)


def test_rows_alone_are_torchs_sparse_gradient():
    rng = np.random.default_rng(0)
    table, index = rng.standard_normal((20, 5)), rng.integers(0, 20, (4, 3))
    ours, theirs = fastdl.tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    for _ in range(2):
        F.embedding(fastdl.tensor(index), ours, sparse=True).sum().backward()
        TF.embedding(torch.tensor(index), theirs, sparse=True).sum().backward()
    expected = theirs.grad.coalesce()
    assert ours.grad.indices().tolist() == expected.indices()[0].tolist()
    assert_close(ours.grad.values(), expected.values().numpy())
    assert_close(ours.grad.to_dense(), expected.to_dense().numpy())


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"lr": 0.1}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}), ("SparseAdam", {"lr": 0.01, "eps": 1e-3})],
)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_steps_on_rows(name, options):
    rng = np.random.default_rng(0)
    table = rng.standard_normal((30, 5))
    ours, theirs = fastdl.tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    mine = getattr(fastdl.optim, name)([ours], **options)
    other = getattr(torch.optim, name)([theirs], **options)
    for _ in range(5):
        index, weights = rng.integers(0, 30, 8), rng.standard_normal((8, 5))
        mine.zero_grad(), other.zero_grad()
        (F.embedding(fastdl.tensor(index), ours, sparse=True) * fastdl.tensor(weights)).sum().backward()
        (TF.embedding(torch.tensor(index), theirs, sparse=True) * torch.tensor(weights)).sum().backward()
        mine.step(), other.step()
    assert_close(ours, theirs.detach().numpy(), 64)


# ---- indices ---------------------------------------------------------------------------------------------------------

SQUARE, LINE = np.array([[2, -1], [0, 1]]), np.array([1, 0])
MASK = np.random.default_rng(3).random((4, 3)) < 0.5
ITEMS = [
    (LINE,), (SQUARE, LINE), (slice(None), SQUARE), (LINE, slice(1, None), LINE), (0, slice(None), LINE),
    (LINE, 0, slice(None)), (Ellipsis, LINE, slice(None, None, 2)), (MASK,), (MASK, 2), (slice(1, 3), MASK[0]),
    (None, LINE, None), (MASK, LINE[:1]), ([0, 2], slice(None), [1, 1]), (True, LINE), (slice(2), None, SQUARE % 3),
]  # fmt: skip


def as_items(kit, item):
    return tuple(kit.tensor(i) if isinstance(i, np.ndarray) else i for i in item)


@pytest.mark.parametrize("item", ITEMS)
def test_items(item):
    x = np.random.default_rng(0).standard_normal((4, 3, 5))
    if any(i is True for i in item):  # PyTorch puts the new axis elsewhere than NumPy when arrays follow
        assert fastdl.tensor(x)[True].shape == (1, 4, 3, 5)
        return
    compare(lambda t: t[as_items(fastdl, item)], lambda t: t[as_items(torch, item)], [x])
    ours, theirs = fastdl.tensor(x), torch.tensor(x)
    ours[as_items(fastdl, item)] = 0.5
    theirs[as_items(torch, item)] = 0.5
    assert_close(ours, theirs.numpy())


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_gather_scatter_and_the_like(dim):
    rng = np.random.default_rng(0)
    x, source = rng.standard_normal((4, 5, 6)), rng.standard_normal((3, 4, 5))
    index = rng.integers(0, 4, (3, 4, 5))
    compare(lambda t, i: t.gather(dim, i), lambda t, i: t.gather(dim, i), [x, index])
    compare(lambda t, i, s: t.scatter_add(dim, i, s), lambda t, i, s: t.scatter_add(dim, i, s), [x, index, source])
    distinct = np.broadcast_to(np.arange(3).reshape([3 if a == dim % 3 else 1 for a in range(3)]), (3, 3, 3)).copy()
    part = source[:3, :3, :3]
    compare(lambda t, i, s: t.scatter(dim, i, s), lambda t, i, s: t.scatter(dim, i, s), [x, distinct, part])
    line = rng.integers(0, 4, 7)
    compare(lambda t, i: t.index_select(dim, i), lambda t, i: t.index_select(dim, i), [x, line])
    more = np.moveaxis(rng.standard_normal((7, 5, 6)), 0, 0) if dim == 0 else np.take(x, line, dim)
    compare(lambda t, i, s: t.index_add(dim, i, s, alpha=0.5), lambda t, i, s: t.index_add(dim, i, s, alpha=0.5),
            [x, line, more])  # fmt: skip
    compare(lambda t: fastdl.cumsum(t, dim), lambda t: torch.cumsum(t, dim), [x])
    compare(lambda t: fastdl.flip(t, dim, 0) if dim not in (0,) else fastdl.flip(t, dim),
            lambda t: torch.flip(t, (dim, 0)) if dim not in (0,) else torch.flip(t, (dim,)), [x])  # fmt: skip
    compare(lambda t: fastdl.roll(t, 2, dim), lambda t: torch.roll(t, 2, dim), [x])
    for n in (2, 3):
        for mine, other in ((fastdl.chunk, torch.chunk), (fastdl.split, torch.split)):
            parts, expected = mine(fastdl.tensor(x), n, dim), other(torch.tensor(x), n, dim)
            assert [p.shape for p in parts] == [tuple(p.shape) for p in expected]
    args = np.argsort(x, dim)
    compare(lambda t, i: fastdl.take_along_dim(t, i, dim), lambda t, i: torch.take_along_dim(t, i, dim), [x, args])


# ---- distances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, float("inf")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cdist(p, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 7, 5)), rng.standard_normal((40, 5))
    mode = "donot_use_mm_for_euclid_dist"
    compare(lambda a, b: F.cdist(a, b, p), lambda a, b: torch.cdist(a, b, p, mode), [x, y], dtype, 200)
    if p > 0:
        arrays = [x, y[:7]]
        ours, theirs = (lambda a, b, f=f: f(a, b, p) for f in (F.pairwise_distance, TF.pairwise_distance))
        compare(ours, theirs, arrays, dtype, 200)


def test_distance_zero_has_no_gradient():
    x = np.ones((2, 3))
    for p in (1.0, 2.0, 3.0, float("inf")):
        compare(lambda a, b, p=p: F.cdist(a, b, p), lambda a, b, p=p: torch.cdist(a, b, p), [x, x])
