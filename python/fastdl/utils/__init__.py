"""Where PyTorch's programs look for `utils.data`."""

from . import data

__all__ = ["data"]
