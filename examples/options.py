"""What the examples that train have in common on the command line: the device."""

import argparse

import numpy as np

from fastdl.data import TensorDataset

SLOW = ("emu", "reference")  # they check or define the kernels, and are not made for speed


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", help="cpu, cuda, or for a tiny part of it emu or reference")


def part(dataset: TensorDataset, device: str, most: int = 32) -> TensorDataset:
    """The whole set, or on a slow device `most` evenly spread elements."""
    if device not in SLOW or len(dataset) <= most:
        return dataset
    chosen = np.linspace(0, len(dataset) - 1, most).astype(int)
    return TensorDataset(*(a[chosen] for a in dataset.arrays))


def fewer(number: int, device: str, most: int = 1) -> int:
    """A number of epochs, seeds or updates, at most `most` on a slow device."""
    return min(number, most) if device in SLOW else number
