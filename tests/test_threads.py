"""The rows of the benchmark are large enough to be cut for threads: their bits are the same for any number of them."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from bench.rows import rows_by_file
from fastdl import backends

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


def random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def product(m, n, k):
    a, b = random(m, k), random(k, n)
    return lambda: fastdl.matmul(fastdl.tensor(a), fastdl.tensor(b)), a.astype(np.float64) @ b


def linear(m, n, k):
    x, weight = random(m, k), random(n, k)
    return lambda: F.linear(fastdl.tensor(x), fastdl.tensor(weight)), x.astype(np.float64) @ weight.T


def convolution(x, w, **attributes):
    x, w = random(*x), random(*w)
    bias = random(w.shape[0])
    exact = F.conv2d(*(fastdl.tensor(a.astype(np.float64)) for a in (x, w, bias)), **attributes).numpy()
    tensors = [fastdl.tensor(a) for a in (x, w, bias)]
    return lambda: F.conv2d(*tensors, **attributes), exact


# Work that threads cut so that each makes a part by itself, small enough to be tried in every run.
PARTS = {
    "columns of a product": lambda: product(300, 512, 300),
    "columns, two blocks of k, the last sliver narrow": lambda: product(600, 530, 1100),
    "columns of a linear layer": lambda: linear(300, 700, 130),
    "more rows than twice the columns": lambda: product(1300, 600, 64),
    "Winograd, weights made beforehand": lambda: convolution((1, 32, 22, 20), (200, 32, 3, 3), padding=1),
    "Winograd, weights made on the way": lambda: convolution((1, 64, 15, 14), (208, 64, 3, 3), padding=1),
    "Winograd, lines": lambda: convolution((1, 96, 17, 17), (192, 96, 1, 7), padding=(0, 3)),
    "Winograd, views at strides": lambda: convolution((1, 32, 29, 28), (192, 32, 3, 3), padding=1, stride=2),
    "few pixels, two parts of the channels": lambda: convolution((1, 1500, 7, 7), (72, 1500, 1, 1)),
    "few pixels, groups": lambda: convolution((1, 192, 7, 7), (80, 96, 1, 1), groups=2),
    "pixels in place": lambda: convolution((2, 96, 20, 19), (250, 96, 1, 1)),
    "pixels in place, own weights": lambda: convolution((1, 1024, 13, 12), (270, 1024, 1, 1)),
    "planes in the same sets of the caches": lambda: convolution((1, 64, 32, 32), (90, 64, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_parts_that_threads_make_by_themselves(name):
    run, exact = PARTS[name]()
    results = []
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        results.append(run().numpy())
    assert np.abs(results[0] - exact).max() < 6e-6 * np.abs(exact).max()
    assert all(other.tobytes() == results[0].tobytes() for other in results[1:])


# Axes exchanged past the caches: rows of the output that begin anywhere in a line, whole lines, few rows, short ones.
@pytest.mark.parametrize("isa", backends.get("cpu").isa_levels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((1100, 1003), (1, 0)),
        ((1024, 1088), (1, 0)),
        ((3, 513, 801), (0, 2, 1)),
        ((2, 67, 129, 71), (0, 2, 3, 1)),
        ((17001, 66), (1, 0)),
        ((66, 17001), (1, 0)),
    ],
)
def test_transpositions_past_the_caches(shape, dims, dtype, isa):
    backends.get("cpu").set_isa(isa)
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    for threads in (1, 2, 3):
        fastdl.set_num_threads(threads)
        assert np.array_equal(fastdl.tensor(x).permute(dims).numpy(), x.transpose(dims))


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
