"""Models of other tools: ONNX files read and run on fastdl's kernels, and written.

Needs the onnx package: `pip install 'fastdl[onnx]'`.
"""

from .graph import Argument
from .session import Session, load

__all__ = ["Argument", "Session", "load"]
