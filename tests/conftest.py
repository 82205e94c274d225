"""Devices and instruction-set levels that the tests run on."""

import hypothesis
import pytest

import fastdl
from fastdl import backends

from .kernel_coverage import pytest_addoption, pytest_configure  # noqa: F401

# The same examples in every run, and no file of examples; a slow machine is no failure.
hypothesis.settings.register_profile("fastdl", derandomize=True, database=None, deadline=None, max_examples=50)
hypothesis.settings.load_profile("fastdl")


def devices() -> list[str]:
    """Every device that this build has and this machine can run."""
    found = [name for name in backends.available() if name != "cuda"]
    if "cuda" in backends.available() and backends.get("cuda").is_available():
        found.append("cuda")
    return found


@pytest.fixture(autouse=True)
def _fresh_state():
    """Each test starts from one seed and leaves the settings as they were."""
    fastdl.manual_seed(0)
    cpu = backends.get("cpu")
    threads, isa = cpu.get_num_threads(), cpu.isa()
    yield
    cpu.set_num_threads(threads)
    cpu.set_isa(isa)


@pytest.fixture(params=devices())
def device(request):
    return request.param
