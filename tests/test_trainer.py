"""Trainer: watched, stopped, killed and taken up again."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastdl
from fastdl import models, nn, optim
from fastdl.checkpoint import load_checkpoint, save_checkpoint
from fastdl.data import DataLoader, TensorDataset
from fastdl.train import (
    EMA,
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    Freeze,
    Mean,
    TensorBoard,
    Trainer,
    Whole,
    evaluate,
    predict,
)

ROOT = Path(__file__).parent.parent


def data(n=96):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 2)).astype(np.float32)
    return TensorDataset(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64))


def trainer(callbacks=(), seed=3, **options):
    fastdl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    return Trainer(model, optimizer, scheduler=scheduler, callbacks=callbacks, progress=False, **options)


def loader():
    return DataLoader(data(), 16, shuffle=True)


def weights(t):
    return [p.detach().numpy().tobytes() for p in t.model.parameters()]


class Interrupt(Callback):
    """Fails at one batch, as a power cut would."""

    last = True

    def __init__(self, at):
        self.left = at

    def on_batch_end(self, trainer, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [2, 3, 6, 7, 11, 12, 13, 17])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resuming_gives_the_weights_of_an_unbroken_run(tmp_path, at, accumulate):
    unbroken = trainer(accumulate=accumulate)
    unbroken.fit(loader(), epochs=4, validation=DataLoader(data(), 32))
    path = tmp_path / "state.ckpt"
    broken = trainer([Checkpoint(path, every_batches=1), Interrupt(at)], accumulate=accumulate)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(loader(), epochs=4, validation=DataLoader(data(), 32))
    again = trainer([Checkpoint(path, every_batches=1)], accumulate=accumulate)
    fastdl.manual_seed(99)  # what the process did before must not matter
    history = again.fit(loader(), epochs=4, validation=DataLoader(data(), 32), resume=path)
    assert weights(again) == weights(unbroken)
    assert len(history) == 4 and history["val_loss"] == unbroken.history["val_loss"]


@pytest.mark.parametrize("at", [3, 6, 12, 18, 21, 24, 30])
def test_early_stopping_survives_a_kill_whatever_the_order(tmp_path, at):
    def run(callbacks, **options):
        t = trainer(callbacks)
        t.optimizer.param_groups[0]["lr"] = t.scheduler.base_lrs[0] = 2.0
        t.fit(loader(), epochs=50, validation=DataLoader(data(), 32), **options)
        return t

    unbroken = run([EarlyStopping(patience=2)])
    path = tmp_path / "state.ckpt"
    with pytest.raises(KeyboardInterrupt):
        run([Checkpoint(path, every_batches=1), EarlyStopping(patience=2), Interrupt(at)])
    for _ in range(2):  # once more from the end
        again = run([Checkpoint(path, every_batches=1), EarlyStopping(patience=2)], resume=path)
        assert weights(again) == weights(unbroken) and len(again.history) == len(unbroken.history)


PROGRAM = """
import sys, fastdl
from tests.test_trainer import *
t = trainer([Checkpoint(sys.argv[1], every_batches=2)])
print("ready", flush=True)
t.fit(loader(), epochs=80, resume=sys.argv[1])
if sys.argv[3] == "killed":
    signal.pause()  # however late that comes
