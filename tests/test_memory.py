"""Memory: flat over thousands of predictions and steps, and a training step's peak beside PyTorch's."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import memory, package, training

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")

FLAT = """
import numpy as np
import fastdl
from bench.memory import resident
from bench.training import digits_layers, lstm_layers, step
from fastdl import nn, optim

x, y = fastdl.randn(4, 1, 28, 28), fastdl.tensor([0, 1, 2, 3])

def convolutional():
    model = digits_layers(nn)
    return model, step(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss(), x, y)

def recurrent():
    model = lstm_layers(nn)
    return (lambda x: model(x[:, 0])), step(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss(), x[:, 0], y)

def grown(run, times):
    for _ in range(times // 5):
        run()
    before = resident()
    for _ in range(times):
        run()
    return resident() - before

for make in (convolutional, recurrent):
    model, train = make()
    def predict():
        with fastdl.no_grad():
            model(x)
    print(grown(predict, 10_000), grown(lambda: model(x), 2_000), grown(train, 1_000))
"""


@pytest.mark.slow
def test_memory_stays_flat():
    """10,000 predictions, 2,000 graphs that nobody follows back, 1,000 training steps: each less than a MiB in all."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    found = subprocess.run([sys.executable, "-c", FLAT], stdout=subprocess.PIPE, text=True, check=True,
                           env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    grown = [int(n) for line in found.stdout.splitlines() for n in line.split()]
    assert len(grown) == 6
    assert max(grown) < memory.MIB, grown


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", training.NETWORKS)
def test_training_takes_no_more_memory_than_in_pytorch(name):
    found = memory.compared(name, threads=1)
    theirs = [figures["growth"] for library, figures in found.items() if library != "fastdl"]
    assert found["fastdl"]["growth"] <= min(theirs)


@pytest.mark.slow
def test_package_is_small():
    packed, whole = package.wheel_size()
    assert packed < 12e6 and packed < whole < 60e6
