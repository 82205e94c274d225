"""The examples that follow other libraries' tutorials run, in their short form, and print what a reader expects."""

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import fastdl
from fastdl import models
from fastdl.data import catalogue

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch):
    """They import `options`, as scripts do from the folder that they lie in."""
    monkeypatch.syspath_prepend(ROOT / "examples")


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


def test_onnx_models(capsys, tmp_path):
    assert example("onnx_models").main(["--short", "--out", str(tmp_path)]) > 0.5
    out = capsys.readouterr().out
    for line in ("'Conv': 2", "Session((images: float32['batch', 1, 28, 28])", "largest difference to the network:"):
        assert line in out


def test_compare_architectures(capsys, tmp_path):
    rows = example("compare_architectures").main(["--short", "--seconds", "0.01", "--out", str(tmp_path)])
    assert {r.name for r in rows} >= {"mobilenet_v2", "resnet56_cifar", "digits_network"}
    assert all(r.plan > 0 and r.eager > 0 and r.multiply_adds > r.parameters for r in rows)
    assert "3,504,872        0.301" in capsys.readouterr().out
    assert (tmp_path / "architectures.png").stat().st_size > 5000


def test_compare_architectures_knows_every_network():
    families = example("compare_architectures").FAMILIES
    assert sorted(name for names in families.values() for name in names) == models.list_models()


@pytest.mark.slow
@pytest.mark.skipif(
    not all(catalogue()[name].installed for name in ("mobilenet_v2", "photographs", "scenes")),
    reason="needs packages of requirements-data.txt",
)
def test_mobilenet_beats_training_from_scratch(tmp_path):
    """Five labels a class: by ten points and more, with features as they are and with the last blocks tuned."""
    found = example("transfer_learning").main(["--short", "--out", str(tmp_path)])
    scratch = max(found["surfaces, from scratch"], found["surfaces, small CNN"])
    assert min(found["surfaces, new head"], found["surfaces, fine-tuned"]) > scratch + 0.1, found
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in ("accuracy", "predictions"))


@pytest.mark.slow
@pytest.mark.skipif(
    not all(catalogue()[name].installed for name in ("mobilenet_v2", "pictures", "scenes")),
    reason="needs packages of requirements-data.txt",
)
def test_units_of_mobilenet_see_what_the_layers_allow(tmp_path, capsys):
    """The widest patches are as wide as kernels and strides say; of every unit the strongest come first."""
    found = example("inside_mobilenet").main(["--out", str(tmp_path)])
    out = capsys.readouterr().out
    for pixels in (3, 11, 27, 75, 171):
        assert f"the widest has {pixels} pixels" in out
    assert len(found) == 35 and all(len(patches) == 9 for patches in found.values())
    for patches in found.values():
        values = [p.value for p in patches]
        assert values == sorted(values, reverse=True) and len({p.image for p in patches}) == 9
    assert len(list(tmp_path.glob("*.png"))) == 6


@pytest.mark.slow
def test_whole_examples_reach_their_accuracies():
    assert example("from_pytorch").main([]) > 0.9
    dense, convolutional = example("from_keras").main([])
    assert dense > 0.9 and convolutional > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("command", "pictures", "expected"), [
    ("model_selection", 2, lambda found: found["stacking"] > 0.94 and found["shuffled 5-fold"] > found["group 5-fold"]),
    ("training", 3, lambda found: found["kills"] == 3 and found["equal"] and found["accuracy"] > 0.95),
    ("look_inside", 9, lambda found: found["accuracy"] > 0.94 and found["found"] >= 5),
    ("augmentation", 2, lambda found: np.diff(list(found.values())) > 0.01),
    ("depth --epochs 4", 1, lambda found: found["plain-56"] > found["plain-20"] + 30
     and found["residual-56"] < found["plain-56"] - 30 and found["residual-56"] < found["residual-20"] + 5),
    ("perceptrons", 3, lambda found: found["plateau"]["SGD"] > 3 * found["plateau"]["momentum 0.9"]
     and found["units"][64] < 0.02 < found["units"][4] and found["preprocessing"]["standardised"] < 3
     < found["preprocessing"]["as they are, 0 to 16"]),
])  # fmt: skip
def test_examples_show_what_they_say(command, pictures, expected, tmp_path, capsys, monkeypatch):
    name, *options = command.split()
    monkeypatch.syspath_prepend(ROOT / "examples")  # processes that an example starts import it by name
    found = importlib.import_module(name).main([*options, "--out", str(tmp_path)])
    assert expected(found), (found, capsys.readouterr().out)
    drawn = list(tmp_path.glob("*.png"))
    assert len(drawn) == pictures and all(p.stat().st_size > 5000 for p in drawn)


@pytest.mark.skipif(not fastdl.emu.is_available(), reason="this build has no emulation module")
def test_cuda_without_gpu(capsys):
    example("cuda_without_gpu").main()
    out = capsys.readouterr().out
    for line in (
        "OUT_OF_BOUNDS at",
        "neighbours.cu:11 in mean_of_three",
        "mean_of_three_corrected, threads shuffled: 0 findings",
        "the corrected kernel is right: True",
    ):
        assert line in out
    worst = [
        line.split() for line in out.splitlines() if line.startswith(("strided", "tiled", "padded")) and ".cu:" in line
    ]
    assert {name: max(float(r[-1]) for r in worst if r[0] == name) for name in ("strided", "tiled", "padded")} == {
        "strided": 8.0, "tiled": 32.0, "padded": 1.0,
    }  # fmt: skip
