"""Functions of tensors under the names of `torch.nn.functional`.

The arithmetic of `torch` itself (`add`, `matmul`, `sum`, ...) is in this package too, and exported as `fastdl.add`, ...
"""

from .activation import (
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    prelu,
    relu,
    relu6,
    relu_,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_max_pool1d, adaptive_max_pool2d
from .conv import conv1d, conv2d
from .conv_transpose import conv_transpose1d, conv_transpose2d
from .distance import cdist, pairwise_distance
from .distance_loss import cosine_embedding_loss, triplet_margin_loss
from .dropout import dropout
from .elementwise_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mape_loss,
    mse_loss,
    msle_loss,
    rmse_loss,
    smooth_l1_loss,
)
from .embedding import embedding, embedding_bag
from .layout import flatten
from .linear import linear
from .loss import cross_entropy, multi_margin_loss, nll_loss, one_hot
from .normalization import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm
from .padding import pad
from .pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .recurrent import gru_cell, lstm_cell, recurrent, rnn_relu_cell, rnn_tanh_cell
from .unpooling import bed_of_nails_unpool2d, max_unpool1d, max_unpool2d
from .upsampling import interpolate, pixel_shuffle, pixel_unshuffle

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bed_of_nails_unpool2d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cdist",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "embedding_bag",
    "flatten",
    "gelu",
    "group_norm",
    "gru_cell",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lstm_cell",
    "mape_loss",
    "max_pool1d",
    "max_pool2d",
    "max_unpool1d",
    "max_unpool2d",
    "mse_loss",
    "msle_loss",
    "multi_margin_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "recurrent",
    "relu",
    "relu6",
    "relu_",
    "rmse_loss",
    "rnn_relu_cell",
    "rnn_tanh_cell",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "triplet_margin_loss",
]
