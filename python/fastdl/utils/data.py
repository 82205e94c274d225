"""`fastdl.data` under PyTorch's address: `from fastdl.utils.data import DataLoader, Dataset`."""

from ..data import *  # noqa: F403
from ..data import __all__  # noqa: F401
