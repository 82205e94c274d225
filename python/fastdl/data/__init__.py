"""Data: sets, batches, augmentation, and real data out of installed packages."""

from . import transforms
from .augment import Augment
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from .digits import load_digits
from .installed import installed_file
from .loader import DataLoader
from .sampler import RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler

__all__ = [
    "Augment", "ConcatDataset", "DataLoader", "Dataset", "RandomSampler", "SequentialSampler", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "installed_file", "load_digits", "random_split",
    "transforms",
]  # fmt: skip
