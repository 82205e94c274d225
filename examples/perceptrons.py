"""Perceptrons with hidden layers: every choice beside its alternatives, what one hidden layer can do, and momentum.

    python examples/perceptrons.py            about a minute on one core; pictures to ./out/perceptrons
    python examples/perceptrons.py --short    one seed, fewer epochs

Real data: 1,797 handwritten digits of 8 x 8 pixels of scikit-learn, a third of them unseen in training.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from options import add_device, fewer, part

import fastdl
import fastdl.functional as F
from fastdl import nn, optim
from fastdl.data import DataLoader, TensorDataset, from_installed
from fastdl.train import fit
from fastdl.viz.figure import COLOURS, INK, finish, new_figure, plain

PALETTE = (*COLOURS, "#b8860b", "#17807e", "#8a8a8a", INK)


def digits() -> tuple[TensorDataset, TensorDataset]:
    found = from_installed("digits_8x8")
    x, y = found["data"].astype(np.float32), found["target"]
    order = np.random.default_rng(0).permutation(len(x))
    return TensorDataset(x[order[:1200]], y[order[:1200]]), TensorDataset(x[order[1200:]], y[order[1200:]])


# ---- every choice ----------------------------------------------------------------------------------------------------


def on_classes(loss: Callable[..., fastdl.Tensor], low: float = 0.0, high: float = 1.0) -> Callable[..., fastdl.Tensor]:
    """A loss between numbers as a loss of classes: `high` is wanted of the right one's output, `low` of the others."""
    return lambda scores, labels: loss(scores, F.one_hot(labels, 10).to(scores.dtype) * (high - low) + low)


def as_shares(loss: Callable[..., fastdl.Tensor]) -> Callable[..., fastdl.Tensor]:
    """Between probabilities."""
    return on_classes(lambda scores, wanted: loss(fastdl.softmax(scores, 1), wanted))


PREPARED = {
    "as they are, 0 to 16": lambda x, seen: x,
    "0 to 1": lambda x, seen: x / 16,
    "centred": lambda x, seen: x - seen.mean(0),
    "standardised": lambda x, seen: (x - seen.mean(0)) / (seen.std(0) + 1e-3),
}
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU, "leaky ReLU": nn.LeakyReLU, "ELU": nn.ELU,
               "softplus": nn.Softplus, "GELU": nn.GELU, "none": nn.Identity}  # fmt: skip
LOSSES = {
    "cross-entropy": F.cross_entropy, "binary cross-entropy": on_classes(F.binary_cross_entropy_with_logits),
    "hinge": on_classes(F.hinge_loss, -1, 1), "squared": as_shares(F.mse_loss),
    "root of squared": as_shares(F.rmse_loss), "absolute": as_shares(F.l1_loss),
    "smooth L1": as_shares(F.smooth_l1_loss), "squared log": as_shares(F.msle_loss),
}  # fmt: skip
OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (optim.SGD, {"lr": 0.02}), "momentum": (optim.SGD, {"lr": 0.02, "momentum": 0.9}),
    "Nesterov": (optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True}), "Adagrad": (optim.Adagrad, {"lr": 0.02}),
    "RMSprop": (optim.RMSprop, {"lr": 1e-3}), "Adam": (optim.Adam, {"lr": 1e-3}), "AdamW": (optim.AdamW, {"lr": 1e-3}),
    "NAdam": (optim.NAdam, {"lr": 1e-3}),
}  # fmt: skip
CHOICES: dict[str, dict[str, Any]] = {
    "preprocessing": PREPARED, "activation": ACTIVATIONS, "loss": LOSSES, "optimizer": OPTIMIZERS,
}  # fmt: skip
USUAL = {"preprocessing": "standardised", "activation": "ReLU", "loss": "cross-entropy", "optimizer": "momentum"}


def errors(
    sets: tuple[TensorDataset, TensorDataset], choice: dict[str, str], seed: int, epochs: int, device: str = "cpu"
) -> list[float]:
    """Percent of unseen digits misread after each epoch."""
    fastdl.manual_seed(seed)
    prepare = PREPARED[choice["preprocessing"]]
    (x, y), (x_test, y_test) = (dataset.arrays for dataset in sets)
    model = nn.Sequential(nn.Linear(64, 32), ACTIVATIONS[choice["activation"]](), nn.Linear(32, 10))
    model.to(device)
    kind, options = OPTIMIZERS[choice["optimizer"]]
    history = fit(model, DataLoader(TensorDataset(prepare(x, x), y), 32, shuffle=True),
                  kind(model.parameters(), **options), LOSSES[choice["loss"]], epochs=epochs, progress=False,
                  validation=DataLoader(TensorDataset(prepare(x_test, x), y_test), len(x_test)))  # fmt: skip
    return [100 - 100 * accuracy for accuracy in history["val_accuracy"]]


def compare(seeds: int, epochs: int, path: Path, device: str = "cpu") -> dict[str, dict[str, float]]:
    """One choice varies at a time, the others are the usual ones; a panel each, lines are means over the seeds.

    The learning rate stays the same for all losses: what learns slowly has small gradients.
    """
    training, test = digits()
    sets = part(training, device), part(test, device)
    figure, found = new_figure(11.2, 6.6), {}
    for i, (what, alternatives) in enumerate(CHOICES.items()):
        axes = plain(figure.add_subplot(2, 2, i + 1))
        found[what] = {}
        for name, colour in zip(alternatives, PALETTE, strict=False):
            mean = np.mean([errors(sets, {**USUAL, what: name}, seed, epochs, device) for seed in range(seeds)], axis=0)
            found[what][name] = float(mean[-1])
            width = 2.4 if name == USUAL[what] else 1.3
            axes.plot(range(1, epochs + 1), mean, color=colour, label=name, linewidth=width)
        axes.set(yscale="log", title=what, xlabel="epoch", ylabel="unseen digits misread (%)", ylim=(1.5, 100))
        axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        ends = ", ".join(f"{name} {error:.1f}" for name, error in sorted(found[what].items(), key=lambda kv: kv[1]))
        print(f"{what:14} {ends} % misread", flush=True)
    finish(figure, path)
    return found


