"""Distance matrices of random shapes and their gradients against the reference; Euclidean ones by way of products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl
from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=50, database=None)
ROWS = st.integers(0, 20) | st.sampled_from([31, 32, 33, 63, 64, 65, 130])
METRICS = ["euclidean", "manhattan", "chebyshev", "canberra", "hamming"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    batch=st.integers(1, 2), rows_x=ROWS, rows_y=ROWS, width=st.integers(0, 20),
    metric=st.sampled_from(METRICS) | st.floats(0.5, 6.0), seed=st.integers(0, 9),
)  # fmt: skip
def test_cdist(dtype, batch, rows_x, rows_y, width, metric, seed):
    rng = np.random.default_rng(seed)
    name, p = (metric, 2.0) if isinstance(metric, str) else ("minkowski", metric)
    shapes = (batch, rows_x, width), (batch, rows_y, width), (batch, rows_x, rows_y)
    x, y, grad = (rng.standard_normal(s).astype(dtype) for s in shapes)
    arrays = [CPU.from_numpy(a, False) for a in (x, y, grad)]
    exact = [a.astype("float64") for a in (x, y, grad)]
    out, want = CPU.cdist(arrays[0], arrays[1], name, p), REFERENCE.cdist(exact[0], exact[1], name, p)
    assert_close(CPU.to_numpy(out), want, 200)
    found = CPU.cdist_bwd(arrays[2], out, arrays[0], arrays[1], name, p, False)
    # From the distances that the kernel was given: the largest difference must be recognised by its bits.
    given_out = CPU.to_numpy(out).astype("float64")
    wanted = REFERENCE.cdist_bwd(
        exact[2], want if name != "chebyshev" else given_out, exact[0], exact[1], name, p, False
    )
    if name == "chebyshev":
        wanted = REFERENCE.cdist_bwd(grad, CPU.to_numpy(out), x, y, name, p, False)
    assert_close(CPU.to_numpy(found), wanted, 2000 if name in ("minkowski", "canberra") else 200)


def arrays_of(*arrays):
    return [CPU.from_numpy(np.ascontiguousarray(a), False) for a in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    rows_x=ROWS, rows_y=ROWS, width=st.integers(0, 70), seed=st.integers(0, 9),
    metric=st.sampled_from([*METRICS, 3.0, 2.5]),
)  # fmt: skip
def test_transposed_gradient(dtype, rows_x, rows_y, width, seed, metric):
    rng = np.random.default_rng(seed)
    name, p = (metric, 2.0) if isinstance(metric, str) else ("minkowski", metric)
    shapes = (2, rows_x, width), (2, rows_y, width), (2, rows_x, rows_y)
    x, y, grad = (rng.standard_normal(s).astype(dtype) for s in shapes)
    ax, ay, agrad = arrays_of(x, y, grad)
    out = CPU.cdist(ax, ay, name, p)
    turned = arrays_of(grad.swapaxes(1, 2), CPU.to_numpy(out).swapaxes(1, 2))
    plain, transposed = CPU.cdist_bwd(agrad, out, ax, ay, name, p, False), CPU.cdist_bwd(*turned, ax, ay, name, p, True)
    assert_close(CPU.to_numpy(transposed), CPU.to_numpy(plain).astype("float64"), 200)


# What the rows of two sets may have in common: how they lie decides which pairs are close.
def clusters(rng, n, width, count, spread):
    return rng.standard_normal((count, width))[rng.integers(0, count, n)] * spread + rng.standard_normal((n, width))


SETS = {
    "offset": lambda rng, n, width: 100 + rng.standard_normal((n, width)),
    "relu": lambda rng, n, width: np.maximum(rng.standard_normal((n, width)), 0),
    "two clusters": lambda rng, n, width: clusters(np.random.default_rng(width), n, width, 2, 100),
    "one column": lambda rng, n, width: rng.standard_normal((n, width)) * np.r_[1000, np.ones(width - 1)],
    "an outlier": lambda rng, n, width: np.r_[np.full((1, width), 1e4), rng.standard_normal((n - 1, width))],
    "one point": lambda rng, n, width: np.full((n, width), 0.7),
    "tiny": lambda rng, n, width: rng.standard_normal((n, width)) * 1e-15,
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    rows_x=st.integers(32, 70) | st.just(120), rows_y=st.integers(32, 70) | st.just(600), width=st.integers(20, 70),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_products_are_exact(name, dtype, rows_x, rows_y, width, seed):
    rng = np.random.default_rng(seed)
    x, y = (SETS[name](rng, n, width).astype(dtype)[None] for n in (rows_x, rows_y))
    y[0, ::9] = x[0, np.arange(len(y[0, ::9])) % rows_x]
    grad = rng.standard_normal((1, rows_x, rows_y)).astype(dtype)
    ax, ay, agrad = arrays_of(x, y, grad)
    out = CPU.cdist(ax, ay, "euclidean", 2.0)
    found, wide = CPU.to_numpy(out), np.longdouble
    want = np.sqrt(((x[:, :, None].astype(wide) - y[:, None].astype(wide)) ** 2).sum(-1))
    # Relative to each distance, however small it is beside the rows.
    assert (np.abs(found - want) <= 40 * np.finfo(dtype).eps * want).all()
    exact = [a.astype("float64") for a in (grad, found, x, y)]
    sizes = np.abs(grad).sum(2)[..., None], np.abs(grad).sum(1)[..., None]
    for side, size in enumerate(sizes):
        one, other = ((ax, ay), (ay, ax))[side]
        got = CPU.to_numpy(CPU.cdist_bwd(agrad, out, one, other, "euclidean", 2.0, bool(side)))
        wanted = REFERENCE.cdist_bwd(*exact[:2], *exact[2:][:: 1 - 2 * side], "euclidean", 2.0, bool(side))
        assert (np.abs(got - wanted) <= 60 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30, 1e300])
def test_products_of_rows_that_are_not_finite(dtype, value):
    rng = np.random.default_rng(0)
    x, y, grad = (rng.standard_normal(s).astype(dtype) for s in ((1, 45, 37), (1, 70, 37), (1, 45, 70)))
    with np.errstate(over="ignore"):
        x[0, 3, 5], y[0, 7, 2], y[0, 9, 5], grad[0, 11, 12] = value, value, value, value
    ax, ay, agrad = arrays_of(x, y, grad)
    out = CPU.cdist(ax, ay, "euclidean", 2.0)
    # Row by row is the definition: products take many rows.
    for found, given_x, given_y in ((out, x, y), (CPU.cdist(ay, ax, "euclidean", 2.0), y, x)):
        for i in range(given_x.shape[1]):
            row = CPU.to_numpy(CPU.cdist(*arrays_of(given_x[:, i : i + 1], given_y), "euclidean", 2.0))[0, 0]
            assert_close(CPU.to_numpy(found)[0, i], row.astype("float64"), 40)
    for side in (False, True):
        one, other = ((ax, ay), (ay, ax))[side]
        got = CPU.to_numpy(CPU.cdist_bwd(agrad, out, one, other, "euclidean", 2.0, side))
        for i in range(got.shape[1]):
            pairs = [a[:, :, i : i + 1] if side else a[:, i : i + 1] for a in (grad, CPU.to_numpy(out))]
            row = CPU.cdist_bwd(*arrays_of(*pairs, (x, y)[side][:, i : i + 1]), other, "euclidean", 2.0, side)
            assert_close(got[0, i], CPU.to_numpy(row)[0, 0].astype("float64"), 400)


def test_euclidean_distances_are_symmetric():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((1, 100, 33)) * rng.choice([0.1, 1, 10], (1, 100, 1))).astype("float32")
    (a,) = arrays_of(x)
    out = CPU.to_numpy(CPU.cdist(a, a, "euclidean", 2.0))[0]
    assert (out == out.T).all() and (np.diag(out) == 0).all()


@pytest.mark.parametrize("shape", [(1, 700, 300, 40), (30, 40, 50, 33)])
def test_products_have_the_same_bits_for_any_number_of_threads(shape):
    batch, rows_x, rows_y, width = shape
    rng = np.random.default_rng(0)
    x, y = (np.stack([clusters(rng, n, width, 9, 5) for _ in range(batch)]).astype("float32") for n in (rows_x, rows_y))
    ax, ay, agrad = arrays_of(x, y, rng.standard_normal((batch, rows_x, rows_y)).astype("float32"))
    results = []
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        out = CPU.cdist(ax, ay, "euclidean", 2.0)
        sides = [
            CPU.cdist_bwd(agrad, out, *pair, "euclidean", 2.0, t) for pair, t in (((ax, ay), False), ((ay, ax), True))
        ]
        results.append([CPU.to_numpy(a).tobytes() for a in (out, *sides)])
    assert results[0] == results[1] == results[2]
