"""The examples that follow other libraries' tutorials run, in their short form, and print what a reader expects."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_from_pytorch(capsys):
    accuracy = example("from_pytorch").main(["--short"])
    out = capsys.readouterr().out
    assert accuracy > 0.5
    for line in (
        "1. Tensors",
        "b.grad is -2 b: True",
        "(fc3): Linear(in_features=84",
        "Finished Training",
        "Accuracy for class 9",
    ):
        assert line in out


def test_from_keras(capsys):
    dense, convolutional = example("from_keras").main(["--short"])
    out = capsys.readouterr().out
    assert dense > 0.4 and convolutional > 0.4
    for line in ("Total params: 101,770", "Total params: 34,826", "val_accuracy", "test accuracy", "predicted ["):
        assert line in out


@pytest.mark.slow
def test_whole_examples_reach_their_accuracies():
    assert example("from_pytorch").main([]) > 0.9
    dense, convolutional = example("from_keras").main([])
    assert dense > 0.9 and convolutional > 0.95
