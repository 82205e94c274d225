"""Training loops, and what watches them."""

from .callbacks import EMA, Callback, Checkpoint, CSVLogger, EarlyStopping, Freeze, ProgressBar, TensorBoard
from .fit import evaluate, fit
from .history import History
from .metrics import Accuracy, Mean, Metric, Whole
from .studies import LearningRates, SizeCurve, find_lr, learning_curve
from .trainer import Trainer, predict

__all__ = [
    "EMA", "Accuracy", "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "Freeze", "History", "LearningRates",
    "Mean", "Metric", "ProgressBar", "SizeCurve", "TensorBoard", "Trainer", "Whole", "evaluate", "find_lr", "fit",
    "learning_curve", "predict",
]  # fmt: skip
