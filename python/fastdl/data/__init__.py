"""Data: sets, batches, augmentation, and real data out of installed packages."""

from . import transforms
from .augment import Augment
from .dataset import Dataset, Subset, TensorDataset, random_split
from .digits import load_digits
from .installed import installed_file
from .loader import DataLoader

__all__ = [
    "Augment", "DataLoader", "Dataset", "Subset", "TensorDataset", "installed_file", "load_digits", "random_split",
    "transforms",
]  # fmt: skip
