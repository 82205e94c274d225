"""einsum: sums of products named by letters, on the matrix product.

Operands are taken two at a time. Of each pair, letters that nothing later needs are summed within their operand; the
rest are of four kinds: in both and kept (batch), in both and not kept (contracted), in the first, in the second. So a
pair is one batched product of (batch, first, contracted) and (batch, contracted, second), and where an operand lies the
other way round the product takes it transposed instead of copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..tensor import Tensor
from .arguments import expect_beside, expect_tensor
from .arithmetic import matched, mul
from .diagonals import diagonal
from .layout import expand, permute, reshape
from .product import product
from .reduction import sum

Labels = list[Any]  # letters; an axis under the ellipsis is a number, -1 for the last


def _term(text: str, ndim: int | None) -> Labels:
    """The labels of one operand; of `...` as many as the letters leave."""
    before, dots, after = text.partition("...")
    letters = before + after
    if not all(c.isascii() and c.isalpha() for c in letters):
        raise ValueError(f"[einsum] expected letters, commas, '...' and '->', got {text!r}")
    if ndim is None:
        return [*before, *([...] if dots else []), *after]
    rest = ndim - len(letters)
    if rest < 0 or (rest and not dots):
        raise ValueError(f"[einsum] expected operand {text!r} with {len(letters)} dimensions, got {ndim}")
    return [*before, *range(-rest, 0), *after]


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[Labels], Labels]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"[einsum] expected {len(terms)} operands for {equation!r}, got {len(operands)}")
    labels = [_term(term, x.ndim) for term, x in zip(terms, operands, strict=True)]
    hidden = sorted({a for term in labels for a in term if isinstance(a, int)})
    letters = [a for term in labels for a in term if isinstance(a, str)]
    if not arrow:
        return labels, [*hidden, *sorted(a for a in set(letters) if letters.count(a) == 1)]
    out: Labels = []
    for a in _term(right, None):
        out += hidden if a is ... else [a]
    if len(set(out)) != len(out):
        raise ValueError(f"[einsum] expected each letter of the output once, got {right!r}")
    unknown = [a for a in out if a not in letters and not isinstance(a, int)]
    if unknown:
        raise ValueError(f"[einsum] expected output letters of the operands, got {unknown[0]!r}")
    return labels, out


def _diagonals(x: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """A letter that stands twice in one operand: the diagonal of its axes."""
    for a in dict.fromkeys(labels):
        while labels.count(a) > 1:
            first = labels.index(a)
            second = labels.index(a, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(f"[einsum] expected one size for {a!r}, got {x.shape[first]} and {x.shape[second]}")
            x = diagonal(x, 0, first, second)
            labels = [b for i, b in enumerate(labels) if i not in (first, second)] + [a]
    return x, labels


def _summed(x: Tensor, labels: Labels, kept: set[Any]) -> tuple[Tensor, Labels]:
    axes = [i for i, a in enumerate(labels) if a not in kept]
    return (sum(x, axes), [a for a in labels if a in kept]) if axes else (x, labels)


def _arranged(x: Tensor, labels: Labels, wanted: Labels) -> Tensor:
    return x if labels == wanted else permute(x, tuple(labels.index(a) for a in wanted))


def _factor(x: Tensor, labels: Labels, batch: Labels, rows: Labels, columns: Labels) -> tuple[Tensor, bool]:
    """x as (batch, rows, columns), or as (batch, columns, rows) where it lies so already: True then."""
    swapped = labels == [*batch, *columns, *rows] and bool(rows) and bool(columns)
    parts = (batch, columns, rows) if swapped else (batch, rows, columns)
    y = _arranged(x, labels, [a for part in parts for a in part])
    sizes = dict(zip(labels, x.shape, strict=True))
    return reshape(y, tuple(math.prod(sizes[a] for a in part) for part in parts)), swapped


def _pair(x: Tensor, lx: Labels, y: Tensor, ly: Labels, kept: set[Any]) -> tuple[Tensor, Labels]:
    x, lx = _summed(x, lx, kept | set(ly))
    y, ly = _summed(y, ly, kept | set(lx))
    shared = [a for a in lx if a in ly]
    batch, inner = [a for a in shared if a in kept], [a for a in shared if a not in kept]
    first, second = [a for a in lx if a not in shared], [a for a in ly if a not in shared]
    sizes = dict(zip(lx + ly, x.shape + y.shape, strict=False))
    out = [*batch, *first, *second]
    if not inner or not x.dtype.is_floating_point:
        ones = [1] * len(inner)
        a = _arranged(x, lx, [*batch, *first, *inner])
        b = _arranged(y, ly, [*batch, *second, *inner])
        a = reshape(a, (*a.shape[: len(batch) + len(first)], *[1] * len(second), *a.shape[len(batch) + len(first) :]))
        b = reshape(b, (*b.shape[: len(batch)], *[1] * len(first), *b.shape[len(batch) :]))
        both = mul(a, b)
        return (sum(both, list(range(both.ndim - len(ones), both.ndim))) if ones else both), out
    a, trans_a = _factor(x, lx, batch, first, inner)
    b, trans_b = _factor(y, ly, batch, inner, second)
    if not batch:
        a, b = (reshape(t, t.shape[1:]) for t in (a, b))
    return reshape(product(a, b, trans_a, trans_b), tuple(sizes[n] for n in out)), out


def _same_sizes(tensors: list[Tensor], labels: list[Labels]) -> list[Tensor]:
    """Axes of size 1 broadcast to the size of their label."""
    sizes: dict[Any, int] = {}
    for x, term in zip(tensors, labels, strict=True):
        for n, a in zip(x.shape, term, strict=True):
            if sizes.setdefault(a, n) == 1:
                sizes[a] = n
            elif n not in (1, sizes[a]):
                raise ValueError(f"[einsum] expected one size for {a!r}, got {sizes[a]} and {n}")
    shapes = [tuple(sizes[a] for a in term) for term in labels]
    return [x if x.shape == shape else expand(x, shape) for x, shape in zip(tensors, shapes, strict=True)]


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products: `equation` names the axes of each operand by letters and those of the result behind `->`; the
    others are summed over (`torch.einsum`, `numpy.einsum`).

    A letter twice in one operand takes the diagonal; `...` stands for the remaining axes, which broadcast. Without
    `->` the result has, in alphabetical order, the letters that occur once. Operands are multiplied from left to right.

    Raises:
        TypeError: for operands that are not Tensors, or an equation that is not a str.
        ValueError: for an equation that does not fit the operands, or sizes that differ.

    >>> import fastdl
    >>> a, b = fastdl.ones(2, 3, 4), fastdl.ones(2, 4, 5)
    >>> fastdl.einsum("bij,bjk->bik", a, b).shape, fastdl.einsum("ii", fastdl.eye(3)).item()
    ((2, 3, 5), 3.0)
    """
    if not isinstance(equation, str):
        raise TypeError(f"[einsum] expected a str for equation, got {type(equation).__name__}")
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], tuple | list) else operands
    if not given:
        raise ValueError("[einsum] expected at least one operand, got none")
    tensors = [expect_beside(x, expect_tensor(given[0], "einsum", "operands"), "einsum", "operands") for x in given]
    labels, out = _parse(equation, tensors)
    for i, x in enumerate(tensors):
        tensors[i], labels[i] = _diagonals(x, labels[i])
    tensors = _same_sizes(tensors, labels)
    result, have = tensors[0], labels[0]
    for i in range(1, len(tensors)):
        kept = {*out, *(a for term in labels[i + 1 :] for a in term)}
        a, b = matched(result, tensors[i], "einsum")
        result, have = _pair(a, have, b, labels[i], kept)
    result, have = _summed(result, have, set(out))
    return _arranged(result, have, out)
