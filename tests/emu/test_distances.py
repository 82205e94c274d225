"""Distances beyond what the cases of every device have: the sizes at which kernels take other ways, and rows with
infinities, against the reference and without a finding, in every order."""

from __future__ import annotations

import numpy as np
import pytest

from fastdl import backends
from fastdl.testing import assert_close

REFERENCE = backends.get("reference")
RNG = np.random.default_rng(0)
pytestmark = pytest.mark.usefixtures("_finds_nothing")
METRICS = [("euclidean", 2.0), ("manhattan", 1.0), ("chebyshev", 0.0), ("minkowski", 1.5), ("minkowski", 3.0),
           ("minkowski", 4.0), ("canberra", 0.0), ("hamming", 0.0)]  # fmt: skip


def rows(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def check(run, x: np.ndarray, y: np.ndarray, metric: str, p: float, epsilons: float = 96) -> None:
    """Distances and both gradients."""
    out = run("cdist", x, y, metric, p)
    wide = [a.astype(np.float64) for a in (x, y)]
    assert_close(out, REFERENCE.cdist(*wide, metric, p), epsilons)
    grad = rows(*out.shape, dtype=str(x.dtype))
    given = [a.astype(np.float64) for a in (grad, out)]
    if metric == "chebyshev":  # columns are compared with the distance to the last bit
        wide, given = [x, y], [grad, out]
    for a, b, transposed in ((0, 1, False), (1, 0, True)):
        got = run("cdist_bwd", grad, out, (x, y)[a], (x, y)[b], metric, p, transposed)
        assert_close(got, REFERENCE.cdist_bwd(*given, wide[a], wide[b], metric, p, transposed), 4 * epsilons)


@pytest.mark.parametrize(("metric", "p"), METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_blocks_share(run, metric, p, dtype):
    """Few rows of many columns, and gradients over many rows, are cut into parts of 256 steps."""
    check(run, rows(1, 3, 530, dtype=dtype), rows(1, 5, 530, dtype=dtype), metric, p)
    check(run, rows(2, 3, 2, dtype=dtype), rows(2, 530, 2, dtype=dtype), metric, p)


@pytest.mark.parametrize("clusters", [1, 3, 60])
def test_products_with_many_and_few_close_pairs(run, clusters):
    """130 x 130 pairs are enough to be looked at. Pairs within one of several clusters are close: a third of all, which
    go by the definition then, or a sixtieth. A single cluster lies around the origin, where none is close."""
    centres = 8 * rows(clusters, 27) + 50
    x, y = (centres[RNG.integers(0, clusters, (2, 130))] + rows(2, 130, 27) / 64 for _ in range(2))
    check(run, x, y, "euclidean", 2.0, 192)


def test_products_of_odd_rows(run):
    x, y = rows(1, 40, 30), rows(1, 35, 30)
    x[0, 3, 4], x[0, 7], x[0, 9, 2], y[0, 5, 5] = np.inf, 3e38, np.nan, -np.inf
    x[0, 11], y[0, 8] = 1e-22, 3e-22
    with np.errstate(all="ignore"):
        expected = REFERENCE.cdist(x, y, "euclidean", 2.0)
        np.testing.assert_allclose(run("cdist", x, y, "euclidean", 2.0), expected, rtol=1e-5)


def test_a_set_with_itself_is_symmetric_and_zero(run):
    x = rows(1, 140, 40) + np.float32(9)
    out = run("cdist", x, x, "euclidean", 2.0)[0]
    np.testing.assert_array_equal(out, out.T)
    np.testing.assert_array_equal(np.diag(out), 0)


def test_the_large_tile(run):
    x, y = rows(1, 1401, 25), rows(1, 1409, 25)
    y[0, ::100] = x[0, : len(y[0, ::100])]
    out = run("cdist", x, y, "euclidean", 2.0)[0].astype(np.float64)
    wide_x, wide_y = x[0].astype(np.float64), y[0].astype(np.float64)
    squares = (wide_x**2).sum(1)[:, None] + (wide_y**2).sum(1) - 2 * wide_x @ wide_y.T
    np.testing.assert_allclose(out, np.sqrt(np.maximum(squares, 0)), rtol=2e-6, atol=1e-6)
