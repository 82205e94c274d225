"""Data: sets, batches, augmentation, and real data out of installed packages."""

from . import transforms
from .augment import Augment
from .catalogue import InstalledSet, catalogue, from_installed
from .dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .dataset import collate as default_collate
from .digits import load_digits
from .installed import installed_file, installed_files
from .loader import DataLoader
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .workers import WorkerInfo, get_worker_info

__all__ = [
    "Augment", "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "InstalledSet", "IterableDataset",
    "RandomSampler", "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset",
    "WeightedRandomSampler", "WorkerInfo", "catalogue", "default_collate", "from_installed", "get_worker_info",
    "installed_file", "installed_files", "load_digits", "random_split", "transforms",
]  # fmt: skip