fastdl.save(t.model.state_dict(), sys.argv[2])
"""


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    """SIGKILL at random moments: the file is always whole, and the last run ends where an unbroken one does."""
    unbroken = trainer()
    unbroken.fit(loader(), epochs=80)
    state, result = tmp_path / "state.ckpt", tmp_path / "weights.safetensors"
    path = os.pathsep.join([str(ROOT), *sys.path])
    chance = random.Random(0)
    for fate in [*["killed"] * 20, "left alone"]:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, state, result, fate], cwd=ROOT,
                                   stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})  # fmt: skip
        assert process.stdout.readline() == b"ready\n"
        if fate == "killed":
            time.sleep(chance.uniform(0, 0.04))
            process.send_signal(signal.SIGKILL)
        assert process.wait() == (-signal.SIGKILL if fate == "killed" else 0)
        process.stdout.close()
        if state.exists():
            load_checkpoint(state)
    assert {p.name for p in tmp_path.iterdir()} == {"state.ckpt", "weights.safetensors"}
    found = fastdl.load(result)
    assert [found[n].numpy().tobytes() for n, _ in unbroken.model.named_parameters()] == weights(unbroken)


def test_early_stopping_restores_the_best_weights():
    stopping = EarlyStopping("val_loss", patience=2)
    t = trainer([stopping], seed=2)
    t.optimizer.param_groups[0]["lr"] = t.scheduler.base_lrs[0] = 2.0  # so wild that it soon gets worse
    history = t.fit(loader(), epochs=50, validation=DataLoader(data(), 32))
    best = min(history["val_loss"])
    assert len(history) < 50 and history["val_loss"].index(best) == len(history) - 3
    assert t.evaluate(DataLoader(data(), 32))["loss"] == best == stopping.best


@pytest.mark.parametrize("at", [4, 9])
def test_averaged_weights_follow_and_survive_a_kill(tmp_path, at):
    path = tmp_path / "state.ckpt"
    unbroken, broken, again = EMA(0.9), EMA(0.9), EMA(0.9)
    first = trainer([unbroken])
    first.fit(loader(), epochs=2)
    with pytest.raises(KeyboardInterrupt):
        trainer([Checkpoint(path, every_batches=1), broken, Interrupt(at)]).fit(loader(), epochs=2)
    trainer([again, Checkpoint(path)]).fit(loader(), epochs=2, resume=path)
    found, expected = again.average.state_dict(), unbroken.average.state_dict()
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in expected.items()}
    assert expected["n_averaged"].item() == 12
    assert expected["module.0.weight"].tolist() != first.model.state_dict()["0.weight"].tolist()


def test_only_the_best_checkpoint_is_kept(tmp_path):
    t = trainer([Checkpoint(tmp_path / "best.ckpt", monitor="val_loss")])
    history = t.fit(loader(), epochs=5, validation=DataLoader(data(), 32))
    best = int(np.argmin(history["val_loss"])) + 1
    assert load_checkpoint(tmp_path / "best.ckpt")["epoch"] == best


def test_accumulated_gradients_are_those_of_the_large_batch():
    results = []
    for size, accumulate in ((32, 1), (8, 4)):
        fastdl.manual_seed(0)
        model = nn.Linear(2, 2).double()
        x, y = data().arrays
        batches = DataLoader(TensorDataset(x.astype(np.float64), y), size)
        t = Trainer(model, optim.SGD(model.parameters(), lr=0.1), accumulate=accumulate, progress=False)
        t.fit(batches, epochs=3)
        assert t.updates == 9
        results.append(model.weight.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_metrics():
    t = trainer(metrics={"error": Mean(lambda o, y: 1.0 - float((o.numpy().argmax(1) == y.numpy()).mean())),
                         "positive": Whole(lambda y, o: float(y.sum()))})  # fmt: skip
    found = t.evaluate(DataLoader(data(), 7))
    assert set(found) == {"loss", "error", "positive"}
    assert found["positive"] == data().arrays[1].sum()
    t.metrics = None
    assert t.evaluate(DataLoader(data(), 7))["accuracy"] == pytest.approx(1 - found["error"])


def test_logs(tmp_path):
    t = trainer([CSVLogger(tmp_path / "log.csv"), TensorBoard(tmp_path / "board", histograms=True)])
    history = t.fit(loader(), epochs=2)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(r["loss"]) for r in rows] == history["loss"] and [r["epoch"] for r in rows] == ["1", "2"]
    assert list((tmp_path / "board").glob("events*"))


def test_bad_options():
    with pytest.raises(ValueError, match=r"\[Trainer\] expected accumulate of at least 1, got 0"):
        trainer(accumulate=0)
    with pytest.raises(
        ValueError, match=r"\[EarlyStopping\] expected monitor to be one of loss, accuracy, got 'val_loss'"
    ):
        trainer([EarlyStopping()]).fit(loader(), epochs=1)
    with pytest.raises(ValueError, match=r"\[Checkpoint\] expected mode to be auto, min or max, got 'up'"):
        Checkpoint("x", mode="up")


def test_checkpoints_are_whole_or_refused(tmp_path):
    path = tmp_path / "c.ckpt"
    state = {"a": [1, 2.5, None, "x", True], 3: (fastdl.ones(2, 2), np.arange(3)), "tied": None}
    save_checkpoint(state, path)
    found = load_checkpoint(path)
    assert found["a"] == state["a"] and found[3][0].tolist() == [[1, 1], [1, 1]] and found[3][1].tolist() == [0, 1, 2]
    content = path.read_bytes()
    for n in range(len(content)):
        path.write_bytes(content[:n])
        with pytest.raises(ValueError, match=r"\[load_checkpoint\] expected a checkpoint, got"):
            load_checkpoint(path)
    with pytest.raises(
        TypeError, match=r"\[save_checkpoint\] expected tensors, containers and plain values, got object"
    ):
        save_checkpoint({"x": object()}, path)
    fastdl.save({"w": fastdl.ones(1)}, path)
    with pytest.raises(ValueError, match="expected a checkpoint"):
        load_checkpoint(path)


def test_a_plateau_hears_the_watched_loss():
    model = nn.Linear(2, 2)
    sgd = optim.SGD(model.parameters(), lr=1e-4)  # so slow that no loss falls by half
    plateau = optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=1, threshold=0.5)
    for validation in (None, DataLoader(data(), 32)):
        Trainer(model, sgd, scheduler=plateau, progress=False).fit(loader(), epochs=5, validation=validation)
    assert sgd.param_groups[0]["lr"] < 1e-5


def test_folders_are_made_and_nothing_to_train_on_is_told(tmp_path):
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    (path / "state.ckptx1y2.part").write_bytes(b"half of a checkpoint")
    trainer([Checkpoint(path / "state.ckpt"), CSVLogger(path / "c" / "log.csv")]).fit(loader(), epochs=1)
    assert [p.name for p in sorted(path.iterdir())] == ["c", "state.ckpt"] and (path / "c" / "log.csv").exists()
    with pytest.raises(ValueError, match=r"\[fit\] expected at least one batch, got none"):
        trainer().fit([], epochs=1)


def two_parts():
    fastdl.manual_seed(0)
    body = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU())
    model = nn.Sequential(body, nn.Linear(8, 2))
    body[0].bias.requires_grad_(False)  # that stays so, whatever is frozen and thawed
    return model, optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)


class States(Callback):
    """The body after each epoch, and whether it was training."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, trainer, row):
        state = {k: v.numpy().copy() for k, v in trainer.model[0].state_dict().items()}
        self.seen.append((state, trainer.model[0][1].training))


