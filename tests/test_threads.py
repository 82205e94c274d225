"""The rows of the benchmark are large enough to be cut for threads: their bits are the same for any number of them."""

import numpy as np
import pytest

import fastdl
from bench.rows import rows_by_file

from .cases import all_cases

CASES = {case.name: case for case in all_cases()}
EVERY = 4  # the thread sanitizer, under which all is slower, takes a sample


def rows():
    for found in rows_by_file().values():
        for i, row in enumerate(r for r in found if r.make is None):
            name = f"{'sample ' if i % EVERY == 0 else ''}{row.name}{' backward' if row.backward else ''}"
            yield pytest.param(row, id=name)


@pytest.mark.slow
@pytest.mark.parametrize("row", list(rows()))
def test_same_bits_for_any_number_of_threads(row):
    case = CASES[row.case]
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.make(row.attributes, seed=3)]
    results = []
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        outs, grads = case.run_on(arrays, "cpu", "float32", row.attributes)
        results.append([a for a in [*outs, *grads] if a is not None])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert one.tobytes() == two.tobytes()
