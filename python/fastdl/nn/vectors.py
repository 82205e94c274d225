"""Layers of vectors: products of pairs, distances, shapes, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import functional as F
from ..creation import empty
from ..functional.arguments import expect_tensor
from ..functional.shaping import unflatten
from ..functional.vectors import attend
from ..tensor import Tensor
from . import init
from .layers import Linear
from .module import Module
from .parameter import Parameter


class Bilinear(Module):
    """x1 A x2 + b: (*, in1_features), (*, in2_features) to (*, out_features) (`torch.nn.Bilinear`).

    >>> import fastdl
    >>> Bilinear(2, 3, 4)(fastdl.ones(5, 2), fastdl.ones(5, 3)).shape
    (5, 4)
    """

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if in1_features < 1:
            raise ValueError(f"[Bilinear] expected in1_features of at least 1, got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        made = {"device": device, "dtype": dtype}
        self.weight = Parameter(empty(out_features, in1_features, in2_features, **made))
        self.register_parameter("bias", Parameter(empty(out_features, **made)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along `dim` (`torch.nn.CosineSimilarity`)."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of differences over the last axis (`torch.nn.PairwiseDistance`)."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class Unflatten(Module):
    """Axis `dim` as several (`torch.nn.Unflatten`).

    >>> import fastdl
    >>> Unflatten(1, (2, 3))(fastdl.ones(4, 6)).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class ChannelShuffle(Module):
    """Channels dealt out over groups (`torch.nn.ChannelShuffle`)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """Windows of planes as columns (`torch.nn.Unfold`)."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        text = f"kernel_size={self.kernel_size}, dilation={self.dilation}"
        return f"{text}, padding={self.padding}, stride={self.stride}"


class Fold(Unfold):
    """Columns back to planes of `output_size`, added up (`torch.nn.Fold`)."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"


class _LPPool(Module):
    function: Any

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        text = f"norm_type={self.norm_type}, kernel_size={self.kernel_size}"
        return f"{text}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """(sum of x^p)^(1/p) of each window of sequences (`torch.nn.LPPool1d`)."""

    function = F.lp_pool1d


class LPPool2d(_LPPool):
    """(sum of x^p)^(1/p) of each window of planes (`torch.nn.LPPool2d`)."""

    function = F.lp_pool2d


class MultiheadAttention(Module):
    """Attention of several heads, each on its share of the features (`torch.nn.MultiheadAttention`; Vaswani et al.,
    2017).

    `attention(query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True,
    is_causal=False)` returns (output, weights or None). Shapes: query (L, N, E), key and value (S, N, E), (N, L, E)
    and (N, S, E) with `batch_first`; weights (N, L, S), of each head (N, heads, L, S) if not averaged. Masks are True
    where a key is hidden (the padding one (N, S)), or numbers to add. Keys and values have the width of queries.

    >>> import fastdl
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = fastdl.ones(3, 5, 8)
    >>> [t.shape for t in attention(x, x, x)]
    [(3, 5, 8), (3, 5, 5)]
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"[MultiheadAttention] expected embed_dim as a multiple of num_heads, got {embed_dim} and {num_heads}"
            )
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.head_dim = embed_dim // num_heads
        made = {"device": device, "dtype": dtype}
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, **made))
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, **made)) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, **made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.xavier_uniform_(self.in_proj_weight)
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.zeros_(b)

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """(N, L, E), projected, as (N, heads, L, head_dim)."""
        rows = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y: Any = F.linear(x, self.in_proj_weight[rows], bias)
        return y.reshape(*x.shape[:2], self.num_heads, self.head_dim).permute(0, 2, 1, 3)

    def _expect_mask(self, mask: Any, q: Any, k: Any) -> None:
        expect_tensor(mask, "MultiheadAttention", "attn_mask")
        scores = q.shape[1], k.shape[1]
        each = q.shape[0] * self.num_heads, *scores
        if mask.shape not in (scores, each):
            raise ValueError(
                f"[MultiheadAttention] expected attn_mask of shape {scores} or {each}, got shape {mask.shape}"
            )

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        for name, x in (("query", query), ("key", key), ("value", value)):
            expect_tensor(x, "MultiheadAttention", name)
            if x.ndim not in (2, 3) or x.ndim != query.ndim:
                raise ValueError(f"[MultiheadAttention] expected {name} of two or three axes as query, got {x.shape}")
        single = query.ndim == 2
        turn = not self.batch_first and not single
        q, k, v = (x.unsqueeze(0) if single else x.transpose(0, 1) if turn else x for x in (query, key, value))
        mask = None
        if attn_mask is not None:
            self._expect_mask(attn_mask, q, k)
            mask = _to_add(attn_mask, q)
            mask = mask if mask.ndim == 2 else mask.reshape(q.shape[0], self.num_heads, *mask.shape[1:])
        elif is_causal:
            raise ValueError("[MultiheadAttention] expected attn_mask with is_causal, got none")
        if key_padding_mask is not None:
            hidden = _to_add(key_padding_mask, q).reshape(q.shape[0], 1, 1, -1)
            mask = hidden if mask is None else mask + hidden
        p = self.dropout if self.training else 0.0
        out, share = attend(self._heads(q, 0), self._heads(k, 1), self._heads(v, 2), mask, p, False, None)
        joined: Any = out
        result: Any = self.out_proj(joined.permute(0, 2, 1, 3).reshape(q.shape))
        result = result.squeeze(0) if single else result.transpose(0, 1) if turn else result
        if not need_weights:
            return result, None
        weights: Any = share
        weights = weights.mean(1) if average_attn_weights else weights
        return result, weights.squeeze(0) if single else weights


def _to_add(mask: Any, like: Tensor) -> Any:
    """A mask of hidden places as numbers to add to the scores."""
    if mask.dtype.name != "bool":
        return mask
    return mask.new_zeros(mask.shape, dtype=like.dtype).masked_fill(mask, -math.inf)