def test_frozen_parts_stay_as_they_are():
    model, optimizer = two_parts()
    Trainer(model, optimizer, progress=False).fit(loader(), 1)  # gradients and statistics of before
    before = {k: v.numpy().copy() for k, v in model[0].state_dict().items()}
    states, head = States(), model[1].weight.detach().numpy().copy()
    t = Trainer(model, optimizer, callbacks=[Freeze(model[0], until=2), states], progress=False)
    t.fit(loader(), epochs=3, validation=DataLoader(data(), 32))
    (first, one), (second, two), (third, three) = states.seen
    assert (one, two, three) == (False, False, True)
    assert all((before[k] == first[k]).all() and (before[k] == second[k]).all() for k in before)
    changed = {k for k in before if not (before[k] == third[k]).all()}
    assert changed == set(before) - {"0.bias"} and (model[1].weight.detach().numpy() != head).any()
    assert model.training and not model[0][0].bias.requires_grad and model[0][0].weight.requires_grad


def test_evaluation_leaves_every_module_in_its_mode():
    model, _ = two_parts()
    model[0].eval()
    for use in (lambda m: evaluate(m, loader()), lambda m: predict(m, loader())):
        use(model)
        assert model.training and not model[0].training and not model[0][2].training and model[1].training
    with pytest.raises(ValueError, match="expected at least one batch"):
        predict(model, [])


def test_frozen_parts_take_no_gradients_and_are_free_after_the_training():
    model, optimizer = two_parts()
    found = []

    class Look(Callback):
        def on_batch_end(self, trainer, loss):
            found.append([p.grad is not None for p in trainer.model.parameters()])

    Trainer(model, optimizer, callbacks=[Freeze(model[0]), Look()], progress=False).fit(loader(), 1)
    assert found == [[False] * 4 + [True] * 2] * 6
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True, True, True]
    with pytest.raises(TypeError, match=r"\[Freeze\] expected modules, got none"):
        Freeze()
    with pytest.raises(TypeError, match=r"\[Freeze\] expected modules, got Parameter"):
        Freeze(model[1].weight)


def test_predict_joins_what_models_return():
    class Two(nn.Module):
        def forward(self, x):
            return {"sum": x.sum(1), "both": (x, -x)}

    batches = [fastdl.ones(3, 2), fastdl.zeros(2, 2)]
    found = predict(Two(), batches)
    assert found["sum"].tolist() == [2, 2, 2, 0, 0] and isinstance(found["both"], tuple)
    assert found["both"][1].shape == (5, 2)
    wide = predict(models.googlenet_published(num_classes=3), [fastdl.zeros(1, 3, 64, 64)] * 2)
    assert wide.shape == (2, 3)
