"""Layers of random shapes, directions, layouts and lengths against the reference, forward and backward."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import backends
from fastdl.testing import OpCase, assert_close
from tests.cases import recurrent as cases

QUICK = settings(derandomize=True, deadline=None, max_examples=25, database=None)
WIDTHS = st.integers(1, 20) | st.sampled_from([31, 32, 33, 64, 65])
LAYER, PACK, UNPACK = cases.CASES


def expect_equal(case: OpCase, attributes, dtype):
    for isa in backends.get("cpu").isa_levels():
        backends.get("cpu").set_isa(isa)
        arrays = case.rounded(case.make(attributes, seed=1), dtype)
        outs, grads = case.run_on(arrays, "cpu", dtype, attributes)
        wanted, wanted_grads = case.run_on(arrays, "reference", "float64", attributes)
        for got, want in zip([*outs, *grads], [*wanted, *wanted_grads], strict=True):
            assert_close(got, want, 512)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    mode=st.sampled_from(sorted(cases.GATES)), t=st.integers(1, 6), n=st.integers(1, 20), i=WIDTHS, h=WIDTHS,
    bidirectional=st.booleans(), batch_first=st.booleans(), bias=st.booleans(), states=st.booleans(),
)  # fmt: skip
def test_full_batches(dtype, **attributes):
    expect_equal(LAYER, attributes, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@QUICK
@given(
    mode=st.sampled_from(sorted(cases.GATES)), lengths=st.lists(st.integers(1, 7), min_size=1, max_size=15),
    i=st.integers(1, 9), h=WIDTHS, bidirectional=st.booleans(), states=st.booleans(),
)  # fmt: skip
def test_packed_batches(dtype, lengths, **attributes):
    sizes = {"t": max(lengths), "n": len(lengths), "lengths": tuple(lengths)}
    expect_equal(LAYER, attributes | sizes, dtype)


@QUICK
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), more=st.integers(0, 3),
    tail=st.lists(st.integers(0, 5), max_size=2), batch_first=st.booleans(),
)  # fmt: skip
def test_packing(lengths, more, tail, batch_first):
    attributes = {"lengths": tuple(lengths), "steps": max(lengths) + more, "tail": tuple(tail)}
    for case in (PACK, UNPACK):
        expect_equal(case, attributes | {"batch_first": batch_first}, "float32")
