"""The rows of the benchmark are large enough to be cut for threads: their bits are the same for any number of them."""

import os
import subprocess
import sys

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


# In a process of its own, whose worker is the one thread that the first calls add. A thread wakes where it slept, so
# the caller follows the worker to its core, call after call.
FOLLOW = """
import os, time
from pathlib import Path
import fastdl

def tasks():
    return {int(p.name) for p in Path("/proc/self/task").iterdir()}

def core_of(task):
    return int(Path(f"/proc/self/task/{task}/stat").read_text().rpartition(")")[2].split()[36])

cores, before, left = os.sched_getaffinity(0), tasks(), 0
fastdl.set_num_threads(2)
x = fastdl.ones((1 << 22,))
fastdl.exp(x)
(worker,) = tasks() - before
for _ in range(10):
    time.sleep(0.02)
    core = core_of(worker)
    os.sched_setaffinity(0, {core})
    fastdl.exp(x)
    for _ in range(50):  # on a busy machine it wakes later than that
        if core_of(worker) != core:
            left += 1
            break
        time.sleep(0.01)
    os.sched_setaffinity(0, cores)
for _ in range(100):
    if os.sched_getaffinity(worker) == cores:
        break
    time.sleep(0.02)
print(left, os.sched_getaffinity(worker) == cores)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_worker_that_slept_on_its_callers_core_leaves_it():
    found = subprocess.run([sys.executable, "-c", FOLLOW], capture_output=True, text=True, check=True)
    left, free = found.stdout.split()
    assert int(left) >= 8
    assert free == "True"
