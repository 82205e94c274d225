"""Functions of backends as operators of ONNX, by theme; importing this package fills the registry."""

from . import elementwise, layout, networks, scan
from .writer import EXPORTERS, Writer

__all__ = ["EXPORTERS", "Writer", "elementwise", "layout", "networks", "scan"]
