"""The setting of the numbers that products take, and products with it."""

from __future__ import annotations

import threading
from types import ModuleType

import numpy as np
import pytest

import fastdl
from tests.cases import rooms
from tests.test_ops import EMULATED_ELEMENTS


@pytest.fixture(autouse=True)
def _ends_as_it_began(emu: ModuleType):
    yield
    fastdl.set_float32_matmul_precision("highest")


def test_names_are_those_of_pytorch(emu: ModuleType) -> None:
    assert fastdl.get_float32_matmul_precision() == "highest"
    assert emu.get_product_precision() == "float32"
    for name, numbers in (("high", "tf32"), ("medium", "bfloat16"), ("highest", "float32")):
        fastdl.set_float32_matmul_precision(name)
        assert fastdl.get_float32_matmul_precision() == name
        assert emu.get_product_precision() == numbers


def test_bad_names(emu: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^\[set_float32_matmul_precision\] expected highest, .*, got tf32$"):
        fastdl.set_float32_matmul_precision("tf32")
    with pytest.raises(TypeError, match=r"^\[set_float32_matmul_precision\] expected a str, got int$"):
        fastdl.set_float32_matmul_precision(16)
    with pytest.raises(ValueError, match=r"^\[set_product_precision\] expected float32, tf32, .*, got float64$"):
        emu.set_product_precision("float64")


def test_is_the_threads_own(emu: ModuleType) -> None:
    fastdl.set_float32_matmul_precision("high")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(emu.get_product_precision()))
    thread.start()
    thread.join()
    assert seen == ["float32"]
    assert emu.get_product_precision() == "tf32"


# ---- products against float64, with the bound that rounding both operands and adding in float32 allows ----

EPSILON = {"tf32": 2.0**-10, "bfloat16": 2.0**-7, "float16": 2.0**-10}  # of a number of the product


def assert_near(got: np.ndarray, want: np.ndarray, sizes: np.ndarray, k: int, precision: str) -> None:
    """`sizes` is the same product of absolute values. Operands are off by half an epsilon each, sums by k roundings."""
    bound = (EPSILON[precision] * 1.01 + k * 2.0**-23) * sizes + 1e-7
    assert got.dtype == np.float32
    assert got.shape == want.shape
    assert (np.abs(got - want) <= bound).all(), np.abs((got - want) / bound).max()


def was_rounded(got: np.ndarray, want: np.ndarray, sizes: np.ndarray, k: int) -> bool:
    """Whether the operands were: the error is far above that of float32 and far below what its bound allows."""
    return bool(np.abs(got - want).max() > 2.0**-17 * sizes.max() / k**0.5)


MATRICES = [  # a, b, trans_a, trans_b
    ((16, 16), (16, 16), False, False),
    ((17, 50), (50, 33), False, False),
    ((50, 17), (33, 50), True, True),
    ((65, 130), (130, 70), False, False),
    ((200, 64), (200, 40), True, False),
    ((64, 129), (67, 129), False, True),
    ((2, 1, 20, 24), (3, 24, 18), False, False),
    ((3, 20, 24), (24, 17), False, False),
    ((24, 20), (3, 24, 17), True, False),
    ((40, 3000), (3000, 32), False, False),  # k is cut
    ((1024, 32), (2048, 32), False, True),  # large tiles
]


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize(("a", "b", "trans_a", "trans_b"), MATRICES, ids=str)
def test_products_of_matrices(emu, run, precision, a, b, trans_a, trans_b):
    rng = np.random.default_rng(sum(a))
    x, y = rng.standard_normal(a).astype(np.float32), rng.standard_normal(b).astype(np.float32)
    emu.set_product_precision(precision)
    got = run("matmul", x, y, trans_a, trans_b)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    x64, y64 = x64.swapaxes(-1, -2) if trans_a else x64, y64.swapaxes(-1, -2) if trans_b else y64
    want, sizes = x64 @ y64, np.abs(x64) @ np.abs(y64)
    assert_near(got, want, sizes, x64.shape[-1], precision)
    assert was_rounded(got, want, sizes, x64.shape[-1])
    assert emu.report() == []


