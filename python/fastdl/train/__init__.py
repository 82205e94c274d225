"""Training loops."""

from .fit import evaluate, fit, predict
from .history import History

__all__ = ["History", "evaluate", "fit", "predict"]
