"""Learning-rate finder, and learning curves over the size of the training set."""

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset
from fastdl.train import Trainer, find_lr, learning_curve
from fastdl.viz import plot_learning_curve, plot_lr_finder, plot_validation_curve


def data(n=300, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)
    return TensorDataset(x, (x[:, 0] + 0.5 * x[:, 1] > 0).astype(np.int64))


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_finder_leaves_everything_as_it_was(kind):
    def training(look):
        fastdl.manual_seed(0)
        model = network()
        optimizer = getattr(optim, kind)(model.parameters(), lr=0.01)
        trainer = Trainer(model, optimizer, progress=False)
        trainer.fit(DataLoader(data(), 32, shuffle=True), 1)
        if look:
            model.eval()
            found = find_lr(model, DataLoader(data(), 32, shuffle=True), optimizer)
            assert not model.training and optimizer.param_groups[0]["lr"] == 0.01
            assert 1e-4 < found.suggestion < 5 and len(found.rates) == len(found.losses) > 20
        trainer.fit(DataLoader(data(), 32, shuffle=True), 3)
        return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}

    assert training(False) == training(True)


def test_the_suggested_rate_trains_and_a_hundred_times_it_does_not(tmp_path):
    fastdl.manual_seed(2)
    model = nn.Linear(4, 1)
    x = data().arrays[0]
    batches = DataLoader(TensorDataset(x, x @ np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)), 50)
    found = find_lr(model, batches, optim.SGD(model.parameters(), lr=1.0), nn.MSELoss())
    sgd = optim.SGD(model.parameters(), lr=found.suggestion)
    assert Trainer(model, sgd, nn.MSELoss(), progress=False).fit(batches, 20)["loss"][-1] < 1e-3
    wild = optim.SGD(model.parameters(), lr=100 * found.suggestion)
    with pytest.raises(FloatingPointError):
        Trainer(model, wild, nn.MSELoss(), progress=False).fit(batches, 50)
    axes = plot_lr_finder(found, tmp_path / "rates.png").axes[0]
    assert axes.texts[0].get_text() == f"{found.suggestion:.2g}" and axes.get_xscale() == "log"


@pytest.mark.parametrize(("options", "message"), [
    ({"start": 1.0, "end": 0.1}, r"expected 0 < start < end, got 1.0 and 0.1"),
    ({"steps": 3}, r"expected steps of at least 10, got 3"),
    ({"start": 1e30, "end": 1e31}, r"expected a loss that is finite"),
])  # fmt: skip
def test_bad_ranges(options, message):
    model = nn.Linear(4, 2)
    with pytest.raises(ValueError, match=rf"\[find_lr\] {message}"):
        find_lr(model, DataLoader(data(), 32), optim.SGD(model.parameters(), lr=1.0), **options)
    with pytest.raises(ValueError, match=r"\[find_lr\] expected at least one batch, got none"):
        find_lr(model, [], optim.SGD(model.parameters(), lr=1.0))


def make():
    model = nn.Linear(4, 2)
    return Trainer(model, optim.Adam(model.parameters(), lr=0.05), progress=False)


def test_more_data_helps(tmp_path):
    curve = learning_curve(make, data(), data(400, 1), sizes=(10, 0.2, 1.0), epochs=lambda n: 3000 // n, batch_size=10,
                           repeats=3)  # fmt: skip
    assert curve.sizes.tolist() == [10, 60, 300] and curve.test_scores.shape == curve.train_scores.shape == (3, 3)
    means = curve.test_scores.mean(1)
    assert means[0] < means[1] < means[2] and means[2] > 0.95 and curve.gain > 0
    again = learning_curve(make, data(), data(400, 1), sizes=[10], epochs=300, batch_size=10, repeats=3)
    assert (again.test_scores[0] == curve.test_scores[0]).all()
    axes = plot_learning_curve(*curve[:3], tmp_path / "sizes.png", "accuracy").axes[0]
    assert [line.get_label() for line in axes.lines] == ["training", "validation"] and len(axes.collections) == 2
    losses = learning_curve(make, data(), data(400, 1), sizes=(20, 200), epochs=20, metric="loss")
    assert losses.gain > 0


def test_bad_studies():
    with pytest.raises(ValueError, match=r"\[learning_curve\] expected sizes from 1 to 300, got \[0.5, 301\]"):
        learning_curve(make, data(), data(), sizes=(0.5, 301))
    with pytest.raises(ValueError, match=r"\[learning_curve\] expected metric to be one of loss, accuracy, got 'auc'"):
        learning_curve(make, data(), data(), sizes=(10,), epochs=1, metric="auc")
    with pytest.raises(
        ValueError, match=r"\[plot_learning_curve\] expected scores of shape \(2, repeats\), got \(3,\)"
    ):
        plot_learning_curve([1, 2], [1, 2, 3], [1, 2, 3])


def test_validation_curves_mark_the_best(tmp_path):
    scores = np.array([[0.7, 0.8], [0.9, 0.8], [0.5, 0.6]])
    axes = plot_validation_curve([1e-4, 1e-3, 1e-2], scores + 0.05, scores, tmp_path / "v.png", "alpha").axes[0]
    assert axes.texts[0].get_text() == "best: 0.001" and axes.get_xlabel() == "alpha"
