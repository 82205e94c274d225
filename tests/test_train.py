"""fit, evaluate, predict, pictures, and the digits example."""

import importlib.util
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.train import History, evaluate, fit, predict
from fastdl.viz import confusion_matrix, plot_confusion_matrix, plot_history, plot_images

ROOT = Path(__file__).parent.parent


def example():
    spec = importlib.util.spec_from_file_location("digits_example", ROOT / "examples/digits.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")  # where scripts in that folder find `options`
        spec.loader.exec_module(module)
    return module


def separable(n=200):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 2)).astype(np.float32)
    return TensorDataset(x, (x[:, 0] + x[:, 1] > 0).astype(np.int64))


def train(threads=1, epochs=3):
    fastdl.set_num_threads(threads)
    fastdl.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2))
    data = separable()
    history = fit(model, DataLoader(data, 20, shuffle=True), optim.Adam(model.parameters(), lr=0.05), epochs=epochs,
                  validation=DataLoader(data, 50), progress=False)  # fmt: skip
    return model, history


def test_fit_learns_and_records():
    model, history = train(epochs=10)
    assert len(history) == 10 and set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_accuracy"][-1] > 0.95 and history["loss"][-1] < history["loss"][0]
    assert model.training
    found = evaluate(model, DataLoader(separable(), 50))
    assert found["accuracy"] == history["val_accuracy"][-1]
    assert predict(model, DataLoader(separable(), 50)).shape == (200, 2)


def test_training_is_bit_equal_for_any_threads_and_from_run_to_run():
    runs = [train(threads) for threads in (1, 2, 1)]
    assert runs[0][1].columns == runs[1][1].columns == runs[2][1].columns
    weights = [[p.detach().numpy().tobytes() for p in model.parameters()] for model, _ in runs]
    assert weights[0] == weights[1] == weights[2]


def test_fit_stops_at_a_bad_loss_and_when_told():
    model = nn.Linear(2, 2)
    data = TensorDataset(np.full((4, 2), np.nan, np.float32), np.zeros(4, np.int64))
    with pytest.raises(FloatingPointError, match=r"\[fit\] expected a finite loss, got nan in epoch 1"):
        fit(model, DataLoader(data, 2), optim.SGD(model.parameters(), lr=0.1), progress=False)
    history = fit(nn.Linear(2, 2), DataLoader(separable(), 50), optim.SGD(model.parameters(), lr=0.1), epochs=9,
                  progress=False, on_epoch=lambda epoch, history: epoch == 1)  # fmt: skip
    assert len(history) == 2
    with pytest.raises(ValueError, match=r"\[fit\] expected epochs of at least 1, got 0"):
        fit(model, [], optim.SGD(model.parameters(), lr=0.1), epochs=0)
    with pytest.raises(ValueError, match=r"\[predict\] expected at least one batch, got none"):
        predict(model, [])


def test_history_fills_gaps():
    history = History()
    history.append(loss=1.0)
    history.append(loss=0.5, accuracy=0.9)
    assert np.isnan(history["accuracy"][0]) and "loss" in history and len(history) == 2


def test_pictures_are_written(tmp_path):
    _, history = train()
    plot_history(history, tmp_path / "curves.png", "title")
    matrix = confusion_matrix([0, 1, 1], [0, 1, 0], 2)
    plot_confusion_matrix(matrix, tmp_path / "confusion.png")
    plot_images(np.zeros((3, 1, 5, 5)), ["a", "b", "c"], tmp_path / "images.png")
    plot_images(np.random.default_rng(0).random((2, 3, 5, 5)), path=tmp_path / "colour.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["colour.png", "confusion.png", "curves.png", "images.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"\[plot_images\] expected images"):
        plot_images(np.zeros((3, 5)))
    with pytest.raises(IndexError, match=r"\[confusion_matrix\] expected classes in \[0, 2\)"):
        confusion_matrix([0, 2], [0, 0], 2)


def test_the_course_network_has_its_parameters():
    table = str(fastdl.summary(example().digits_network(), (1, 28, 28)))
    for count in ("320", "9,248", "4,624", "2,320", "2,570", "19,082"):
        assert count in table


def digits_losses(threads, device="cpu", steps=2, dtype=fastdl.float32):
    """Losses of some steps of the digits network on real digits."""
    from fastdl.data import load_digits

    fastdl.set_num_threads(threads)
    fastdl.manual_seed(0)
    model = example().digits_network().to(dtype).to(device)
    optimizer = optim.Adam(model.parameters())
    images, labels = load_digits()[0].arrays
    losses = []
    for i in range(steps):
        pick = slice(i * 7, None, 500)
        x, y = fastdl.tensor(images[pick], dtype=dtype, device=device), fastdl.tensor(labels[pick], device=device)
        loss = nn.CrossEntropyLoss()(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_digits_losses_are_bit_equal_for_threads_and_runs():
    assert digits_losses(1, steps=4) == digits_losses(2, steps=4) == digits_losses(2, steps=4)


def test_digits_losses_agree_between_devices(device):
    expected = digits_losses(1, "reference", dtype=fastdl.float64)
    np.testing.assert_allclose(digits_losses(1, device), expected, rtol=2e-5)


@pytest.mark.slow
def test_digits_example_reads_98_percent(tmp_path):
    """The main job as a user runs it, three seeds: the median of the accuracies on 1,000 unseen digits."""
    command = [sys.executable, str(ROOT / "examples/digits.py"), "--seeds", "3", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("seed ")]
    accuracies = [float(line.split()[2].rstrip("%")) for line in lines]
    assert len(accuracies) == 3 and statistics.median(accuracies) >= 98.0, done.stdout
    assert {p.name for p in tmp_path.iterdir()} >= {"curves.png", "confusion.png", "misread.png", "digits.safetensors"}
