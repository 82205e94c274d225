"""Pictures: learning curves, confusion matrices, sheets of images. Needs matplotlib."""

from .confusion import confusion_matrix, plot_confusion_matrix
from .curves import plot_history
from .images import plot_images

__all__ = ["confusion_matrix", "plot_confusion_matrix", "plot_history", "plot_images"]
