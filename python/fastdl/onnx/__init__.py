"""Models of other tools: ONNX files read and run on fastdl's kernels, and networks written as ONNX files.

Needs the onnx package: `pip install 'fastdl[onnx]'`.
"""

from .export import export
from .graph import Argument
from .session import Session, load

__all__ = ["Argument", "Session", "export", "load"]
