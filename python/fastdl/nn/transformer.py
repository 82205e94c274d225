"""Transformers: layers of attention and of two linear layers, stacks of them, encoder and decoder together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from ..creation import tensor
from ..dtypes import get_default_dtype
from ..functional.arguments import expect_int
from ..tensor import Tensor
from . import init
from .container import ModuleList
from .layers import Dropout, Linear
from .module import Module
from .normalization import LayerNorm
from .vectors import MultiheadAttention

Activation = str | Callable[[Any], Any]
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": F.relu, "gelu": F.gelu}


class _Layer(Module):
    """What encoder and decoder layers share: self-attention, two linear layers, sums with what went in."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, dropout: float, activation: Activation,
        layer_norm_eps: float, batch_first: bool, norm_first: bool, bias: bool, device: Any, dtype: Any,
        attentions: int,
    ) -> None:  # fmt: skip
        super().__init__()
        op = type(self).__name__
        if isinstance(activation, str) and activation not in _ACTIVATIONS:
            raise ValueError(f"[{op}] expected activation relu, gelu or a function, got {activation!r}")
        made = {"device": device, "dtype": dtype}
        for name in ("self_attn", "multihead_attn")[:attentions]:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first, **made))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **made)
        self.norm_first = norm_first
        for i in range(attentions + 1):
            setattr(self, f"norm{i + 1}", LayerNorm(d_model, layer_norm_eps, bias=bias, **made))
        for i in range(attentions + 1):
            setattr(self, f"dropout{i + 1}", Dropout(dropout))
        self.activation = _ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def _feed(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _added(self, x: Any, place: int, block: Callable[[Any], Any]) -> Any:
        """x and what a block makes of it, normalised before or afterwards."""
        norm, dropout = getattr(self, f"norm{place}"), getattr(self, f"dropout{place}")
        return x + dropout(block(norm(x))) if self.norm_first else norm(x + dropout(block(x)))


class TransformerEncoderLayer(_Layer):
    """Self-attention and two linear layers, each added to its input (`torch.nn.TransformerEncoderLayer`; Vaswani et
    al., "Attention Is All You Need", NeurIPS 2017).

    `layer(src, src_mask=None, src_key_padding_mask=None, is_causal=False)`. Shapes: src and output (L, N, d_model), or
    (N, L, d_model) with `batch_first`; masks as for `MultiheadAttention`. With `norm_first` norms come before each
    block.

    Raises:
        ValueError: for a d_model that nhead does not divide, or an activation of another name.

    >>> import fastdl
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(fastdl.ones(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device,
            dtype, 1,
        )  # fmt: skip

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._added(self._added(src, 1, attend), 2, self._feed)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to what an encoder has made of its input (`memory`), and two linear layers, each added
    to its input (`torch.nn.TransformerDecoderLayer`; Vaswani et al., NeurIPS 2017).

    `layer(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None)`, with
    shapes and errors as for `TransformerEncoderLayer`.

    >>> import fastdl
    >>> TransformerDecoderLayer(8, 2, 16)(fastdl.ones(4, 3, 8), fastdl.ones(5, 3, 8)).shape
    (4, 3, 8)
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: Activation = F.relu, layer_norm_eps: float = 1e-5, batch_first: bool = False,
        norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device,
            dtype, 2,
        )  # fmt: skip

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        def attend(x: Any) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look(x: Any) -> Any:
            masks = memory_key_padding_mask, False, memory_mask
            return self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)[0]

        return self._added(self._added(self._added(tgt, 1, attend), 2, look), 3, self._feed)


def _copies(layer: Module, number: int, op: str) -> ModuleList:
    if expect_int(number, op, "num_layers") < 0:
        raise ValueError(f"[{op}] expected num_layers of at least 0, got {number}")
    return ModuleList([copy.deepcopy(layer) for _ in range(number)])


class TransformerEncoder(Module):
    """A stack of copies of an encoder layer, and a norm after them if there is one (`torch.nn.TransformerEncoder`).

    `enable_nested_tensor` and `mask_check` are taken for PyTorch's sake and change nothing.

    >>> import fastdl
    >>> net = TransformerEncoder(TransformerEncoderLayer(8, 2, 16), 3)
    >>> net(fastdl.ones(5, 2, 8)).shape, len(net.layers)
    ((5, 2, 8), 3)
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers, "TransformerEncoder")
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self, src: Any, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:  # fmt: skip
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of copies of a decoder layer, and a norm after them if there is one (`torch.nn.TransformerDecoder`).

    >>> import fastdl
    >>> net = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), 2)
    >>> net(fastdl.ones(4, 2, 8), fastdl.ones(5, 2, 8)).shape
    (4, 2, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers, "TransformerDecoder")
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self, tgt: Any, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder (`torch.nn.Transformer`; Vaswani et al., "Attention Is All You Need", NeurIPS 2017):
    `net(src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None)`.

    >>> import fastdl
    >>> net = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> mask = Transformer.generate_square_subsequent_mask(4)
    >>> net(fastdl.ones(2, 5, 8), fastdl.ones(2, 4, 8), tgt_mask=mask).shape
    (2, 4, 8)
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = F.relu,
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        options: Any = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device,
            dtype,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            custom_encoder = TransformerEncoder(TransformerEncoderLayer(*options), num_encoder_layers, norm())
        if custom_decoder is None:
            custom_decoder = TransformerDecoder(TransformerDecoderLayer(*options), num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None, tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ValueError(
                f"[Transformer] expected src and tgt with {self.d_model} features, got {src.shape} and {tgt.shape}"
            )
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ValueError(f"[Transformer] expected src and tgt of one batch, got {src.shape} and {tgt.shape}")
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, *masks)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz) numbers to add to scores: -infinity where a later element would be looked at, else 0."""
        later = np.triu(np.full((sz, sz), -np.inf), 1)
        return tensor(later, dtype=get_default_dtype() if dtype is None else dtype, device=device)
