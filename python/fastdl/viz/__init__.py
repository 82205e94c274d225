"""Pictures: learning curves, confusion matrices, images, layers, patches, detections, embeddings. Needs matplotlib."""

from .confusion import confusion_matrix, plot_confusion_matrix
from .curves import plot_history, plot_learning_curve, plot_lr_finder, plot_validation_curve
from .detections import plot_detections
from .images import plot_images
from .layers import (
    Alarm,
    activations,
    check_activations,
    plot_activation_histograms,
    plot_embedding,
    plot_feature_maps,
    plot_filters,
)
from .patches import Patch, plot_patches, strongest_patches
from .plans import plot_profile

__all__ = [
    "Alarm", "Patch", "activations", "check_activations", "confusion_matrix", "plot_activation_histograms",
    "plot_confusion_matrix", "plot_detections", "plot_embedding", "plot_feature_maps", "plot_filters", "plot_history",
    "plot_images", "plot_learning_curve", "plot_lr_finder", "plot_patches", "plot_profile", "plot_validation_curve",
    "strongest_patches",
]  # fmt: skip
