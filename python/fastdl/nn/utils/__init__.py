"""What works on the parameters of a network rather than in it, and on sequences of different lengths."""

from . import rnn
from .clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from .penalty import l1_penalty, l2_penalty

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "l1_penalty", "l2_penalty", "parameters_to_vector",
    "remove_spectral_norm", "remove_weight_norm", "rnn", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip
