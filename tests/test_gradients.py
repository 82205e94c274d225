"""Gradients of every differentiable function by central differences, and of every rule of the tape.

The table has an entry for each public function; two tests fail when a function or a rule is in none.
"""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import fastdl
import fastdl.functional as F
from fastdl import ops
from fastdl.functional import methods
from fastdl.testing import gradcheck

from .cases import all_cases


def t(*shape, low=None, seed=0):
    """Normal numbers, or uniform ones from `low` to `low` + 1, in float64, that require a gradient."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape) if low is None else rng.random(shape) + low
    return fastdl.tensor(values, requires_grad=True)


def p(*shape, seed=0):
    return t(*shape, low=0.3, seed=seed)


def q(*shape, seed=0):
    """Probabilities."""
    rng = np.random.default_rng([seed, *shape])
    return fastdl.tensor(rng.uniform(0.1, 0.9, shape), requires_grad=True)


def ints(*values):
    return fastdl.tensor(np.array(values))


A, B, V = (3, 4), (4, 3), (5,)
GRID = fastdl.tensor(np.random.default_rng(4).uniform(-1.4, 1.4, (1, 2, 3, 2)), requires_grad=True)
PLANE, LINE = (2, 4, 6, 6), (2, 4, 8)
MASK = fastdl.tensor(np.arange(12).reshape(3, 4) % 3 == 0)
PLACES = ints([0, 2, 1, 0], [2, 2, 0, 1], [1, 0, 0, 0])
CLASSES = ints(1, 0, 2)
SIGNS = fastdl.tensor([[1.0, -1, 1, 1], [-1, -1, 1, -1], [1, 1, -1, 1]], dtype="float64")
BITS = (SIGNS + 1) / 2
BOXES = fastdl.tensor([[0, 0.3, 0.2, 4.6, 5.1], [1, 1.2, 0.0, 5.0, 3.3]], dtype="float64")


def unary(names, make=t, shape=A):
    return {name: (getattr(fastdl.Tensor, name), [make(*shape)]) for name in names.split()}


def binary(names, make=t):
    return {name: (getattr(fastdl.Tensor, name), [make(3, 4), make(4, seed=1)]) for name in names.split()}


def losses(names, target, make=t):
    return {name: (getattr(F, name), [make(*A), target]) for name in names.split()}


def layers(names, shape=A):
    return {name: (getattr(F, name), [t(*shape)]) for name in names.split()}


def max_pooled(pool, unpool, x):
    out, places = pool(x, 2, return_indices=True)
    return unpool(out * 2, places, 2)


def assigned(x, y):
    out = x * 2
    out[1:, [0, 2]] = y
    return out


def in_place(x):
    out = x * 1
    out.mul_(x)
    return out.add_(1.0)


def sequences(x):
    packed = fastdl.nn.utils.rnn.pack_padded_sequence(x, [4, 3, 1])
    return fastdl.nn.utils.rnn.pad_packed_sequence(packed)[0] * 2


def recurrent_net(kind):
    def run(x):
        fastdl.manual_seed(0)
        return getattr(fastdl.nn, kind)(3, 4, 2, bidirectional=True).double()(x)[0]

    return run


def seeded(function):
    """A function that draws, with the same numbers each time."""

    def run(*tensors):
        fastdl.manual_seed(3)
        return function(*tensors)

    return run


METHODS = {
    **unary("nansum nanmean deg2rad rad2deg asinh atan sinc positive diagflat"),
    **unary("asin acos atanh", q), **unary("acosh", lambda *shape: t(*shape, low=1.2)),
    **binary("atan2 fmax fmin logaddexp2 ldexp copysign"), **binary("float_power", p),
    "addmv": (fastdl.addmv, [t(3), t(*A), t(4)]), "addr": (fastdl.addr, [t(*A), t(3), t(4)]),
    "contiguous": (lambda x: x.t().contiguous(), [t(*A)]),
    "hsplit": (lambda x: x.hsplit(2)[1], [t(*A)]), "vsplit": (lambda x: x.vsplit(3)[1], [t(*A)]),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), [t(*A)]), "mode": (lambda x: x.mode(1), [t(*A)]),
    **unary("exp expm1 square abs neg sin cos erf tanh sigmoid relu tan sinh cosh exp2 erfc frac sum mean var std amax "
            "amin max min flatten clone squeeze t tril triu diag fliplr flipud prod norm median unbind"),
    **unary("log log1p sqrt rsqrt reciprocal log2 log10", p),
    **unary("logit", q),
    **binary("add sub mul maximum minimum hypot logaddexp dist"),
    **binary("div pow remainder xlogy fmod", p),
    "softmax": (lambda x: x.softmax(1), [t(*A)]), "log_softmax": (lambda x: x.log_softmax(0), [t(*A)]),
    "relu_": (lambda x: (x * 1).relu_(), [t(*A)]),
    "clamp": (lambda x, a, b: x.clamp(a, b), [t(*A), t(4, low=-1), t(4, low=0.2)]),
    "clip": (lambda x: x.clip(-0.5, 0.7), [t(*A)]),
    "clamp_min": (lambda x: x.clamp_min(0.1), [t(*A)]), "clamp_max": (lambda x: x.clamp_max(0.1), [t(*A)]),
    "reshape": (lambda x: x.reshape(2, 6), [t(*A)]), "unsqueeze": (lambda x: x.unsqueeze(1), [t(*A)]),
    "permute": (lambda x: x.permute(2, 0, 1), [t(2, 3, 4)]), "transpose": (lambda x: x.transpose(0, 2), [t(2, 3, 4)]),
    "expand": (lambda x: x.expand(3, 2, 4), [t(2, 1)]), "gather": (lambda x: x.gather(0, PLACES), [t(*A)]),
    "index_add": (lambda x, y: x.index_add(1, ints(0, 3, 0), y, alpha=2), [t(*A), t(3, 3)]),
    "index_select": (lambda x: x.index_select(1, ints(3, 0, 3)), [t(*A)]),
    "masked_fill": (lambda x, v: x.masked_fill(MASK, v), [t(*A), t()]),
    "masked_select": (lambda x: x.masked_select(MASK), [t(*A)]),
    "scatter": (lambda x, y: x.scatter(0, ints([0, 2, 1, 0]), y), [t(*A), t(1, 4)]),
    "scatter/part": (lambda x, y: x.scatter(0, ints([0, 2], [1, 1]), y), [t(*A), t(2, 2)]),
    "scatter_add": (lambda x, y: x.scatter_add(0, PLACES, y), [t(*A), t(*A, seed=1)]),
    "take_along_dim": (lambda x: x.take_along_dim(PLACES, 0), [t(*A)]),
    "chunk": (lambda x: x.chunk(2, 1)[1], [t(*A)]), "split": (lambda x: x.split([1, 2])[1], [t(*A)]),
    "cumsum": (lambda x: x.cumsum(1), [t(*A)]), "flip": (lambda x: x.flip(0, 1), [t(*A)]),
    "roll": (lambda x: x.roll((1, 2), (0, 1)), [t(*A)]), "quantile": (lambda x: x.quantile(0.3, 1), [t(*A)]),
    "kthvalue": (lambda x: x.kthvalue(2), [t(*A)]), "msort": (lambda x: x.msort(), [t(*A)]),
    "nanmedian": (lambda x: x.nanmedian(), [t(*A)]), "sort": (lambda x: x.sort(0, descending=True), [t(*A)]),
    "topk": (lambda x: x.topk(2, 0), [t(*A)]), "matmul": (fastdl.matmul, [t(2, 3, 4), t(4, 2)]),
    "mm": (fastdl.mm, [t(*A), t(*B)]), "bmm": (fastdl.bmm, [t(2, 3, 4), t(2, 4, 3)]),
    "dot": (fastdl.dot, [t(5), t(5, seed=1)]),
    "mv": (fastdl.mv, [t(*A), t(4)]), "outer": (fastdl.outer, [t(3), t(4)]), "inner": (fastdl.inner, [t(*A), t(2, 4)]),
    "addmm": (lambda c, a, b: fastdl.addmm(c, a, b, beta=0.5, alpha=2), [t(3, 3), t(*A), t(*B)]),
    "baddbmm": (fastdl.baddbmm, [t(2, 3, 3), t(2, 3, 4), t(2, 4, 3)]),
    "lerp": (fastdl.lerp, [t(*A), t(*A, seed=1), t(4)]), "addcmul": (fastdl.addcmul, [t(*A), t(4), t(3, 1)]),
    "addcdiv": (fastdl.addcdiv, [t(*A), t(4), p(3, 1)]), "nan_to_num": (fastdl.nan_to_num, [t(*A)]),
    "diagonal": (lambda x: x.diagonal(1), [t(*A)]), "diag_embed": (lambda x: x.diag_embed(1), [t(*A)]),
    "trace": (fastdl.trace, [t(3, 3)]), "repeat": (lambda x: x.repeat(2, 1, 2), [t(*A)]),
    "tile": (lambda x: x.tile(2, 2), [t(*A)]), "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), [t(*A)]),
    "repeat_interleave/lines": (lambda x: x.repeat_interleave(3, 0), [t(3, 16)]),
    "broadcast_to": (lambda x: x.broadcast_to((2, 3, 4)), [t(*A)]),
    "expand_as": (lambda x: x.expand_as(fastdl.zeros(3, 4)), [t(1, 4)]),
    "view_as": (lambda x: x.view_as(fastdl.zeros(2, 6)), [t(*A)]), "select": (lambda x: x.select(1, 2), [t(*A)]),
    "narrow": (lambda x: x.narrow(1, 1, 2), [t(*A)]), "tensor_split": (lambda x: x.tensor_split(3, 1)[0], [t(*A)]),
    "unflatten": (lambda x: x.unflatten(1, (2, 2)), [t(*A)]), "movedim": (lambda x: x.movedim(0, 1), [t(*A)]),
    "take": (lambda x: x.take(ints(0, 5, 5)), [t(*A)]), "unfold": (lambda x: x.unfold(1, 3, 1), [t(*A)]),
    "index_fill": (lambda x: x.index_fill(1, ints(0, 2), 1.5), [t(*A)]),
    "index_copy": (lambda x, y: x.index_copy(0, ints(2, 0), y), [t(*A), t(2, 4)]),
    "index_put": (lambda x, y: x.index_put((ints(0, 2, 0),), y, True), [t(*A), t(3, 4, seed=1)]),
    "masked_scatter": (lambda x, y: x.masked_scatter(MASK, y), [t(*A), t(6)]),
    "scatter_reduce": (lambda x, y: x.scatter_reduce(0, PLACES, y, "mean"), [t(*A), t(*A, seed=1)]),
    "rot90": (lambda x: x.rot90(), [t(*A)]), "cross": (fastdl.cross, [t(2, 3), t(2, 3, seed=1)]),
    "kron": (fastdl.kron, [t(2, 3), t(4)]), "diff": (lambda x: x.diff(2), [t(*A)]),
    "cov": (fastdl.cov, [t(*A)]), "corrcoef": (fastdl.corrcoef, [t(*A)]),
    "cumprod": (lambda x: x.cumprod(1), [t(*A)]), "aminmax": (lambda x: tuple(x.aminmax(dim=1)), [t(*A)]),
    "logsumexp": (lambda x: x.logsumexp(1), [t(*A)]), "cummax": (lambda x: x.cummax(1), [t(*A)]),
    "cummin": (lambda x: x.cummin(1), [t(*A)]),
}  # fmt: skip

FUNCTIONS = {
    **layers("celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu "
             "sigmoid silu softplus softshrink softsign tanh tanhshrink flatten glu"),
    "relu_": (lambda x: F.relu_(x * 1), [t(*A)]), "threshold": (lambda x: F.threshold(x, 0.2, -1.0), [t(*A)]),
    "prelu": (F.prelu, [t(2, 3, 4), t(3)]), "rrelu": (lambda x: F.rrelu(x), [t(*A)]),
    "softmax": (lambda x: F.softmax(x, 0), [t(*A)]), "softmin": (lambda x: F.softmin(x, 1), [t(*A)]),
    "log_softmax": (lambda x: F.log_softmax(x, 1), [t(*A)]),
    "gumbel_softmax": (seeded(lambda x: F.gumbel_softmax(x)), [t(*A)]),
    "dropout": (seeded(lambda x: F.dropout(x, 0.4)), [t(*A)]),
    "dropout1d": (seeded(lambda x: F.dropout1d(x, 0.4)), [t(*LINE)]),
    "dropout2d": (seeded(lambda x: F.dropout2d(x, 0.4)), [t(2, 4, 3, 3)]),
    "dropout3d": (seeded(lambda x: F.dropout3d(x, 0.4)), [t(2, 4, 2, 2, 2)]),
    "alpha_dropout": (seeded(lambda x: F.alpha_dropout(x, 0.4, True)), [t(*A)]),
    "linear": (F.linear, [t(3, 4), t(2, 4), t(2)]), "bilinear": (F.bilinear, [t(3, 4), t(3, 2), t(5, 4, 2), t(5)]),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, 2, 1), [t(*LINE), t(3, 4, 3), t(3)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, 1, 1, 2, 2), [t(1, 4, 5, 5), t(4, 2, 3, 3), t(4)]),
    "conv_transpose1d": (lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1), [t(*LINE), t(4, 2, 3), t(2)]),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), [t(1, 2, 3, 3), t(2, 2, 3, 3), t(2)]),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), [t(*LINE)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [t(*PLANE)]),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 3, 2, 1), [t(*LINE)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), [t(*PLANE)]),
    "lp_pool1d": (lambda x: F.lp_pool1d(x, 2.0, 2), [p(*LINE)]),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2.0, 2), [p(*PLANE)]),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 3), [t(*LINE)]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (4, 2)), [t(*PLANE)]),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 3), [t(*LINE)]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (4, 2)), [t(*PLANE)]),
    "max_unpool1d": (lambda x: max_pooled(F.max_pool1d, F.max_unpool1d, x), [t(*LINE)]),
    "max_unpool2d": (lambda x: max_pooled(F.max_pool2d, F.max_unpool2d, x), [t(*PLANE)]),
    "bed_of_nails_unpool2d": (lambda x: F.bed_of_nails_unpool2d(x, 2), [t(1, 2, 3, 3)]),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2.0), [t(1, 2, 3, 3)]),
    "upsample": (lambda x: F.upsample(x, scale_factor=2), [t(1, 2, 3, 3)]),
    "interpolate/bilinear": (lambda x: F.interpolate(x, (5, 4), mode="bilinear"), [t(1, 2, 3, 3)]),
    "affine_grid": (lambda x: F.affine_grid(x, (2, 1, 3, 4)), [t(2, 2, 3)]),
    "grid_sample": (F.grid_sample, [t(1, 2, 3, 4), GRID]),
    "grid_sample/border": (lambda x, g: F.grid_sample(x, g, "bilinear", "border", True), [t(1, 2, 3, 4), GRID]),
    "grid_sample/cubic": (lambda x, g: F.grid_sample(x, g, "bicubic", "reflection"), [t(1, 2, 3, 4), GRID]),
    "grid_sample/volumes": (F.grid_sample, [t(1, 2, 2, 3, 4), GRID.detach().reshape(1, 2, 2, 1, 3).requires_grad_()]),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), [t(1, 4, 2, 3)]),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), [t(1, 2, 4, 2)]),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), [t(*PLANE)]),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 1), "reflect"), [t(1, 2, 4, 4)]),
    "pad/replicate": (lambda x: F.pad(x, (2, 1), "replicate"), [t(*LINE)]),
    "pad/constant": (lambda x: F.pad(x, (1, 2)), [t(*A)]),
    "fold": (lambda x: F.fold(x, (4, 4), 2), [t(1, 8, 9)]), "unfold": (lambda x: F.unfold(x, 2), [t(1, 2, 4, 4)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [t(3, 4, 5), t(4), t(4, seed=1)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), [t(*A), t(4), t(4, seed=1)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), [t(*LINE), t(4), t(4, seed=1)]),
    "instance_norm": (lambda x, w: F.instance_norm(x, weight=w), [t(*LINE), t(4)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (4,), w), [t(*A), t(4)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.1), [t(1, 4, 2, 2)]),
    "embedding": (lambda w: F.embedding(ints([0, 2, 2]), w), [t(*A)]),
    "embedding_bag": (lambda w, s: F.embedding_bag(ints([0, 2], [1, 1]), w, mode="sum", per_sample_weights=s),
        [t(*A), t(2, 2)]),
    "cdist": (F.cdist, [t(3, 4), t(2, 4)]), "pdist": (F.pdist, [t(*A)]),
    "pairwise_distance": (F.pairwise_distance, [t(*A), t(*A, seed=1)]),
    "cosine_similarity": (F.cosine_similarity, [t(*A), t(*A, seed=1)]), "normalize": (F.normalize, [t(*A)]),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, [t(2, 3, 4), t(2, 5, 4), t(2, 5, 4, seed=1)]),
    "rnn_tanh_cell": (F.rnn_tanh_cell, [t(2, 3), t(2, 4), t(4, 3), t(4, 4), t(4), t(4, seed=1)]),
    "rnn_relu_cell": (F.rnn_relu_cell, [t(2, 3), t(2, 4), t(4, 3), t(4, 4), t(4), t(4, seed=1)]),
    "gru_cell": (F.gru_cell, [t(2, 3), t(2, 4), t(12, 3), t(12, 4), t(12), t(12, seed=1)]),
    "lstm_cell": (lambda x, h, c, *w: F.lstm_cell(x, (h, c), *w), [t(2, 3), t(2, 4), t(2, 4, seed=1), t(16, 3),
        t(16, 4), t(16), t(16, seed=1)]),
    "lstm_projected": (lambda x, h, c, *w: F.lstm_projected(x, w, h, c), [t(3, 2, 3), t(1, 2, 2), t(1, 2, 3), t(12, 3),
        t(12, 2), t(12), t(12, seed=1), t(2, 3)]),
    "recurrent": (recurrent_net("LSTM"), [t(4, 2, 3)]), "recurrent/gru": (recurrent_net("GRU"), [t(4, 2, 3)]),
    "recurrent/rnn": (recurrent_net("RNN"), [t(4, 2, 3)]), "recurrent/lengths": (sequences, [t(4, 3, 2)]),
    **losses("mse_loss l1_loss smooth_l1_loss huber_loss rmse_loss mape_loss", t(*A, seed=1)),
    "msle_loss": (F.msle_loss, [p(*A), p(*A, seed=1)]),
    **losses("hinge_embedding_loss soft_margin_loss hinge_loss", SIGNS), **losses("binary_cross_entropy", BITS, q),
    **losses("binary_cross_entropy_with_logits multilabel_soft_margin_loss poisson_nll_loss", BITS),
    **losses("cross_entropy multi_margin_loss nll_loss", CLASSES),
    "cross_entropy/shares": (lambda x: F.cross_entropy(x, fastdl.softmax(t(*A, seed=2).detach(), 1)), [t(*A)]),
    "kl_div": (lambda x, y: F.kl_div(x.log_softmax(1), y, reduction="batchmean"), [t(*A), q(*A)]),
    "cosine_embedding_loss": (lambda x, y: F.cosine_embedding_loss(x, y, SIGNS[:, 0]), [t(*A), t(*A, seed=1)]),
    "margin_ranking_loss": (lambda x, y: F.margin_ranking_loss(x, y, SIGNS, 0.3), [t(*A), t(*A, seed=1)]),
    "gaussian_nll_loss": (F.gaussian_nll_loss, [t(*A), t(*A, seed=1), p(*A)]),
    "triplet_margin_loss": (F.triplet_margin_loss, [t(*A), t(*A, seed=1), t(*A, seed=2)]),
    "triplet_margin_with_distance_loss": (F.triplet_margin_with_distance_loss, [t(*A), t(*A, seed=1), t(*A, seed=2)]),
    "roi_pool": (lambda x: ops.roi_pool(x, BOXES, 2), [t(*PLANE)]),
    "roi_align": (lambda x: ops.roi_align(x, BOXES, 2, 1.0, 2), [t(*PLANE)]),
}  # fmt: skip

OPERATORS = {
    "x[...]": (lambda x: x[1:, ::2], [t(*A)]), "x[places]": (lambda x: x[[0, 2], [1, 1]], [t(*A)]),
    "x[mask]": (lambda x: x[MASK], [t(*A)]), "x[...] = y": (assigned, [t(*A), t(2, 2)]), "x *= y": (in_place, [t(*A)]),
    "-x": (lambda x: -x, [t(*A)]), "x + 1": (lambda x: 1 + x, [t(*A)]), "1 - x": (lambda x: 1 - x, [t(*A)]),
    "x * 2": (lambda x: 2 * x, [t(*A)]), "x / 2": (lambda x: x / 2, [t(*A)]), "2 / x": (lambda x: 2 / x, [p(*A)]),
    "x ** 3": (lambda x: x**3, [t(*A)]), "2 ** x": (lambda x: 2**x, [t(*A)]),
    "x @ y": (lambda x, y: x @ y, [t(*A), t(*B)]),
    "cat": (lambda x, y: fastdl.cat([x, y], 1), [t(*A), t(3, 2)]),
    "stack": (lambda x, y: fastdl.stack([x, y]), [t(*A), t(*A, seed=1)]),
    "where": (lambda x, y: fastdl.where(MASK, x, y), [t(*A), t(4)]),
    "einsum": (lambda x, y: fastdl.einsum("ij,kj->ki", x, y), [t(*A), t(2, 4)]),
    "to(device)": (lambda x: x.to("reference").to("cpu"), [t(*A)]),
    "norm(p)": (lambda x: x.norm(3, dim=1), [t(*A)]), "values": (lambda x: x.max(1), [t(*A)]),
}  # fmt: skip
CASES = {f"Tensor.{k}": v for k, v in METHODS.items()} | {f"F.{k}": v for k, v in FUNCTIONS.items()} | OPERATORS
WITHOUT_GRADIENTS = {  # integers, truth values, steps, and draws
    "argwhere", "unique_consecutive", "histc", "heaviside", "isneginf", "isposinf", "signbit",
    "floor_divide", "sign", "floor", "ceil", "round", "trunc", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_not", "logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf", "isfinite",
    "eq", "ne", "lt", "le", "gt", "ge", "equal", "allclose", "argmax", "argmin", "nonzero", "unique", "argsort",
    "isclose", "any", "all", "count_nonzero", "bincount", "multinomial", "bernoulli", "fill_", "zero_", "copy_",
    "uniform_", "normal_", "bernoulli_", "random_", "one_hot",
}  # fmt: skip
# `_cast_bwd` passes between dtypes, which central differences in one dtype cannot follow (test_autograd does);
# `_forgotten_bwd` has no gradient; the tape's own nodes pass on what they are given.
UNCHECKED_RULES = {"_cast_bwd", "_forgotten_bwd"}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, inputs = CASES[name]
    assert gradcheck(function, inputs)


def test_every_function_is_in_the_table():
    public = {f"Tensor.{name}" for names in methods._FUNCTIONS.values() for name in names.split()}
    public |= {f"F.{name}" for name in F.__all__}
    covered = {name.partition("/")[0] for name in CASES}
    missing = {name for name in public - covered if name.partition(".")[2] not in WITHOUT_GRADIENTS}
    assert missing == set()


def rules():
    """Names of all rules: functions of (node, g) whose names end in _bwd."""
    found = set()
    for module in pkgutil.walk_packages(fastdl.__path__, "fastdl."):
        if "backends" not in module.name and "._" not in module.name and module.name != "fastdl.info":
            for name, f in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
                if name.endswith("_bwd") and list(inspect.signature(f).parameters)[:1] == ["node"]:
                    found.add(name)
    return found


def rules_of(outs):
    """Names of the rules that stand on the tape of some outputs."""
    found, waiting, seen = set(), [o._node for o in outs if isinstance(o, fastdl.Tensor)], set()
    while waiting:
        node = waiting.pop()
        if hasattr(node, "edges") and id(node) not in seen:
            seen.add(id(node))
            found.add(node.rule.__name__)
            waiting += node.edges
    return found


def test_every_rule_of_the_tape_is_checked():
    checked = set()
    for function, inputs in CASES.values():
        out = function(*inputs)
        checked |= rules_of(out if isinstance(out, tuple | list) else [out])
    for case in all_cases():
        for attributes in (case.gradcheck_sizes if case.gradcheck_sizes is not None else case.sizes[:1]) or []:
            inputs = case.tensors(case.make(attributes, seed=2), "cpu", "float64")
            out = case.call(*inputs, **case.call_attributes(attributes))
            checked |= rules_of(out if isinstance(out, tuple | list) else [out])
    assert rules() - checked - UNCHECKED_RULES == set()


def test_every_record_names_a_rule():
    """What is put on the tape is a rule that the test above knows, or comes from these places."""
    own = {"autograd.py", "elementary.py", "angles.py", "blending.py", "function.py", "activation.py", "hooks.py"}
    for path in Path(fastdl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            # (The `record` of an event of a stream has one argument.)
            if isinstance(node, ast.Call) and name in ("record", "record_pair", "record_several") and node.args[1:]:
                rule = getattr(node.args[1], "id", "")
                assert rule.endswith("_bwd") or path.name in own, f"{path.name}:{node.lineno}"


def test_functions_of_users_are_checked_alike():
    class Cube(fastdl.autograd.Function):
        factor = 3.0

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @classmethod
        def backward(cls, ctx, g):
            return g * cls.factor * ctx.saved_tensors[0] ** 2

    assert gradcheck(Cube.apply, [t(*A)])
    Cube.factor = 2.9
    with pytest.raises(AssertionError, match=r"\[gradcheck\] gradient of input 0: element"):
        gradcheck(Cube.apply, [t(*A)])
