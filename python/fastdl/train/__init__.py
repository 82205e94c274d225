"""Training loops, and what watches them."""

from .callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, ProgressBar, TensorBoard
from .fit import evaluate, fit
from .history import History
from .metrics import Accuracy, Mean, Metric, Whole
from .trainer import Trainer, predict

__all__ = [
    "Accuracy", "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "History", "Mean", "Metric", "ProgressBar",
    "TensorBoard", "Trainer", "Whole", "evaluate", "fit", "predict",
]  # fmt: skip
