"""Kernel instantiations that the cases of every device do not reach: arrays whose memory no vector may touch, other
dtypes, and the tiles and rows of large shapes. `pytest --all-kernels` says whether any is left."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastdl
from fastdl import backends
from fastdl.testing import OpCase, assert_close
from tests.cases import all_cases, serves

REFERENCE = backends.get("reference")
RNG = np.random.default_rng(0)
FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int64", "uint8")
DTYPES = (*FLOATS, *INTEGERS, "bool")
SHAPE = (3, 32)
CASES = [case for case in all_cases() if serves(case, "emu")]


def numbers(dtype: str, *shape: int) -> np.ndarray:
    """Small whole numbers, so that sums are exact in any order."""
    return RNG.integers(0, 9, shape).astype(dtype)


def signs(dtype: str, *shape: int) -> np.ndarray:
    """1 and -1, so that products are exact."""
    return (RNG.integers(0, 2, shape) * 2 - 1).astype(dtype)


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


@pytest.fixture(autouse=True)
def _stays_silent(emu: ModuleType):
    yield
    assert emu.report() == []


# ---- memory that is aligned to one element --------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shifted_inputs(case: OpCase, emu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = OpCase.tensors

    def tensors(self: OpCase, arrays: Any, device: str, dtype: str, requires_grad: bool = True) -> list[Any]:
        out = aligned(self, arrays, device, dtype, requires_grad)
        for t in out:
            t._array = emu.shifted(t._array) if device == "emu" else t._array
        return out

    monkeypatch.setattr(OpCase, "tensors", tensors)
    for dtype, attributes in itertools.product(case.dtypes, case.sizes[:2]):
        arrays = case.rounded(case.make(attributes, seed=1), dtype)
        outs, grads = case.run_on(arrays, "emu", dtype, attributes)
        expected, expected_grads = case.run_on(arrays, "reference", "float64", attributes)
        for got, want in zip([*outs, *grads], [*expected, *expected_grads], strict=True):
            if want is not None:
                assert_close(got, want, case.epsilons)


# ---- dtypes, shifted and not -----------------------------------------------------------------------------------------


@pytest.fixture(name="same", params=[False, True], ids=["aligned", "shifted"])
def _same(emu: ModuleType, request: pytest.FixtureRequest) -> Callable[..., None]:
    """A function of the surface gives what the reference gives, to the bit."""

    def place(a: Any) -> Any:
        if not isinstance(a, np.ndarray):
            return a
        array = emu.from_numpy(np.ascontiguousarray(a), False)
        return emu.shifted(array) if request.param else array

    def same(name: str, *arguments: Any, epsilons: float = 0) -> None:
        host = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        want, device = getattr(REFERENCE, name)(*host), [place(a) for a in arguments]
        got = getattr(emu, name)(*device)
        if name.endswith("_"):
            got, want = device[0], host[0]
        for a, b in zip(*([x] if not isinstance(x, tuple) else x for x in (got, want)), strict=True):
            if b is not None:
                if epsilons:
                    assert_close(emu.to_numpy(a), REFERENCE.to_numpy(b), epsilons)
                else:
                    np.testing.assert_array_equal(emu.to_numpy(a), REFERENCE.to_numpy(b))

    return same


@pytest.mark.parametrize("source", DTYPES)
def test_casts(same, source: str) -> None:
    for dtype in DTYPES:
        same("cast", numbers(source, *SHAPE), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(same, dtype: str) -> None:
    x, y = numbers(dtype, *SHAPE), numbers(dtype, *SHAPE)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        same(name, x, y)
    same("where", x > y, x, y)
    same("fill_", x, 1)
    same("broadcast_to", numbers(dtype, 3, 1), SHAPE)
    same("permute", numbers(dtype, 24, 40), (1, 0))
    same("slice", x, (0, 1), (2, 15), (1, 2))
    same("slice_bwd", numbers(dtype, 2, 15), SHAPE, (0, 1), (1, 2))
    same("sort", x, 1, True)
    for n in (33, 700):
        same("sort", numbers(dtype, 2, n), 1, False)
    if dtype == "bool":
        return
    for name in ("add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder", "fmod"):
        same(name, x, y)
    for name in ("add_", "sub_", "mul_", *(("div_",) if dtype in FLOATS else ())):
        same(name, x.copy(), y + 1 if name == "div_" else y)
    for name in ("add_scalar_", "sub_scalar_", "mul_scalar_"):
        same(name, x.copy(), 3)
    same("diff", x, 1)
    if dtype in FLOATS:
        same("ramp_", x.copy(), 1.0, 0.5, 48.5, True)
        same("histogram", x, 7, 1.0, 8.0)
        same("histogram", x, 5000, 1.0, 8.0)
    elif dtype != "uint8":
        same("integer_ramp_", x.copy(), 5, -3)
        same("histogram", x, 7, 0.0, 0.0)
        same("histogram", x, 5000, 0.0, 0.0)
    same("clamp", x, 1, 2)
    products = itertools.product(((1,), (0,)), ((5, 3), (40, 300), (300, 40), (4, 1200)))
    for axes, shape in products if dtype != "uint8" else ():
        same("prod", signs(dtype, *shape), axes, False)
        if dtype not in INTEGERS:
            x = signs(dtype, *shape)
            x[0, 1] = x[2, 2] = x[3, 2] = 0
            product = REFERENCE.prod(x, axes, True)
            same("prod_bwd", numbers(dtype, *product.shape), x, product, *axes)
    for name in ("sum", "amax", "amin") if dtype != "uint8" else ():
        for axes in ((1,), (0,)):
            for shape in ((5, 3), (40, 300), (300, 40)):
                same(name, numbers(dtype, *shape), axes, False)
                if name == "sum" and dtype not in INTEGERS:
                    centers = numbers(dtype, shape[1 - axes[0]])
                    same("squared_deviations", numbers(dtype, *shape), centers, axes, False)
                    same("squared_deviations", numbers(dtype, *shape), None, axes, False)
    if dtype in INTEGERS:
        for name in ("neg", "abs", "sign", "square"):
            same(name, x)
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
            same(name, x, y)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("uint8", "bool")])
def test_running_sums_and_places(same, dtype: str) -> None:
    for shape in ((2, 3), (2, 4), (2, 5000), (2, 5001), (3, 1500, 4)):
        for reverse in (False, True):
            same("cumsum", numbers(dtype, *shape), 1, reverse)
        for name in ("cumprod", "cummax", "cummin"):
            same(name, numbers(dtype, *shape) % 3 if name != "cumprod" else signs(dtype, *shape), 1)
        if dtype in FLOATS:
            x, g = signs(dtype, *shape), numbers(dtype, *shape)
            x[0, 1], x[-1, 2] = 0, 0
            same("cumprod_bwd", g, x, REFERENCE.cumprod(x, 1), 1)
            same("cumextreme_bwd", g, REFERENCE.cummax(g, 1)[1], 1)
            out = REFERENCE.logcumsumexp(x, 1)
            same("logcumsumexp", x, 1, epsilons=256)
            same("logcumsumexp_bwd", g, x, out, 1, epsilons=1024)
    same("argmax", numbers(dtype, 40, 30), 1, False)
    same("argmin", numbers(dtype, 40, 30), 0, False)
    same("index_add", numbers(dtype, 40, 8), RNG.integers(0, 5, 40), 0, 5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_by_the_output_and_dropout_of_all(same, dtype: str) -> None:
    x, y = numbers(dtype, *SHAPE), numbers(dtype, *SHAPE)
    for name in ("relu_bwd", "sigmoid_bwd", "tanh_bwd", "prelu"):
        same(name, x, y)
    same("dropout", x, 1.0, 5, 0)


RANDOM = [*itertools.product(("uniform_", "normal_"), FLOATS), *itertools.product(("random_",), INTEGERS[:2])]


@pytest.mark.parametrize(("name", "dtype"), RANDOM)
def test_random_numbers_in_shifted_memory(emu: ModuleType, name: str, dtype: str) -> None:
    got, want = emu.shifted(emu.from_numpy(numbers(dtype, 999), False)), numbers(dtype, 999)
    getattr(emu, name)(got, 2, 7, 5, 0)
    getattr(REFERENCE, name)(want, 2, 7, 5, 0)
    assert_close(emu.to_numpy(got), want, 2 if name == "normal_" else 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_gelu_by_tanh_of_shifted_numbers(emu: ModuleType, dtype: str) -> None:
    x, grad = normal(*SHAPE, dtype=dtype), normal(*SHAPE, dtype=dtype)
    given = [emu.shifted(emu.from_numpy(a, False)) for a in (grad, x)]
    for name, n in (("activation", 1), ("activation_bwd", 2)):
        got = emu.to_numpy(getattr(emu, name)(*given[2 - n :], "gelu_tanh", 0.0, 0.0))
        assert_close(got, getattr(REFERENCE, name)(*(grad, x)[2 - n :], "gelu_tanh", 0.0, 0.0), 64)


# ---- lookups by 32-bit indices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", [3, 8])
@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_embeddings(same, dtype: str, width: int, index_dtype: str) -> None:
    index, offsets = RNG.integers(0, 9, 80).astype(index_dtype), np.array([0, 16, 16, 80])  # means are exact
    table = numbers(dtype, 9, width)
    same("embedding", table, index)
    for mode in ("sum", "max"):
        same("embedding_bag", table, index, offsets, None, mode, 4)
    long = RNG.integers(0, 9, 3000).astype(index_dtype)
    same("embedding_bag", table, long, np.array([0, 2990, 3000]), None, "sum", -1)
    same("embedding_bag_bwd", numbers(dtype, 3, width), index, offsets, None, None, 9, "mean", -1, False)
    same("embedding_bwd_rows", numbers(dtype, 80, width), index, 9, 2, True)
    same("embedding_bwd_rows", numbers(dtype, 3000, width), long, 9, 2, False)
    same("embedding_bag_bwd_rows", numbers(dtype, 3, width), index, offsets, None, None, 9, "sum", -1, False)
    same("embedding_bag_bwd_weights", numbers(dtype, 3, width), table, index, offsets, 4)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, np.inf])
def test_renormalised_rows(run, emu: ModuleType, dtype: str, norm: float) -> None:
    table, index = normal(9, 40, dtype=dtype), RNG.integers(0, 9, 20).astype(np.int32)
    given, expected = emu.from_numpy(table, False), table.copy()
    emu.embedding_renorm_(given, emu.from_numpy(index, False), 1.5, norm)
    REFERENCE.embedding_renorm_(expected, index, 1.5, norm)
    assert_close(emu.to_numpy(given), expected, 64)


# ---- without what a gradient needs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_pooling_without_indices(same, dtype: str) -> None:
    x = numbers(dtype, 1, 2, 9, 12)
    same("max_pool2d", x, (2, 2), (2, 2), (0, 0), (1, 1), False, None)
    rois = np.array([[0, 1, 1, 8, 7], [0, 0, 0, 3, 3]], dtype)
    same("roi_pool", x, rois, (2, 2), 1.0, False)
    same("adaptive_max_pool2d_bwd", numbers(dtype, 1, 2, 2, 2), RNG.integers(0, 108, (1, 2, 2, 2)).astype("int32"),
         (9, 12))  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
def test_region_gradients_of_maps_too_large_for_shared_memory(same, dtype: str) -> None:
    rois = np.array([[0, 0, 0, 50, 50]], dtype)
    grad, indices = numbers(dtype, 1, 1, 2, 2), np.array([[[[0, 5], [-1, 7000]]]], np.int32)
    same("roi_pool_bwd", grad, rois, indices, (1, 1, 100, 100))


@pytest.mark.parametrize("dtype", FLOATS)
def test_losses_by_target(run, dtype: str) -> None:
    x, grad = normal(2, 50, dtype=dtype), normal(2, 50, dtype=dtype)
    for name, t in (("hinge_loss", np.where(x > 0.3, 1, -1).astype(dtype)), ("kl_div_log_target", x[::-1].copy())):
        assert_close(run("loss", x, t, None, None, name, 0.0, "none"),
                     REFERENCE.loss(x, t, None, None, name, 0.0, "none"), 64)  # fmt: skip
        got = run("loss_bwd", grad, x, t, None, None, name, 0.0, "none", True)
        assert_close(got, REFERENCE.loss_bwd(grad, x, t, None, None, name, 0.0, "none", True), 64)


# ---- long rows and full tiles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_long_rows(run, dtype: str) -> None:
    for shape, axis in (((2, 400), 1), ((2, 900), 1), ((1, 1500, 2), 1)):
        x, grad = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype)
        out = REFERENCE.softmax(x.astype("float64"), axis)
        assert_close(run("softmax", x, axis), out, 64)
        got = run("softmax_bwd", grad, out.astype(dtype), axis)
        assert_close(got, REFERENCE.softmax_bwd(grad.astype("float64"), out, axis), 64)
    x, target = normal(2, 3000, 1, dtype=dtype), np.array([[5], [2999]])
    got = run("cross_entropy", x, target, None, -100, 0.0, "mean")[0]
    assert_close(got, REFERENCE.cross_entropy(x.astype("float64"), target, None, -100, 0.0, "mean")[0], 64)
    for k in (5000, 5001):
        a, v = normal(3, k, dtype=dtype), normal(k, 1, dtype=dtype)
        assert_close(run("matmul", a, v, False, False), a.astype("float64") @ v.astype("float64"), 256)
    x, grad = normal(1, 5000, dtype=dtype), normal(1, 5000, dtype=dtype)
    out, mean, rstd = run("layer_norm", x, None, None, 1e-5)
    expected = REFERENCE.layer_norm(x.astype("float64"), None, None, 1e-5)
    assert_close(out, expected[0], 64)
    got = run("layer_norm_bwd", grad, x, None, mean, rstd, True, False)[0]
    wide = [a.astype("float64") for a in (grad, x)]
    assert_close(got, REFERENCE.layer_norm_bwd(*wide, None, *expected[1:], True, False)[0], 256)


def test_indices_are_checked_where_lines_are_empty(emu: ModuleType) -> None:
    table = fastdl.zeros(3, 0, device="emu")
    assert fastdl.functional.embedding(fastdl.tensor([0, 2, 1], device="emu"), table).shape == (3, 0)
    with pytest.raises(IndexError, match=r"^\[index_select\] expected indices in \[0, 3\), got 7 at position 1"):
        fastdl.index_select(table, 0, fastdl.tensor([0, 7], device="emu"))
    with pytest.raises(IndexError, match=r"^\[embedding\] expected indices in \[0, 3\), got 5 at position 1"):
        fastdl.functional.embedding(fastdl.tensor([0, 5, 1], device="emu"), table)


@pytest.mark.parametrize("close", [False, True])
def test_distances_with_a_look_for_close_pairs(run, close: bool) -> None:
    x, y = normal(1, 130, 27, dtype="float64"), normal(1, 130, 27, dtype="float64")
    x[0, : 65 * close] = y[0, : 65 * close] + 1e-9
    assert_close(run("cdist", x, y, "euclidean", 2.0), REFERENCE.cdist(x, y, "euclidean", 2.0), 1 << 20)


@pytest.mark.parametrize(("trans_a", "trans_b"), [(a, b) for a in (False, True) for b in (False, True)])
def test_large_tiles_of_products(run, trans_a: bool, trans_b: bool) -> None:
    a, b = normal(1408, 12), normal(12, 1411)
    out = run("matmul", a.T if trans_a else a, b.T if trans_b else b, trans_a, trans_b)
    assert_close(out, a.astype("float64") @ b.astype("float64"), 64)


@pytest.mark.parametrize("kernel", [1, 2])
def test_large_tiles_of_convolutions(run, kernel: int) -> None:
    """128 tiles of 128 channels by 128 pixels, and as many of channels by taps."""
    x, weight = normal(1, 5, 128 + kernel - 1, 128 + kernel - 1), normal(128, 5, kernel, kernel)
    attributes = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    out = run("conv2d", x, weight, None, *attributes, "none", None)
    wide = [a.astype("float64") for a in (x, weight)]
    assert_close(out, REFERENCE.conv2d(*wide, None, *attributes, "none", None), 256)
    x, grad = normal(1, 1536 // kernel**2, 3 + kernel, 3 + kernel), normal(1, 1408, 4, 4)
    out = run("conv2d_bwd_weight", grad, x, (kernel, kernel), *attributes)
    wide = [a.astype("float64") for a in (grad, x)]
    assert_close(out, REFERENCE.conv2d_bwd_weight(*wide, (kernel, kernel), *attributes), 256)
