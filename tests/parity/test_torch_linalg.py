"""fastdl.linalg against torch.linalg: numbers, gradients and errors."""

import numpy as np
import pytest

import fastdl
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

A = np.random.default_rng(0).standard_normal((2, 3, 3)) + 3 * np.eye(3)
B = np.random.default_rng(1).standard_normal((2, 3, 4))
TAPED = {
    "inv": lambda k, a, b: k.linalg.inv(a),
    "det": lambda k, a, b: k.linalg.det(a),
    "slogdet": lambda k, a, b: k.linalg.slogdet(a)[1],
    "solve": lambda k, a, b: k.linalg.solve(a, b),
    "solve a vector": lambda k, a, b: k.linalg.solve(a[0], b[0, :, 0]),
    "solve vectors": lambda k, a, b: k.linalg.solve(a, b[:, :, 1]),
    "solve with one matrix": lambda k, a, b: k.linalg.solve(a[0], b),
    "pinv": lambda k, a, b: k.linalg.pinv(b),
    "lstsq": lambda k, a, b: k.linalg.lstsq(
        b.mT.contiguous() * 1, k.arange(16, dtype=k.float64).reshape(2, 4, 2).sin()
    )[0],
    "power": lambda k, a, b: k.linalg.matrix_power(a, 3) + k.linalg.matrix_power(a, -2) + k.linalg.matrix_power(a, 0),
    "norms": lambda k, a, b: k.linalg.norm(a) + k.linalg.vector_norm(b, dim=1).sum() + k.linalg.matrix_norm(a),
    "multi_dot": lambda k, a, b: k.linalg.multi_dot([a[0], a[1], b[0]]),
}


@pytest.mark.parametrize("name", TAPED)
def test_functions_with_gradients(name):
    results = []
    for k in (fastdl, torch):
        a, b = k.tensor(A, requires_grad=True), k.tensor(B, requires_grad=True)
        out = TAPED[name](k, a, b)
        (out * out).sum().backward()
        results.append((out, a.grad, b.grad))
    for ours, theirs in zip(*results, strict=True):
        if theirs is not None and ours is not None:
            assert_close(ours, theirs.detach().numpy(), 4096)
    assert_close(TAPED[name](fastdl, fastdl.tensor(A), fastdl.tensor(B)), results[1][0].detach().numpy(), 4096)


SYMMETRIC = A @ A.transpose(0, 2, 1)
PLAIN = {
    "cholesky": lambda k, a, b: k.linalg.cholesky(a),
    "eigvalsh": lambda k, a, b: k.linalg.eigvalsh(a),
    "eigh": lambda k, a, b: [(v := k.linalg.eigh(a))[0], v[1] @ k.diag_embed(v[0]) @ v[1].mT][1],
    "svdvals": lambda k, a, b: k.linalg.svdvals(b),
    "svd": lambda k, a, b: [(v := k.linalg.svd(b, False)), v[0] @ k.diag_embed(v[1]) @ v[2]][1],
    "qr": lambda k, a, b: [(v := k.linalg.qr(b)), v[0] @ v[1]][1],
    "cond": lambda k, a, b: k.linalg.cond(a),
    "rank": lambda k, a, b: k.linalg.matrix_rank(b),
    "nuclear": lambda k, a, b: k.linalg.matrix_norm(b, "nuc"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_decompositions(name):
    ours = PLAIN[name](fastdl, fastdl.tensor(SYMMETRIC), fastdl.tensor(B))
    theirs = PLAIN[name](torch, torch.tensor(SYMMETRIC), torch.tensor(B))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-12)


def test_errors():
    linalg, ones = fastdl.linalg, fastdl.ones(2, 2)
    with pytest.raises(linalg.LinAlgError, match=r"\[inv\] expected a matrix that has one, got Singular matrix"):
        linalg.inv(ones)
    with pytest.raises(ValueError, match=r"\[det\]|\[slogdet\] expected square matrices, got shape \(2, 3\)"):
        linalg.det(fastdl.ones(2, 3))
    with pytest.raises(TypeError, match=r"\[inv\] expected a matrix of dtype float32 or float64, got int64"):
        linalg.inv(fastdl.tensor([[1]]))
    with pytest.raises(NotImplementedError, match=r"\[qr\] expected a tensor outside the tape"):
        linalg.qr(fastdl.ones(2, 2, requires_grad=True))
    with pytest.raises(ValueError, match=r"\[solve\] expected B of 2 rows"):
        linalg.solve(fastdl.eye(2), fastdl.ones(3))
