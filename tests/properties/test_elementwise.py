"""Elementwise functions of random shapes, which broadcast, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from fastdl import backends
from fastdl.testing import assert_close

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=150, database=None)
PAIRS = mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=40)
TRIPLES = mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=40)
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "floor_divide", "remainder", "pow")
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


def operand(rng, shape, dtype, positive=False):
    if np.dtype(dtype).kind != "f":
        return np.asarray(rng.integers(1 if positive else -9, 9, shape), dtype)
    x = rng.standard_normal(shape)
    return np.asarray(np.abs(x) + 0.1 if positive else x, dtype)


def called(name, *arrays):
    """The result on the CPU and the reference's, in double precision where the numbers are floats."""
    got = getattr(CPU, name)(*[CPU.from_numpy(a, False) for a in arrays])
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    return CPU.to_numpy(got), getattr(REFERENCE, name)(*wide)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(PAIRS, st.sampled_from(BINARY), st.sampled_from(["float32", "float64", "int32", "int64"]), st.integers(0, 99))
def test_arithmetic(isa, shapes, name, dtype, seed):
    CPU.set_isa(isa)
    if np.dtype(dtype).kind != "f" and name in ("div", "pow"):
        name = "mul"
    rng = np.random.default_rng(seed)
    a = operand(rng, shapes.input_shapes[0], dtype, positive=name == "pow")
    b = operand(rng, shapes.input_shapes[1], dtype, positive=name in ("div", "floor_divide", "remainder"))
    got, want = called(name, a, b)
    assert got.shape == shapes.result_shape
    assert_close(got, want, 8)


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
@pytest.mark.parametrize("isa", CPU.isa_levels())
def test_division_without_a_fraction_is_exact(isa, name):
    """Quotients from 2^-40 to 2^60, whole ones, those next to whole ones, and numbers that are none."""
    CPU.set_isa(isa)
    rng = np.random.default_rng(0)
    b = np.ldexp(rng.uniform(0.5, 1, 60_000), rng.integers(-20, 20, 60_000)).astype(np.float32)
    quotient = np.ldexp(rng.uniform(0.5, 1, b.size), rng.integers(-20, 27, b.size)).astype(np.float32)
    quotient[::2] = np.floor(quotient[::2])
    a = quotient * b
    a[::3] = np.nextafter(a[::3], np.float32(0))
    a[1::997] *= np.float32(2.0**33)
    signs = rng.integers(0, 2, (2, b.size)) * 2 - 1
    a, b = (a * signs[0]).astype(np.float32), (b * signs[1]).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.5], np.float32)
    a[:49], b[:49] = np.repeat(special, 7), np.tile(special, 7)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(a, b)
    got = CPU.to_numpy(getattr(CPU, name)(CPU.from_numpy(a, False), CPU.from_numpy(b, False)))
    assert np.array_equal(got, want, equal_nan=True)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(PAIRS, st.sampled_from(COMPARE), st.sampled_from(["float32", "float64", "int64", "uint8"]), st.integers(0, 99))
def test_comparisons(isa, shapes, name, dtype, seed):
    CPU.set_isa(isa)
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.integers(0, 3, shape), dtype) for shape in shapes.input_shapes)
    got, want = called(name, a, b)
    assert got.dtype == bool and np.array_equal(got, want)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(TRIPLES, st.sampled_from(["float32", "float64", "int64", "uint8"]), st.integers(0, 99))
def test_where(isa, shapes, dtype, seed):
    CPU.set_isa(isa)
    rng = np.random.default_rng(seed)
    c, x, y = shapes.input_shapes
    arrays = [np.asarray(rng.random(c) < 0.5), *(np.asarray(rng.integers(0, 99, s), dtype) for s in (x, y))]
    got, want = called("where", *arrays)
    assert got.shape == shapes.result_shape and np.array_equal(got, want)


@pytest.mark.parametrize("isa", CPU.isa_levels())
@QUICK
@given(
    st.integers(0, 200),
    st.sampled_from(["bool", "uint8", "int32", "int64", "float32", "float64"]),
    st.sampled_from(["bool", "uint8", "int32", "int64", "float32", "float64"]),
    st.integers(0, 99),
)
def test_cast(isa, n, source, target, seed):
    CPU.set_isa(isa)
    x = (np.random.default_rng(seed).integers(0, 120, n) / 4).astype(source)
    got = CPU.to_numpy(CPU.cast(CPU.from_numpy(x, False), target))
    assert got.dtype == target and np.array_equal(got, x.astype(target))
