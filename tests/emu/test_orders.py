"""Every case of every operation with the threads and blocks of its kernels in other orders: results stay the same to
the bit, and nothing is reported. (`tests/test_ops.py` runs them ascending, against the reference.)"""

import numpy as np
import pytest

from tests.cases import all_cases, serves
from tests.test_ops import EMULATED_ELEMENTS

pytestmark = pytest.mark.slow


def runs():
    for case in all_cases():
        if serves(case, "emu"):
            yield from (pytest.param(case, a, id=f"{case.name}-{i}") for i, a in enumerate(case.sizes))


def results(case, arrays, attributes):
    outs, grads = case.run_on(arrays, "emu", "float32", attributes)
    return [np.asarray(a) for a in [*outs, *grads] if a is not None]


@pytest.mark.parametrize(("case", "attributes"), list(runs()))
def test_order_changes_nothing(emu, case, attributes):
    arrays = case.rounded(case.make(attributes, seed=1), "float32")
    if sum(a.size for a in arrays) > EMULATED_ELEMENTS:
        return
    expected = results(case, arrays, attributes)
    for order, seed in (("descending", 0), ("shuffled", 1)):
        emu.set_order(order, seed)
        for got, want in zip(results(case, arrays, attributes), expected, strict=True):
            assert got.tobytes() == want.tobytes()
    assert emu.report() == []
