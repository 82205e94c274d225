"""What works on the parameters of a network rather than in it."""

from .clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
]
"""Helpers under the names of `torch.nn.utils`."""

from . import rnn

__all__ = ["rnn"]
