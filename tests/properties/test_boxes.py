"""The IoU matrix against the reference, bit by bit, and what must hold of it; codes and formats there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdl
from fastdl import backends, ops

CPU, REFERENCE = backends.get("cpu"), backends.get("reference")
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
COUNTS = st.integers(0, 34) | st.sampled_from([63, 64, 65, 1024, 1025])


def random_boxes(seed, n, special=False):
    rng = np.random.default_rng(seed)
    low = rng.uniform(-20, 80, (n, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 50, (n, 2))], 1)
    if special and n:
        for value in (np.nan, np.inf, -np.inf, 0.0, 7.0, 500.0):
            boxes[rng.integers(n), rng.integers(4)] = value
    return boxes


@pytest.mark.parametrize("isa", CPU.isa_levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_iou_is_that_of_the_reference(isa, dtype):
    CPU.set_isa(isa)

    @QUICK
    @given(COUNTS, COUNTS, st.integers(0, 99), st.sampled_from(ops.boxes.FORMATS), st.booleans(), st.booleans())
    def check(n, m, seed, fmt, generalized, special):
        a, b = (random_boxes(seed + i, k, special).astype(dtype) for i, k in enumerate((min(n, 65), m)))
        expected = REFERENCE.box_iou(a, b, fmt, generalized)
        got = CPU.to_numpy(CPU.box_iou(CPU.from_numpy(a, False), CPU.from_numpy(b, False), fmt, generalized))
        np.testing.assert_array_equal(got, expected)

    check()


@QUICK
@given(st.integers(1, 40), st.integers(0, 99))
def test_iou_is_symmetric_and_one_with_itself(n, seed):
    boxes = fastdl.tensor(random_boxes(seed, n))
    iou = ops.box_iou(boxes, boxes).numpy()
    np.testing.assert_array_equal(iou, iou.T)
    np.testing.assert_array_equal(np.diag(iou), 1)
    assert (iou >= 0).all()
    assert (iou <= 1 + 1e-15).all()
    assert (ops.generalized_box_iou(boxes, boxes).numpy() <= iou + 1e-15).all()


@QUICK
@given(st.integers(0, 40), st.integers(0, 99), st.sampled_from([(1, 1, 1, 1), (10, 10, 5, 5)]))
def test_decoding_undoes_encoding(n, seed, weights):
    target, start = (fastdl.tensor(random_boxes(s, n) + np.array([0, 0, 5, 5])) for s in (seed, seed + 1))
    decoded = ops.decode_boxes(ops.encode_boxes(target, start, weights), start, weights)
    np.testing.assert_allclose(decoded.numpy(), target.numpy(), atol=1e-10)


@QUICK
@given(st.integers(0, 40), st.integers(0, 99), st.sampled_from(ops.boxes.FORMATS), st.sampled_from(ops.boxes.FORMATS))
def test_formats_there_and_back(n, seed, first, second):
    boxes = fastdl.tensor(random_boxes(seed, n))
    there = ops.box_convert(boxes, first, second)
    np.testing.assert_allclose(ops.box_convert(there, second, first).numpy(), boxes.numpy(), atol=1e-12)
    np.testing.assert_allclose(ops.box_area(boxes, first).numpy(), ops.box_area(there, second).numpy(), atol=1e-9)


@pytest.mark.parametrize("generalized", [False, True])
@pytest.mark.parametrize("m", [1504, 1503])
def test_large_matrices_are_made_of_small_ones(m, generalized):
    """Rows that are streamed past the caches, and those that are not whole vectors, are those of smaller calls."""
    a, b = (CPU.from_numpy(random_boxes(k, n, True).astype(np.float32), False) for k, n in enumerate((1500, m)))
    whole = CPU.to_numpy(CPU.box_iou(a, b, "xyxy", generalized))
    assert whole.nbytes >= 8 << 20  # kPastCaches of ops/boxes/boxes_cpu.cc
    for first in range(0, 1500, 500):
        part = CPU.from_numpy(CPU.to_numpy(a)[first : first + 500].copy(), False)
        expected = CPU.to_numpy(CPU.box_iou(part, b, "xyxy", generalized))
        assert whole[first : first + 500].tobytes() == expected.tobytes()