# ---- what one hidden layer can do ------------------------------------------------------------------------------------


def curve(x: np.ndarray) -> np.ndarray:
    return (np.sin(2 * x) + 0.5 * np.sin(5 * x) + 0.3 * np.abs(x)).astype(np.float32)


def fitted(x: np.ndarray, wanted: np.ndarray, units: int, seed: int, updates: int, device: str = "cpu") -> np.ndarray:
    """What a hidden layer of so many units makes of x, after training."""
    fastdl.manual_seed(seed)
    model = nn.Sequential(nn.Linear(1, units), nn.Tanh(), nn.Linear(units, 1))
    nn.init.uniform_(model[0].weight, -4, 4)
    nn.init.uniform_(model[0].bias, -6, 6)
    model.to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    inputs, target = fastdl.tensor(x, device=device), fastdl.tensor(wanted, device=device)
    for _ in range(updates):
        optimizer.zero_grad()
        F.mse_loss(model(inputs), target).backward()
        optimizer.step()
        schedule.step()
    with fastdl.no_grad():
        return model(inputs).cpu().numpy()


def approximate(path: Path, short: bool, device: str = "cpu") -> dict[int, float]:
    """A curve, fitted by one hidden layer of more and more units (the best of three starts): ever more closely."""
    x = np.linspace(-3, 3, 256, dtype=np.float32)[:, None]
    wanted = curve(x)
    figure, fits, found = new_figure(9.6, 3.2), {}, {}
    updates, starts = (300, 1) if short else (2500, 3)
    updates, starts = fewer(updates, device, 20), fewer(starts, device)
    for units in (1, 2, 4, 8, 16, 32, 64):
        tries = [fitted(x, wanted, units, seed, updates, device) for seed in range(starts)]
        fits[units] = min(tries, key=lambda y: float(np.mean((y - wanted) ** 2)))
        found[units] = float(np.sqrt(np.mean((fits[units] - wanted) ** 2)))
    axes = plain(figure.add_subplot(1, 2, 1))
    axes.plot(x, wanted, color="#bbbbbb", linewidth=5, label="the curve")
    for units, colour in zip((2, 8, 64), (COLOURS[1], COLOURS[2], COLOURS[0]), strict=True):
        axes.plot(x, fits[units], color=colour, linewidth=1.3, label=f"{units} units")
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="input", ylabel="output")
    axes = plain(figure.add_subplot(1, 2, 2))
    axes.plot(list(found), list(found.values()), color=COLOURS[0], marker="o", markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="units of the hidden layer", ylabel="error (root of mean square)")
    axes.set_xticks(list(found), [str(units) for units in found])
    axes.minorticks_off()
    finish(figure, path)
    print("one hidden layer, root of the mean square:", ", ".join(f"{u} units {e:.4f}" for u, e in found.items()))
    return found


# ---- momentum on a plateau -------------------------------------------------------------------------------------------


def plateau(path: Path, updates: int = 600, device: str = "cpu") -> dict[str, int]:
    """A sigmoid neuron that is sure of the wrong answer: it hardly has a gradient there. Updates until it is right."""
    figure, found = new_figure(5.6, 3.4), {}
    axes = plain(figure.add_subplot())
    rules = {"SGD": {}, "momentum 0.9": {"momentum": 0.9}, "Nesterov 0.9": {"momentum": 0.9, "nesterov": True}}
    one = fastdl.ones(1, 1, device=device)
    for (name, options), colour in zip(rules.items(), COLOURS, strict=False):
        neuron = nn.Linear(1, 1, device=device)
        nn.init.constant_(neuron.weight, 2.5)
        nn.init.constant_(neuron.bias, 2.5)
        optimizer = optim.SGD(neuron.parameters(), lr=0.2, **options)
        losses = []
        for _ in range(updates):
            optimizer.zero_grad()
            loss = F.mse_loss(fastdl.sigmoid(neuron(one)), one * 0)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found[name] = next((i for i, value in enumerate(losses) if value < 0.25), updates)
        axes.plot(losses, color=colour, label=name, linewidth=1.6)
    axes.axhline(0.25, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="update", ylabel="squared error", ylim=(0, 1.05))
    axes.legend(frameon=False, fontsize=9)
    finish(figure, path)
    print("updates until a saturated neuron leaves its plateau:", ", ".join(f"{n} {u}" for n, u in found.items()))
    return found


def main(argv: list[str] | None = None) -> dict[str, dict[Any, Any]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one seed, 3 epochs")
    add_device(parser)
    parser.add_argument("--out", type=Path, default=Path("out/perceptrons"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    seeds, epochs = (fewer(n, args.device) for n in ((1, 3) if args.short else (3, 25)))
    found: dict[str, dict[Any, Any]] = {
        "plateau": plateau(args.out / "plateau.png", fewer(600, args.device, 100), args.device)
    }
    found["units"] = approximate(args.out / "approximation.png", args.short, args.device)
    return found | compare(seeds, epochs, args.out / "choices.png", args.device)


if __name__ == "__main__":
    main()
