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
