"""The course's digits network on real handwritten digits, from the summary table to the pictures.

    python examples/digits.py                 trains on 4,000 digits, tests on 1,000 unseen ones
    python examples/digits.py --seeds 3       three trainings; prints the median accuracy
    python examples/digits.py --device emu    a tiny part of it on the CUDA kernels, without a GPU

Writes learning curves, the confusion matrix, the misread digits and the weights to --out (default ./out/digits).
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl
from fastdl.data import Augment, DataLoader, TensorDataset, load_digits
from fastdl.models import digits_network
from fastdl.optim import Adam
from fastdl.optim.lr_scheduler import CosineAnnealingLR
from fastdl.train import fit, predict
from fastdl.viz import confusion_matrix, plot_confusion_matrix, plot_history, plot_images


def train(seed: int, args: argparse.Namespace, training: TensorDataset, test: TensorDataset) -> dict:
    """One training from scratch; the test digits are looked at only to draw the curve, never to choose anything."""
    fastdl.manual_seed(seed)
    model = digits_network().to(args.device)
    augment = None if args.no_augment else Augment(degrees=12, scale=(0.85, 1.15), shear=0.15, shift=2)
    batches = DataLoader(training, batch_size=64, shuffle=True, transform=augment)
    optimizer = Adam(model.parameters(), lr=2e-3)
    schedule = CosineAnnealingLR(optimizer, T_max=args.epochs)
    start = time.perf_counter()
    history = fit(model, batches, optimizer, epochs=args.epochs, scheduler=schedule, validation=DataLoader(test, 500))
    seconds = time.perf_counter() - start
    images, labels = test.arrays
    predicted = predict(model, DataLoader(TensorDataset(images), 500)).argmax(1).cpu().numpy()
    accuracy = float((predicted == labels).mean())
    print(f"seed {seed}: {accuracy:.1%} of {len(labels)} unseen digits read right, {seconds:.0f} s of training")
    return {"model": model, "history": history, "predicted": predicted, "accuracy": accuracy}


def show(result: dict, test: TensorDataset, out: Path) -> None:
    """Prints the confusion matrix, saves the pictures and the weights, and reads the weights back."""
    images, labels = test.arrays
    predicted = result["predicted"]
    matrix = confusion_matrix(labels, predicted, 10)
    print("\nconfusion matrix (rows: true digit, columns: predicted)")
    print("     " + "".join(f"{d:5d}" for d in range(10)))
    for digit, row in enumerate(matrix):
        print(f"{digit:5d}" + "".join(f"{n:5d}" if n else "    ." for n in row))

    out.mkdir(parents=True, exist_ok=True)
    plot_history(result["history"], out / "curves.png", "Digits: learning curves")
    plot_confusion_matrix(matrix, out / "confusion.png", title=f"{result['accuracy']:.1%} right")
    wrong = np.flatnonzero(predicted != labels)[:32]
    if len(wrong):
        captions = [f"{labels[i]} read as {predicted[i]}" for i in wrong]
        plot_images(images[wrong], captions, out / "misread.png", title="Misread digits")

    fastdl.save(result["model"].state_dict(), out / "digits.safetensors")
    again = digits_network()
    again.load_state_dict(fastdl.load(out / "digits.safetensors"))
    reread = predict(again, DataLoader(TensorDataset(images), 500)).argmax(1).cpu().numpy()
    print(f"\nsaved to {out}; the weights read back give {(reread == labels).mean():.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_device(parser)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings, seeds 0, 1, ...")
    parser.add_argument("--no-augment", action="store_true", help="train on the digits as they are")
    parser.add_argument("--out", type=Path, default=Path("out/digits"))
    args = parser.parse_args()

    training, test = load_digits(train=4000)
    args.epochs = fewer(args.epochs, args.device, 2)
    training, test = part(training, args.device), part(test, args.device, 20)
    print(fastdl.summary(digits_network(), (1, 28, 28)))
    results = [train(seed, args, training, test) for seed in range(args.seeds)]
    if len(results) > 1:
        print(f"median accuracy: {statistics.median(r['accuracy'] for r in results):.1%}")
    if args.device == "emu":
        findings = fastdl.backends.get("emu").report()
        print(f"\nemulated GPU: {len(findings)} findings (accesses out of bounds, races, ...)")
        for finding in findings[:10]:
            print(finding["message"])
    show(results[0], test, args.out)


if __name__ == "__main__":
    main()
