"""Functions of tensors under the names of `torch.nn.functional`.

The arithmetic of `torch` itself (`add`, `matmul`, `sum`, ...) is in this package too, and exported as `fastdl.add`, ...
"""

from .activation import log_softmax, relu, relu_, sigmoid, softmax, tanh
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from .conv import conv1d, conv2d
from .conv_transpose import conv_transpose1d, conv_transpose2d
from .distance import cdist, pairwise_distance
from .dropout import dropout
from .embedding import embedding, embedding_bag
from .layout import flatten
from .linear import linear
from .loss import cross_entropy, mse_loss, nll_loss, one_hot
from .padding import pad
from .pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .unpooling import bed_of_nails_unpool2d, max_unpool1d, max_unpool2d
from .upsampling import interpolate, pixel_shuffle, pixel_unshuffle

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "bed_of_nails_unpool2d",
    "cdist",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "embedding_bag",
    "flatten",
    "interpolate",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "relu",
    "relu_",
    "sigmoid",
    "softmax",
    "tanh",
]