@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize("activation", ["none", "relu", "tanh"])
@pytest.mark.parametrize("shape", [(33, 100, 47), (20, 2000, 30)], ids=["whole", "cut"])
def test_linear_layers(emu, run, precision, activation, shape):
    rows, k, out = shape
    rng = np.random.default_rng(k)
    x, weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((rows, k), (out, k), (out,)))
    emu.set_product_precision(precision)
    got = run("linear", x, weight, bias, activation)
    want = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    want = {"none": want, "relu": np.maximum(want, 0), "tanh": np.tanh(want)}[activation]  # no slope is above 1
    assert_near(got, want, np.abs(x.astype(np.float64)) @ np.abs(weight.T) + np.abs(bias), k, precision)
    assert emu.report() == []


@pytest.mark.parametrize("precision", EPSILON)
def test_any_order_of_threads_gives_the_same_bits(emu, run, precision):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((70, 1100), (1100, 40)))
    emu.set_product_precision(precision)
    results = []
    for order, seed in (("ascending", 0), ("descending", 0), ("shuffled", 1), ("shuffled", 2)):
        emu.set_order(order, seed)
        results.append(run("matmul", x, y, False, False).tobytes())
    assert len(set(results)) == 1
    assert emu.report() == []


def test_exact_numbers_stay_exact(emu, run):
    """Small integers are exact in every precision, and so are their sums: one wrong place would show."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((70, 90), (90, 68)))
    for precision in EPSILON:
        emu.set_product_precision(precision)
        np.testing.assert_array_equal(run("matmul", x, y, False, False), x @ y)


def test_small_products_and_doubles_stay_as_they_are(emu, run):
    rng = np.random.default_rng(0)
    for shape, dtype in (((15, 64, 64), "float32"), ((64, 15, 64), "float32"), ((64, 64, 64), "float64")):
        m, k, n = shape
        x, y = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        emu.set_product_precision("float32")
        want = run("matmul", x, y, False, False)
        emu.set_product_precision("bfloat16")
        assert run("matmul", x, y, False, False).tobytes() == want.tobytes()


def test_special_numbers_stay_in_their_row_and_column(emu, run):
    x, y = np.ones((40, 20), np.float32), np.ones((20, 40), np.float32)
    x[3, 5], y[7, 9] = np.inf, np.nan
    for precision in EPSILON:
        emu.set_product_precision(precision)
        out = run("matmul", x, y, False, False)
        assert np.isnan(out[:, 9]).all()
        assert np.isinf(np.delete(out[3], 9)).all()
        assert (np.delete(np.delete(out, 9, 1), 3, 0) == 20).all()


# ---- every case of the operations that multiply ----

CASES = [case for room in ("matmul", "conv2d", "conv_transpose2d") for case in rooms()[room]]


def of_cases():
    for case in CASES:
        for i, attributes in enumerate(case.sizes):
            arrays = case.make(attributes, seed=1)
            if sum(a.size for a in arrays) <= EMULATED_ELEMENTS:
                yield pytest.param(case, attributes, id=f"{case.name}-{i}")


@pytest.mark.slow
@pytest.mark.parametrize("precision", EPSILON)
@pytest.mark.parametrize(("case", "attributes"), list(of_cases()))
def test_every_case_in_lower_precision(emu, precision, case, attributes):
    """Results and gradients against float64, in three orders of threads: the same bits, and nothing reported."""
    arrays = case.rounded(case.make(attributes, seed=1), "float32")
    want = flat(case.run_on(arrays, "reference", "float64", attributes))
    emu.set_product_precision(precision)
    runs = []
    for order, seed in (("ascending", 0), ("descending", 0), ("shuffled", 1)):
        emu.set_order(order, seed)
        runs.append(flat(case.run_on(arrays, "emu", "float32", attributes)))
    for a, b, c, exact in zip(*runs, want, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
        # The largest result stands for |a| |b|, which the case does not tell; sums of signs cancel less in it.
        bound = 4 * EPSILON[precision] * np.abs(exact).max(initial=0) + 1e-6
        assert (np.abs(a - exact) <= bound).all(), np.abs(a - exact).max() / bound
    assert emu.report() == []


def flat(outs_and_grads):
    return [np.asarray(a) for part in outs_and_grads for a in part if a is not None]
