"""What a backend is: a module with these functions.

`fastdl.backends.cpu`, `.cuda`, `.emu` (compiled) and `.reference` (NumPy) all have them, with the same arguments in the
same order; `tests/test_repo.py` compares. `Array` stands for the backend's own contiguous array, with attributes
`shape`, `dtype`, `ndim` and `size` (`numpy.ndarray` for the reference).

Rules. Calls are positional. Axes are normalised by the caller: non-negative, sorted, without repetition. Shapes and
attribute pairs are tuples of int. Operands have equal dtypes unless said otherwise. Every function checks its
arguments and raises ``ValueError``, ``TypeError``, ``IndexError`` or ``NotImplementedError`` with
``[op] expected X, got Y`` before it touches memory. Names that end in an underscore write into their first argument
and return None.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .elementwise_surface import ElementwiseFunctions
from .optimizer_surface import OptimizerSteps

Array = Any
Pair = tuple[int, int]
Shape = tuple[int, ...]


class Backend(ElementwiseFunctions, OptimizerSteps, Protocol):
    # arrays
    def empty(self, shape: Shape, dtype: str) -> Array: ...
    def from_numpy(self, source: np.ndarray, share: bool) -> Array: ...  # C-contiguous source
    def to_numpy(self, a: Array) -> np.ndarray: ...  # shares memory where the device is the CPU
    def to_dlpack(self, a: Array, versioned: bool) -> Any: ...  # a capsule; of DLPack 1 or 0
    def from_dlpack(self, capsule: Any) -> Array: ...
    def dlpack_device(self) -> Pair: ...
    def reshape(self, a: Array, shape: Shape) -> Array: ...  # shares the memory
    def memory_stats(self) -> dict[str, int]: ...  # bytes: allocated, cached, peak
    def empty_cache(self) -> None: ...

    # reduce/ (empty axes: a copy; amax, amin of no elements: ValueError)
    def sum(self, x: Array, axes: Shape, keepdim: bool) -> Array: ...
    def mean(self, x: Array, axes: Shape, keepdim: bool) -> Array: ...
    # the sum of (x - center)^2; center has as many elements as the result, None is 0
    def squared_deviations(self, x: Array, center: Array | None, axes: Shape, keepdim: bool) -> Array: ...
    def amax(self, x: Array, axes: Shape, keepdim: bool) -> Array: ...
    def amin(self, x: Array, axes: Shape, keepdim: bool) -> Array: ...
    def prod(self, x: Array, axes: Shape, keepdim: bool) -> Array: ...
    # grad and out with the axis or without
    def prod_bwd(self, grad: Array, x: Array, out: Array, axis: int) -> Array: ...
    # int64 counts of floats in equal parts of [low, high], or of the integers 0 to bins - 1; others count nowhere
    def histogram(self, x: Array, bins: int, low: float, high: float) -> Array: ...
    def argmax(self, x: Array, axis: int, keepdim: bool) -> Array: ...  # int64
    def argmin(self, x: Array, axis: int, keepdim: bool) -> Array: ...

    # layout/ (every dtype)
    def permute(self, x: Array, dims: Shape) -> Array: ...
    def flip(self, x: Array, axes: Shape) -> Array: ...  # backwards
    def rot90(self, x: Array, k: int, a: int, b: int) -> Array: ...  # k quarters, 0 to 3, from axis a towards b
    def unfold(self, x: Array, axis: int, size: int, step: int) -> Array: ...  # windows, as a last axis
    def roll(self, x: Array, shifts: Shape) -> Array: ...  # one an axis, of any size and sign
    def broadcast_to(self, x: Array, shape: Shape) -> Array: ...
    def concat(self, arrays: Sequence[Array], axis: int) -> Array: ...
    def slice(self, x: Array, starts: Shape, lengths: Shape, steps: Shape) -> Array: ...  # one of each per axis
    def slice_bwd(self, grad: Array, shape: Shape, starts: Shape, steps: Shape) -> Array: ...  # zeros elsewhere
    # of axes a and b as a last axis, `offset` above the main one; the gradient: zeros elsewhere
    def diagonal(self, x: Array, offset: int, a: int, b: int) -> Array: ...
    def diagonal_bwd(self, grad: Array, shape: Shape, offset: int, a: int, b: int) -> Array: ...
    def slice_assign_(self, x: Array, value: Array, starts: Shape, steps: Shape) -> None: ...
    # axes that go on: mode "reflect", "replicate", "circular"; numbers below 0 cut off. The gradient: float dtypes,
    # padding of the last three axes
    def pad(self, x: Array, before: Shape, after: Shape, mode: str) -> Array: ...
    def pad_bwd(self, grad: Array, shape: Shape, before: Shape, mode: str) -> Array: ...
    def tril(self, x: Array, diagonal: int) -> Array: ...  # (*, n, m), zeros elsewhere
    def triu(self, x: Array, diagonal: int) -> Array: ...

    # matmul/ (float dtypes). Operands have at least two axes; leading axes broadcast.
    # activation: "none", "relu", "relu6", "sigmoid", "tanh", "silu", "hardsigmoid", "hardswish"
    def matmul(self, a: Array, b: Array, trans_a: bool, trans_b: bool) -> Array: ...
    def linear(self, x: Array, weight: Array, bias: Array | None, activation: str) -> Array: ...  # x (..., in)

    # conv2d/ padding: (top, bottom, left, right); the residual, of the result's shape, is added before the activation
    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Shape, dilation: Pair, groups: int,
        activation: str, residual: Array | None,
    ) -> Array: ...  # fmt: skip
    def conv2d_bwd_input(
        self, grad: Array, weight: Array, input_hw: Pair, stride: Pair, padding: Shape, dilation: Pair, groups: int
    ) -> Array: ...
    def conv2d_bwd_weight(
        self, grad: Array, x: Array, kernel_hw: Pair, stride: Pair, padding: Shape, dilation: Pair, groups: int
    ) -> Array: ...

    # conv_transpose2d/ weight (C, O / groups, kernel_h, kernel_w)
    def conv_transpose2d(
        self, x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, output_padding: Pair,
        dilation: Pair, groups: int,
    ) -> Array: ...  # fmt: skip
    def conv_transpose2d_bwd_input(
        self, grad: Array, weight: Array, input_hw: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Array: ...
    def conv_transpose2d_bwd_weight(
        self, grad: Array, x: Array, kernel_hw: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
    ) -> Array: ...

    # max_pool2d/ x (N, C, H, W) -> (out, indices into each plane or None); `indices`: "int32", "int64" or None
    def max_pool2d(
        self, x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, indices: str | None
    ) -> tuple[Array, Array | None]: ...
    def max_pool2d_bwd(
        self, grad: Array, indices: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    ) -> Array: ...

    # avg_pool2d/ divisor 0: the number of elements of each window
    def avg_pool2d(
        self, x: Array, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool,
        divisor: int,
    ) -> Array: ...  # fmt: skip
    def avg_pool2d_bwd(
        self, grad: Array, input_hw: Pair, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool,
        divisor: int,
    ) -> Array: ...  # fmt: skip

    # adaptive_pool2d/ (indices int64 from the forward pass, int32 or int64 in the gradient)
    def adaptive_avg_pool2d(self, x: Array, output_hw: Pair) -> Array: ...
    def adaptive_avg_pool2d_bwd(self, grad: Array, input_hw: Pair) -> Array: ...
    def adaptive_max_pool2d(self, x: Array, output_hw: Pair) -> tuple[Array, Array]: ...
    def adaptive_max_pool2d_bwd(self, grad: Array, indices: Array, input_hw: Pair) -> Array: ...

    # max_unpool2d/ indices int32 or int64 into planes of output_hw; the last of several values that meet stays
    def max_unpool2d(self, x: Array, indices: Array, output_hw: Pair) -> Array: ...
    def max_unpool2d_bwd(self, grad: Array, indices: Array) -> Array: ...
    def bed_of_nails(self, x: Array, kernel: Pair) -> Array: ...  # each value to the corner of a window of zeros
    def bed_of_nails_bwd(self, grad: Array, kernel: Pair) -> Array: ...

    # upsample/ a scale is output over input size; 0: the quotient of the sizes
    def upsample_nearest2d(self, x: Array, output_hw: Pair, scale_h: float, scale_w: float) -> Array: ...
    def upsample_nearest2d_bwd(self, grad: Array, input_hw: Pair, scale_h: float, scale_w: float) -> Array: ...
    def upsample_bilinear2d(
        self, x: Array, output_hw: Pair, align_corners: bool, scale_h: float, scale_w: float
    ) -> Array: ...
    def upsample_bilinear2d_bwd(
        self, grad: Array, input_hw: Pair, align_corners: bool, scale_h: float, scale_w: float
    ) -> Array: ...

    # pixel_shuffle/ (N, C * r^2, H, W) <-> (N, C, H * r, W * r)
    def pixel_shuffle(self, x: Array, factor: int) -> Array: ...
    def pixel_unshuffle(self, x: Array, factor: int) -> Array: ...
    # batch_norm/ x (N, C, S); the others (C,) or None. In training running_mean and running_var change in place, unless
    # the batch has no elements; outside it they are what the result is normalised with. -> (out, mean (C,), rstd (C,))
    def batch_norm(
        self, x: Array, weight: Array | None, bias: Array | None, running_mean: Array | None,
        running_var: Array | None, train: bool, momentum: float, eps: float,
    ) -> tuple[Array, Array, Array]: ...  # fmt: skip
    # -> (grad_x or None, grad_weight, grad_bias)
    def batch_norm_bwd(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, train: bool, needs_x: bool
    ) -> tuple[Array | None, Array, Array]: ...

    # layer_norm/ x (R, n), weight and bias (n,) or None -> (out, mean (R,), rstd (R,))
    def layer_norm(
        self, x: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]: ...
    # -> (grad_x, grad_weight, grad_bias), None where not needed
    def layer_norm_bwd(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, needs_x: bool,
        needs_parameters: bool,
    ) -> tuple[Array | None, Array | None, Array | None]: ...  # fmt: skip

    # group_norm/ x (N, C, S), weight and bias (C,) or None -> (out, mean (N * groups,), rstd (N * groups,))
    def group_norm(
        self, x: Array, weight: Array | None, bias: Array | None, groups: int, eps: float
    ) -> tuple[Array, Array, Array]: ...
    # -> (grad_x or None, grad_weight, grad_bias)
    def group_norm_bwd(
        self, grad: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, groups: int, needs_x: bool
    ) -> tuple[Array | None, Array, Array]: ...

    # local_response_norm/ x (N, C, S); windows of `size` channels, from c - size // 2 on
    def local_response_norm(self, x: Array, size: int, alpha: float, beta: float, k: float) -> Array: ...
    def local_response_norm_bwd(
        self, grad: Array, x: Array, size: int, alpha: float, beta: float, k: float
    ) -> Array: ...

    # dropout/ (float dtypes; 0 <= p <= 1). Uses ceil(size / 4) counters from `offset` on; also its own gradient.
    def dropout(self, x: Array, p: float, seed: int, offset: int) -> Array: ...

    # random/ From counter `offset` on: numbers in [low, high), normal ones, integers (int32, int64) in [low, high).
    # Uses ceil(size / 4) counters for float32, else ceil(size / 2).
    def uniform_(self, out: Array, low: float, high: float, seed: int, offset: int) -> None: ...
    def normal_(self, out: Array, mean: float, std: float, seed: int, offset: int) -> None: ...
    def random_(self, out: Array, low: int, high: int, seed: int, offset: int) -> None: ...

    # softmax/ (float dtypes)
    def softmax(self, x: Array, axis: int) -> Array: ...
    def softmax_bwd(self, grad: Array, out: Array, axis: int) -> Array: ...
    def log_softmax(self, x: Array, axis: int) -> Array: ...
    def log_softmax_bwd(self, grad: Array, out: Array, axis: int) -> Array: ...

    # cross_entropy/ x (N, C, S) float, target (N, S) int64, weight (C,) or None; reduction "none", "mean", "sum"
    # -> (loss: (N, S) or (), lse (N, S), total_weight ())
    def cross_entropy(
        self, x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float, reduction: str
    ) -> tuple[Array, Array, Array]: ...
    def cross_entropy_bwd(
        self, grad: Array, x: Array, target: Array, weight: Array | None, lse: Array, total_weight: Array,
        ignore_index: int, label_smoothing: float, reduction: str,
    ) -> Array: ...  # fmt: skip

    # loss/ (float dtypes): x, target, weight and pos_weight of one shape; names in csrc/ops/loss/loss.h; `a` is the
    # attribute of the loss: beta, delta, margin, least target
    def loss(
        self, x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str, a: float,
        reduction: str,
    ) -> Array: ...  # fmt: skip
    def loss_bwd(
        self, grad: Array, x: Array, target: Array, weight: Array | None, pos_weight: Array | None, name: str,
        a: float, reduction: str, by_target: bool,
    ) -> Array: ...  # fmt: skip

    # boxes/ boxes (N, 4), float dtypes; fmt: "xyxy", "xywh", "cxcywh"
    def box_iou(self, boxes1: Array, boxes2: Array, fmt: str, generalized: bool) -> Array: ...  # (N, M)
    def large_boxes(self, boxes: Array, min_size: float) -> Array: ...  # int64 indices of those with no smaller side

    # nms/ boxes (N, 4) as x1, y1, x2, y2, scores (N,), classes (N,) int64 or None; indices are int64, best score first
    def nms(self, boxes: Array, scores: Array, classes: Array | None, iou_threshold: float) -> Array: ...
    def soft_nms(
        self, boxes: Array, scores: Array, method: str, iou_threshold: float, sigma: float, score_threshold: float
    ) -> tuple[Array, Array]: ...  # (indices, decayed scores); method: "linear", "gaussian"
    # embedding/ weight (V, D) float, index int32 or int64 in [0, V); padding_idx -1: none. `_rows`: gradients of the
    # rows that were looked up only, as (int64 numbers of rows, ascending; their gradients)
    def embedding(self, weight: Array, index: Array) -> Array: ...  # index.shape + (D,)
    def embedding_bwd(self, grad: Array, index: Array, rows: int, padding_idx: int, by_frequency: bool) -> Array: ...
    def embedding_bwd_rows(
        self, grad: Array, index: Array, rows: int, padding_idx: int, by_frequency: bool
    ) -> tuple[Array, Array]: ...
    def embedding_renorm_(self, weight: Array, index: Array, max_norm: float, norm_type: float) -> None: ...
    # bags: index (N,), offsets int64 (B + 1,) from 0 on; mode "sum" (with weights (N,) or None), "mean", "max"
    def embedding_bag(
        self, weight: Array, index: Array, offsets: Array, weights: Array | None, mode: str, padding_idx: int
    ) -> tuple[Array, Array | None]: ...  # (B, D), and for max the rows of the maxima (int64; -1 in empty bags)
    def embedding_bag_bwd(
        self, grad: Array, index: Array, offsets: Array, weights: Array | None, maxima: Array | None, rows: int,
        mode: str, padding_idx: int, by_frequency: bool,
    ) -> Array: ...  # fmt: skip
    def embedding_bag_bwd_rows(
        self, grad: Array, index: Array, offsets: Array, weights: Array | None, maxima: Array | None, rows: int,
        mode: str, padding_idx: int, by_frequency: bool,
    ) -> tuple[Array, Array]: ...  # fmt: skip
    def embedding_bag_bwd_weights(
        self, grad: Array, weight: Array, index: Array, offsets: Array, padding_idx: int
    ) -> Array: ...  # (N,)

    # roi_pool/, roi_align/ x (N, C, H, W), rois (K, 5) as image, x1, y1, x2, y2 -> (K, C, *output_size)
    def roi_pool(
        self, x: Array, rois: Array, output_size: Pair, spatial_scale: float, indices: bool
    ) -> tuple[Array, Array | None]: ...  # (out, indices int32 into each plane, -1 for none, or None)
    def roi_pool_bwd(self, grad: Array, rois: Array, indices: Array, input_shape: Shape) -> Array: ...
    def roi_align(
        self, x: Array, rois: Array, output_size: Pair, spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Array: ...
    def roi_align_bwd(
        self, grad: Array, rois: Array, input_shape: Shape, spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Array: ...
    # gather/ index int64 in [0, size of the axis): one for a line (1-D), or of x's shape but along the axis.
    # Every dtype; sums: float32, float64, int32, int64, in the order of the indices
    def index_select(self, x: Array, index: Array, axis: int) -> Array: ...
    def index_assign_(self, x: Array, index: Array, value: Array, axis: int) -> None: ...  # the last of equals wins
    def index_add(self, source: Array, index: Array, axis: int, size: int) -> Array: ...  # into zeros
    def gather(self, x: Array, index: Array, axis: int) -> Array: ...
    def scatter_(self, x: Array, index: Array, source: Array, axis: int) -> None: ...  # the last of equals wins
    def scatter_add_(self, x: Array, index: Array, source: Array, axis: int) -> None: ...
    def linear_index(self, indices: Sequence[Array], sizes: Shape) -> Array: ...  # negative: from the end
    def nonzero(self, x: Array) -> Array: ...  # (count, ndim) int64

    # scan/ float32, float64, int32, int64 along an axis (logarithms and gradients: floats); reverse: from the end on
    def cumsum(self, x: Array, axis: int, reverse: bool) -> Array: ...
    def cumprod(self, x: Array, axis: int) -> Array: ...
    def cumprod_bwd(self, grad: Array, x: Array, out: Array, axis: int) -> Array: ...
    def logcumsumexp(self, x: Array, axis: int) -> Array: ...
    def logcumsumexp_bwd(self, grad: Array, x: Array, out: Array, axis: int) -> Array: ...
    # (values, indices int64), the last of equals; NaN wins. The gradient of both is where the indices say
    def cummax(self, x: Array, axis: int) -> tuple[Array, Array]: ...
    def cummin(self, x: Array, axis: int) -> tuple[Array, Array]: ...
    def cumextreme_bwd(self, grad: Array, indices: Array, axis: int) -> Array: ...

    # distance/ x (B, P, M), y (B, R, M) float; metric "euclidean", "manhattan", "chebyshev", "minkowski" (with p),
    # "canberra", "hamming"
    def cdist(self, x: Array, y: Array, metric: str, p: float) -> Array: ...  # (B, P, R)
    def cdist_bwd(
        self, grad: Array, out: Array, x: Array, y: Array, metric: str, p: float, transposed: bool
    ) -> Array: ...  # of x; that of y: exchange them, and with `transposed` grad and out are (B, R, P)

    # sort/ NaN after all numbers, -0 = 0, equals by index (in descending order too). Every dtype; from topk on no bool
    def sort(self, x: Array, axis: int, descending: bool) -> tuple[Array, Array]: ...  # (values, indices int64)
    def argsort(self, x: Array, axis: int, descending: bool) -> Array: ...
    def topk(self, x: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]: ...  # the first k, in order
    # the axis becomes 1; k from 1 on; medians are the lower of two: the first NaN, if any, or that of the numbers
    def kthvalue(self, x: Array, k: int, axis: int) -> tuple[Array, Array]: ...
    def median(self, x: Array, axis: int, ignore_nan: bool) -> tuple[Array, Array]: ...
    def chosen_bwd(self, grad: Array, indices: Array, axis: int, size: int) -> Array: ...  # zeros elsewhere
    # sorted (n,) for all x, or (..., n) with x (..., m); how many are below x, or (right) not above
    def searchsorted(self, sorted: Array, x: Array, right: bool) -> Array: ...
    # (n,) and the indices that they had or None -> (the group of equals of each index or None, where groups begin)
    def group_equal(self, sorted: Array, indices: Array | None) -> tuple[Array | None, Array]: ...

    # recurrent/ one layer; mode "rnn_tanh", "rnn_relu", "lstm", "gru"; x (T, N, I), (N, T, I) with batch_first, or
    # packed (rows, I) with batch_sizes (T,) and order (N,) or None, int64 on the host: the j-th longest sequence has
    # place order[j] in the states. Weights of each direction: w_ih, w_hh, or w_ih, w_hh, b_ih, b_hh. States (D, N, H).
    # -> (out, h_n, c_n or None, gates or None, cells or None); the last two are for recurrent_bwd, with training
    def recurrent(
        self, mode: str, x: Array, h0: Array | None, c0: Array | None, weights: Sequence[Array],
        batch_sizes: Array | None, order: Array | None, bidirectional: bool, batch_first: bool, training: bool,
    ) -> tuple[Array, Array, Array | None, Array | None, Array | None]: ...  # fmt: skip
    def recurrent_bwd(
        self, mode: str, grad_out: Array | None, grad_h: Array | None, grad_c: Array | None, x: Array,
        h0: Array | None, c0: Array | None, weights: Sequence[Array], batch_sizes: Array | None, order: Array | None,
        bidirectional: bool, batch_first: bool, out: Array, gates: Array | None, cells: Array | None, need_x: bool,
        need_h0: bool, need_c0: bool, need_weights: bool,
    ) -> tuple[Array | None, Array | None, Array | None, list[Array]]: ...  # fmt: skip
    # every dtype; x (T, N, *), or (N, T, *) with batch_first, to (rows, *) and back
    def pack_rows(self, x: Array, batch_sizes: Array, order: Array | None, batch_first: bool) -> Array: ...
    def unpack_rows(
        self, data: Array, batch_sizes: Array, order: Array | None, batch_first: bool, steps: int, padding: float
    ) -> Array: ...


PARTS = (ElementwiseFunctions, Backend, OptimizerSteps)
FUNCTIONS = {
    name: function
    for protocol in PARTS
    for name, function in vars(protocol).items()
    if inspect.isfunction(function) and not name.startswith("_")
}
