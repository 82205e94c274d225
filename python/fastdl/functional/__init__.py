"""Functions of tensors under the names of `torch.nn.functional`.

The arithmetic of `torch` itself (`add`, `matmul`, `sum`, ...) is in this package too, and exported as `fastdl.add`, ...
"""

from .activation import log_softmax, relu, relu_, sigmoid, softmax, tanh
from .conv import conv1d, conv2d
from .conv_transpose import conv_transpose1d, conv_transpose2d
from .dropout import dropout
from .embedding import embedding, embedding_bag
from .layout import flatten
from .linear import linear
from .loss import cross_entropy, mse_loss, nll_loss, one_hot
from .padding import pad
from .pooling import max_pool2d

__all__ = [
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "embedding_bag",
    "flatten",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "sigmoid",
    "softmax",
    "tanh",
]
