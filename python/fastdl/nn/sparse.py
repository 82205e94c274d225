"""Tables of which few rows are used at a time: Embedding and EmbeddingBag."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..creation import empty
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


def _expect_size(value: Any, op: str, name: str) -> int:
    if not isinstance(value, int):
        raise TypeError(f"[{op}] expected an int for {name}, got {type(value).__name__}")
    if value < 0:
        raise ValueError(f"[{op}] expected {name} of at least 0, got {value}")
    return value


class _Table(Module):
    """What both layers share: the table, its options, and its first values (normal, padding row 0)."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        weight: Tensor | None,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        self.num_embeddings = _expect_size(num_embeddings, op, "num_embeddings")
        self.embedding_dim = _expect_size(embedding_dim, op, "embedding_dim")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"[{op}] expected padding_idx within {num_embeddings} rows, got {padding_idx}")
            padding_idx %= num_embeddings
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        shape = (num_embeddings, embedding_dim)
        if weight is None:
            self.weight = Parameter(empty(shape, dtype=dtype, device=device))
            self.reset_parameters()
        elif weight.shape != shape:
            raise ValueError(f"[{op}] expected weight of shape {shape}, got shape {weight.shape}")
        else:
            self.weight = Parameter(weight)

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.detach()[self.padding_idx] = 0.0

    def extra_repr(self) -> str:
        parts = [f"{self.num_embeddings}, {self.embedding_dim}"]
        if self.padding_idx is not None:
            parts.append(f"padding_idx={self.padding_idx}")
        if self.max_norm is not None:
            parts.append(f"max_norm={self.max_norm}")
        if self.norm_type != 2:
            parts.append(f"norm_type={self.norm_type}")
        if self.scale_grad_by_freq:
            parts.append(f"scale_grad_by_freq={self.scale_grad_by_freq}")
        if self.sparse:
            parts.append("sparse=True")
        return ", ".join(parts)


def _rows_and_columns(embeddings: Any, op: str) -> tuple[int, int]:
    if not isinstance(embeddings, Tensor):
        raise TypeError(f"[{op}] expected a Tensor for embeddings, got {type(embeddings).__name__}")
    if embeddings.ndim != 2:
        raise ValueError(f"[{op}] expected embeddings with 2 dimensions, got shape {embeddings.shape}")
    return embeddings.shape[0], embeddings.shape[1]


class Embedding(_Table):
    """A table of vectors: numbers (*) to rows (*, embedding_dim) (`torch.nn.Embedding`).

    `padding_idx`, `max_norm`, `scale_grad_by_freq` and `sparse` are those of `functional.embedding`.

    >>> import fastdl
    >>> layer = Embedding(10, 3, padding_idx=0)
    >>> layer(fastdl.tensor([[1, 2], [4, 0]])).shape, layer
    ((2, 2, 3), Embedding(10, 3, padding_idx=0))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        super().__init__(num_embeddings, embedding_dim, *options, _weight, device, dtype)
        self.weight.requires_grad_(not _freeze)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer that uses `embeddings` (V, D) and shares their memory; with `freeze` they get no gradient.

        >>> import fastdl
        >>> Embedding.from_pretrained(fastdl.eye(3))(fastdl.tensor(1)).tolist()
        [0.0, 1.0, 0.0]
        """
        rows, columns = _rows_and_columns(embeddings, "from_pretrained")
        return cls(
            rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings.detach(), freeze
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima over bags of rows: (B, N), or (N,) with offsets (B,), to (B, embedding_dim)
    (`torch.nn.EmbeddingBag`).

    >>> import fastdl
    >>> layer = EmbeddingBag(10, 3, mode="sum")
    >>> layer(fastdl.tensor([1, 2, 4]), fastdl.tensor([0, 2])).shape, layer
    ((2, 3), EmbeddingBag(10, 3, mode='sum'))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        super().__init__(num_embeddings, embedding_dim, *options, _weight, device, dtype)
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"[EmbeddingBag] expected mode sum, mean or max, got {mode}")
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
            self.sparse, per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        size, *options = super().extra_repr().split(", padding_idx")
        tail = "".join(f", padding_idx{o}" for o in options)
        return f"{size}, mode={self.mode!r}{tail}"

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer that uses `embeddings` (V, D) and shares their memory; with `freeze` they get no gradient."""
        rows, columns = _rows_and_columns(embeddings, "from_pretrained")
        options = (max_norm, norm_type, scale_grad_by_freq, mode, sparse)
        layer = cls(rows, columns, *options, embeddings.detach(), include_last_offset, padding_idx)
        layer.weight.requires_grad_(not freeze)
        return layer
