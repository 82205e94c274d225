"""Sequences of different lengths under the names of `torch.nn.utils.rnn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...creation import tensor
from ...functional.layout import index, stack
from ...functional.padding import pad
from ...functional.recurrent import pack_rows, unpack_rows
from ...tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences step after step without padding, the longest first (`torch.nn.utils.rnn.PackedSequence`).

    `data` (R, *) has the rows of all sequences at step 0, then at step 1, ...; `batch_sizes` (T,) counts them.
    `sorted_indices` (N,) names the sequence of the batch that each one is, `unsorted_indices` is the inverse; None
    where the batch is sorted.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def batch_sizes_of(lengths: Any, op: str, enforce_sorted: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The number of sequences at each step, and the order of decreasing length."""
    given = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    found = np.asarray(given)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise TypeError(f"[{op}] expected lengths of one dimension and integers, got {given!r}")
    if found.size == 0 or found.min() < 1:
        raise ValueError(f"[{op}] expected lengths of at least 1, got {found.tolist()}")
    if enforce_sorted and (np.diff(found) > 0).any():
        raise ValueError(f"[{op}] expected lengths in decreasing order (or enforce_sorted=False), got {found.tolist()}")
    order = np.argsort(-found, kind="stable")
    return (found[:, None] > np.arange(found.max())).sum(0), order


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leaves the padding of input (T, N, *), or (N, T, *), out (`torch.nn.utils.rnn.pack_padded_sequence`).

    >>> import fastdl
    >>> packed = pack_padded_sequence(fastdl.tensor([[1, 0], [2, 3]]), [1, 2], batch_first=True, enforce_sorted=False)
    >>> packed.data.tolist(), packed.batch_sizes.tolist(), packed.sorted_indices.tolist()
    ([2, 1, 3], [2, 1], [1, 0])
    """
    sizes, order = batch_sizes_of(lengths, "pack_padded_sequence", enforce_sorted)
    device = input.device
    batch_sizes = tensor(sizes, device=device)
    if enforce_sorted:
        return PackedSequence(pack_rows(input, batch_sizes, None, batch_first), batch_sizes)
    sorted_indices = tensor(order, device=device)
    data = pack_rows(input, batch_sizes, sorted_indices, batch_first)
    return PackedSequence(data, batch_sizes, sorted_indices, tensor(np.argsort(order), device=device))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded batch and the lengths, in the order of the batch (`torch.nn.utils.rnn.pad_packed_sequence`).

    >>> import fastdl
    >>> packed = pack_padded_sequence(fastdl.tensor([[1, 0], [2, 3]]), [1, 2], batch_first=True, enforce_sorted=False)
    >>> [t.tolist() for t in pad_packed_sequence(packed, batch_first=True)]
    [[[1, 0], [2, 3]], [1, 2]]
    """
    data, batch_sizes, sorted_indices, _ = sequence
    steps = batch_sizes.shape[0]
    if total_length is not None and total_length < steps:
        raise ValueError(f"[pad_packed_sequence] expected total_length of at least {steps}, got {total_length}")
    out = unpack_rows(data, batch_sizes, sorted_indices, batch_first, total_length or steps, padding_value)
    sizes = np.asarray(batch_sizes.tolist())
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(0)
    if sorted_indices is not None:
        lengths[np.asarray(sorted_indices.tolist())] = lengths.copy()
    return out, tensor(lengths, dtype="int64")


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (T_i, *) as one batch (T, N, *), or (N, T, *) (`torch.nn.utils.rnn.pad_sequence`).

    >>> import fastdl
    >>> pad_sequence([fastdl.ones(2), fastdl.ones(1)], batch_first=True).tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    if padding_side not in ("left", "right"):
        raise ValueError(f"[pad_sequence] expected padding_side 'left' or 'right', got {padding_side!r}")
    if not sequences:
        raise ValueError("[pad_sequence] expected at least one sequence, got none")
    longest = max(s.shape[0] for s in sequences)

    def padded(s: Tensor) -> Tensor:
        missing = longest - s.shape[0]
        if missing == 0:
            return s
        sides = (missing, 0) if padding_side == "left" else (0, missing)
        return pad(s, (*(0, 0) * (s.ndim - 1), *sides), value=padding_value)

    return stack([padded(s) for s in sequences], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each with its own length (`torch.nn.utils.rnn.unpad_sequence`)."""
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if batch_first:
        return [index(padded_sequences, (i, slice(n))) for i, n in enumerate(counts)]
    return [index(padded_sequences, (slice(n), i)) for i, n in enumerate(counts)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences (T_i, *) (`torch.nn.utils.rnn.pack_sequence`)."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a PackedSequence (`torch.nn.utils.rnn.unpack_sequence`)."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
