"""The driver: every case on every device and instruction set against the reference in float64, with its gradients, its
gradient check, its errors, and the same bits for any number of threads."""

import numpy as np
import pytest

import fastdl
from fastdl import backends
from fastdl.testing import assert_close, gradcheck

from .cases import all_cases, serves
from .conftest import devices

CASES = all_cases()
EMULATED_ELEMENTS = 20_000  # larger inputs take the emulation too long; kernels do nothing new there


def targets():
    """Devices, the CPU once per instruction set: ("cpu", "avx2"), ("emu", None), ..."""
    found = [("cpu", isa) for isa in backends.get("cpu").isa_levels()]
    return found + [(d, None) for d in devices() if d not in ("cpu", "reference")]


def runs():
    for case in CASES:
        for i, attributes in enumerate(case.sizes):
            for device, isa in (t for t in targets() if serves(case, t[0])):
                yield pytest.param(case, attributes, device, isa, id=f"{case.name}-{i}-{isa or device}")


def select(isa):
    if isa is not None:
        backends.get("cpu").set_isa(isa)


def expect_clean_report(device):
    """The emulation reports what would be wrong on a GPU: nothing may be."""
    if device == "emu":
        emu = backends.get("emu")
        report = emu.report()
        emu.clear_report()
        assert report == []


@pytest.mark.parametrize(("case", "attributes", "device", "isa"), list(runs()))
def test_result_and_gradients(case, attributes, device, isa):
    select(isa)
    for dtype in case.dtypes:
        arrays = case.rounded(case.make(attributes, seed=1), dtype)
        if device == "emu" and sum(a.size for a in arrays) > EMULATED_ELEMENTS:
            continue
        outs, grads = case.run_on(arrays, device, dtype, attributes)
        expected, expected_grads = case.run_on(arrays, "reference", "float64", attributes)
        assert len(outs) == len(expected)
        for got, want in zip(outs, expected, strict=True):
            assert got.shape == want.shape
            assert got.dtype == (want.dtype if want.dtype.kind != "f" else np.dtype(dtype)) or case.name == "cast"
            assert_close(got, want, case.epsilons)
        for got, want in zip(grads, expected_grads, strict=True):
            assert (got is None) == (want is None)
            if got is not None:
                assert_close(got, want, case.epsilons, what="gradient")
        expect_clean_report(device)


GRADCHECKED = [c for c in CASES if c.differentiable != []]


@pytest.mark.parametrize("case", GRADCHECKED, ids=lambda c: c.name)
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_gradients_match_finite_differences(case, device):
    for attributes in case.gradcheck_sizes if case.gradcheck_sizes is not None else case.sizes[:1]:
        inputs = case.tensors(case.make(attributes, seed=2), device, "float64")
        if not any(t.requires_grad for t in inputs):
            continue

        def call(*tensors, attributes=attributes):
            out = case.call(*tensors, **case.call_attributes(attributes))
            return out[0] if isinstance(out, tuple | list) else out

        if call(*inputs).requires_grad:
            assert gradcheck(call, inputs)


def bad_calls():
    for case in CASES:
        for i, bad in enumerate(case.bad):
            for device in (d for d in devices() if serves(case, d)):
                yield pytest.param(bad, device, id=f"{case.name}-{i}-{device}")


@pytest.mark.parametrize(("bad", "device"), list(bad_calls()))
def test_bad_calls_raise_the_same_error_everywhere(bad, device):
    with pytest.raises(bad.error) as raised:
        bad.call(device)
        fastdl.cuda.synchronize()  # on a GPU some errors wait until then
    assert type(raised.value) is bad.error
    assert str(raised.value) == bad.message
    expect_clean_report(device)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_same_bits_for_any_number_of_threads(case):
    attributes = max(case.sizes, key=lambda a: sum(x.size for x in case.make(a, seed=3)))
    arrays = case.make(attributes, seed=3)
    results = []
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        outs, grads = case.run_on(arrays, "cpu", "float32", attributes)
        results.append([a.tobytes() for a in [*outs, *grads] if a is not None])
    assert results[0] == results[1] == results[2]
