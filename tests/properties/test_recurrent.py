"""Layers of random shapes, directions, layouts and lengths against the reference, forward and backward."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl
import fastdl.functional as F
from fastdl import backends
from fastdl.testing import OpCase, assert_close
from tests.cases import recurrent as cases

QUICK = settings(derandomize=True, deadline=None, max_examples=25, database=None)
WIDTHS = st.integers(1, 20) | st.sampled_from([31, 32, 33, 64, 65])
PROJECTED, LAYER, PACK, UNPACK = cases.CASES


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
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=9), i=st.integers(1, 5), h=st.integers(2, 20),
    p=st.integers(1, 9), bidirectional=st.booleans(), states=st.booleans(), bias=st.booleans(),
)  # fmt: skip
def test_projected_packed_batches(lengths, **attributes):
    sizes = {"t": max(lengths), "n": len(lengths), "lengths": tuple(lengths)}
    expect_equal(PROJECTED, attributes | sizes, "float32")


@QUICK
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), more=st.integers(0, 3),
    tail=st.lists(st.integers(0, 5), max_size=2), batch_first=st.booleans(),
)  # fmt: skip
def test_packing(lengths, more, tail, batch_first):
    attributes = {"lengths": tuple(lengths), "steps": max(lengths) + more, "tail": tuple(tail)}
    for case in (PACK, UNPACK):
        expect_equal(case, attributes | {"batch_first": batch_first}, "float32")


@pytest.mark.parametrize("mode", ["lstm", "gru"])
@pytest.mark.parametrize("sizes", [{"n": 1, "bidirectional": True}, {"n": 3}, {"n": 40}])
def test_teams_and_groups_of_threads_change_no_bit(mode, sizes):
    """One sequence is shared by a team that meets at every step, many are divided into groups."""
    attributes = {"mode": mode, "t": 12, "i": 40, "h": 200} | sizes
    arrays = LAYER.make(attributes, seed=3)
    results = []
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        outs, grads = LAYER.run_on(arrays, "cpu", "float32", attributes)
        results.append([a.tobytes() for a in [*outs, *grads] if a is not None])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("mode", sorted(cases.GATES))
@pytest.mark.parametrize("bad", [float("inf"), float("nan"), 3e38])
def test_what_is_not_finite_stays_with_its_sequence(mode, bad):
    sizes = {"t": 5, "n": 70, "i": 30, "h": 120, "states": False}
    x, *weights = LAYER.rounded(LAYER.make({"mode": mode} | sizes, seed=1), "float32")
    spoilt = x.copy()
    spoilt[2, 40, 7] = bad
    for isa in backends.get("cpu").isa_levels():
        backends.get("cpu").set_isa(isa)
        out, other = (
            F.recurrent(fastdl.tensor(a), [fastdl.tensor(w) for w in weights], mode)[0].numpy() for a in (x, spoilt)
        )
        same = out == other
        assert same[:2].all() and same[:, :40].all() and same[:, 41:].all()
        assert not same[2, 40].all()
