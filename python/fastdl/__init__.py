"""fastdl: deep learning on its own kernels, under PyTorch's names.

>>> import fastdl
>>> x = fastdl.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0, 6.0]
"""

import importlib as _importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from . import autograd, backends, dtypes, functional, nn
from .autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .creation import (
    TensorType,
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .dtypes import (
    bfloat16,
    bool,
    can_cast,
    double,
    dtype,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    uint8,
)
from .functional import (
    adaptive_avg_pool1d,
    alpha_dropout,
    avg_pool1d,
    bilinear,
    binary_cross_entropy_with_logits,
    celu,
    channel_shuffle,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    cosine_similarity,
    dropout,
    layer_norm,
    max_pool1d,
    max_pool2d,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    prelu,
    relu_,
    rms_norm,
    selu,
    threshold,
)
from .functional import methods as _methods
from .functional.activation import log_softmax, relu, sigmoid, softmax, tanh
from .functional.angles import acos, asin, atan, atan2, copysign, hypot, signbit, sinc, tan
from .functional.arithmetic import add, div, maximum, minimum, mul, pow, sub
from .functional.blending import addcdiv, addcmul, lerp, logaddexp, logaddexp2, nan_to_num
from .functional.comparison import allclose, clamp, clip, eq, equal, ge, gt, le, lt, ne, where
from .functional.compositions import (
    clamp_max,
    clamp_min,
    float_power,
    fmax,
    fmin,
    heaviside,
    isclose,
    isneginf,
    isposinf,
    ldexp,
    logit,
    positive,
    rsub,
    xlogy,
)
from .functional.cumulative import cummax, cummin, cumprod, cumsum, logcumsumexp
from .functional.diagonals import diag, diag_embed, diagonal, trace, tril, tril_indices, triu, triu_indices
from .functional.distance import cdist
from .functional.division import floor_divide, fmod, remainder
from .functional.einsum import einsum
from .functional.elementary import (
    abs,
    acosh,
    asinh,
    atanh,
    ceil,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    frac,
    log,
    log1p,
    log2,
    log10,
    neg,
    reciprocal,
    round,
    rsqrt,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    trunc,
)
from .functional.gathering import (
    addmv,
    addr,
    atleast_3d,
    broadcast_shapes,
    combinations,
    diagflat,
    dstack,
    histogram,
    hsplit,
    mode,
    unravel_index,
    vander,
    vsplit,
)
from .functional.indexing import (
    gather,
    index_add,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    scatter,
    scatter_add,
    take_along_dim,
)
from .functional.layout import cat, clone, flatten, permute, reshape, squeeze, stack, t, transpose, unsqueeze
from .functional.logical import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    isfinite,
    isinf,
    isnan,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from .functional.measures import (
    block_diag,
    corrcoef,
    cov,
    deg2rad,
    diff,
    histc,
    nanmean,
    nansum,
    rad2deg,
    trapezoid,
)
from .functional.product import addmm, baddbmm, bmm, dot, inner, matmul, mm, mv, outer, tensordot
from .functional.rearranging import chunk, flip, roll, split
from .functional.reduction import amax, amin, argmax, argmin, max, mean, min, std, sum, var
from .functional.searching import bucketize, quantile, searchsorted, unique
from .functional.selecting import (
    argwhere,
    cross,
    index_copy,
    index_fill,
    index_put,
    isin,
    kron,
    masked_scatter,
    rot90,
    scatter_reduce,
    unique_consecutive,
)
from .functional.shaping import (
    atleast_1d,
    atleast_2d,
    broadcast_tensors,
    broadcast_to,
    cartesian_prod,
    column_stack,
    fliplr,
    flipud,
    hstack,
    meshgrid,
    movedim,
    narrow,
    repeat_interleave,
    select,
    take,
    tensor_split,
    tile,
    unbind,
    unflatten,
    vstack,
)
from .functional.sorting import argsort, kthvalue, median, msort, nanmedian, sort, topk
from .functional.statistics import (
    all,
    aminmax,
    any,
    bincount,
    count_nonzero,
    dist,
    logsumexp,
    norm,
    prod,
    std_mean,
    var_mean,
)
from .printing import set_printoptions
from .random import Generator, get_rng_state, initial_seed, manual_seed, set_rng_state
from .sampling import bernoulli, multinomial, normal, poisson
from .saving import load, save
from .settings import (
    empty_cache,
    get_conv_algorithm,
    get_float32_matmul_precision,
    get_num_threads,
    memory_stats,
    set_conv_algorithm,
    set_float32_matmul_precision,
    set_num_threads,
    use_deterministic_algorithms,
)
from .tensor import Tensor, device, is_floating_point, is_tensor, numel

concat = concatenate = cat
swapaxes = swapdims = transpose
ravel = flatten
moveaxis = movedim
absolute, negative, multiply, divide, subtract = abs, neg, mul, div, sub
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
true_divide, fix, sgn, ger, trapz, asarray = div, trunc, sign, outer, trapezoid, as_tensor
arcsin, arccos, arctan, arctan2, arcsinh, arccosh, arctanh = asin, acos, atan, atan2, asinh, acosh, atanh
FloatTensor, DoubleTensor, LongTensor = TensorType("float32"), TensorType("float64"), TensorType("int64")
IntTensor, ByteTensor, BoolTensor = TensorType("int32"), TensorType("uint8"), TensorType("bool")
newaxis = None
Size = tuple  # shapes are plain tuples

for _name in _methods.WITH_AXIS.split():
    globals()[_name] = _methods.numpy_names(globals()[_name])

__version__ = "0.1.0"

# Loaded when they are asked for: packages that not every program needs, and names out of them.
_OFTEN = ("amp", "cuda", "distributions", "emu", "linalg", "ops", "optim", "utils")  # `from fastdl import *` has them
_LATER = (
    *_OFTEN, "checkpoint", "data", "models", "onnx", "plan", "sklearn", "testing", "train", "validation", "viz",
)  # fmt: skip
_LATER_NAMES = {
    "autocast": "amp.autocast", "compile": "plan.compile", "det": "linalg.det", "inverse": "linalg.inv",
    "get_autocast_dtype": "amp.get_autocast_dtype", "is_autocast_enabled": "amp.is_autocast_enabled",
    "summary": "nn.summary.summary",
}  # fmt: skip

if _TYPE_CHECKING:
    from . import amp, cuda, distributions, emu, linalg, ops, optim, plan, utils
    from .amp import autocast, get_autocast_dtype, is_autocast_enabled
    from .linalg import det
    from .linalg import inv as inverse
    from .nn.summary import summary
    from .plan import compile


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _importlib.import_module(f".{name}", __name__)
    if name in _LATER_NAMES:
        package, _, its_name = _LATER_NAMES[name].rpartition(".")
        found = globals()[name] = getattr(_importlib.import_module(f".{package}", __name__), its_name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_LATER_NAMES})


__all__ = [_name for _name in (*globals(), *_OFTEN, *_LATER_NAMES) if not _name.startswith("_")]
