"""How tensors print: PyTorch's rules of digits, widths and what is left out.

Floats have four digits after the point, none where all are whole numbers, and an exponent where they span more than a
thousandfold, exceed 1e8 or come below 1e-4. All elements are as wide as the widest; of more than a thousand only the
first and last three along each axis are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {"default": _Options(), "short": _Options(precision=2, edgeitems=2), "full": _Options(threshold=np.inf)}
_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print from now on (`torch.set_printoptions`).

    Args:
        precision: digits after the point (4).
        threshold: tensors of more elements are abridged (1000).
        edgeitems: elements shown at each end of an axis then (3).
        linewidth: characters a line (80).
        profile: "default", "short" or "full", under what else is given.
        sci_mode: exponents always or never; None decides by the numbers.

    Raises:
        ValueError: for an unknown profile.

    >>> import fastdl
    >>> fastdl.set_printoptions(precision=2); fastdl.tensor([0.12345])
    tensor([0.12])
    >>> fastdl.set_printoptions(profile="default")
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"[set_printoptions] expected profile default, short or full, got {profile!r}")
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    base = _options if profile is None else _PROFILES[profile]
    changed: Any = {name: value for name, value in given.items() if value is not None}
    _options = base._replace(**changed, sci_mode=sci_mode)


def _written(values: np.ndarray) -> tuple[Any, int]:
    """A function from an element to its text, and the width of the widest."""
    if values.dtype.kind != "f":
        texts = [str(v) for v in values.ravel().tolist()]
        width = max(map(len, texts), default=1)
        return lambda value: str(value).rjust(width), width
    finite = values[np.isfinite(values) & (values != 0)].astype(np.float64)
    whole = bool((finite == np.ceil(finite)).all())
    size = np.abs(finite)
    exponents = bool(finite.size) and bool(
        size.max() / size.min() > 1000.0 or size.max() > 1e8 or (not whole and size.min() < 1e-4)
    )
    exponents = exponents if _options.sci_mode is None else _options.sci_mode
    digits = 0 if whole and not exponents else _options.precision
    spec = f".{digits}{'e' if exponents else 'f'}"
    point = "." if whole and not exponents else ""
    texts = [format(v, spec) + point for v in finite.tolist()]
    width = max(map(len, texts), default=1)
    return lambda value: (format(value, spec) + (point if np.isfinite(value) else "")).rjust(width), width


def _edges(values: np.ndarray) -> np.ndarray:
    """The elements that are shown of a large array."""
    edge = _options.edgeitems
    for axis, n in enumerate(values.shape):
        if n > 2 * edge:
            values = values.take([*range(edge), *range(n - edge, n)], axis)
    return values


def _row(values: np.ndarray, indent: int, abridged: bool, write: Any, width: int) -> str:
    edge = _options.edgeitems
    if abridged and edge == 0:
        texts = ["..."]
    elif abridged and len(values) > 2 * edge:
        ends: Iterable[Any] = values[:edge].tolist(), values[-edge:].tolist()
        first, last = ([write(v) for v in part] for part in ends)
        texts = [*first, " ...", *last]
    else:
        texts = [write(v) for v in values.tolist()]
    each = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(texts[i : i + each]) for i in range(0, len(texts), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _body(values: np.ndarray, indent: int, abridged: bool, write: Any, width: int) -> str:
    if values.ndim == 0:
        return write(values.item())
    if values.ndim == 1:
        return _row(values, indent, abridged, write, width)
    edge, n = _options.edgeitems, len(values)
    cut = abridged and n > 2 * edge
    shown = [*range(edge), *range(n - edge, n)] if cut else range(n)
    parts = [_body(values[i], indent + 1, abridged, write, width) for i in shown]
    if cut:
        parts.insert(edge, "...")
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def text_of(values: np.ndarray, notes: list[str], name: str = "tensor") -> str:
    """`tensor(...)` with the notes (dtype, device, gradient) behind the numbers."""
    start = name + "("
    if values.size == 0:
        body = "[]"
    else:
        abridged = values.size > _options.threshold
        write, width = _written(_edges(values) if abridged else values)
        body = _body(values, len(start), abridged, write, width)
    text = start + body
    room = _options.linewidth - len(text) + text.rfind("\n") - 1
    for note in notes:  # on a line of its own where the last one is full
        if len(note) + 2 > room:
            text += ",\n" + " " * len(start) + note
            room = _options.linewidth - len(start) - len(note)
        else:
            text += ", " + note
            room -= len(note) + 2
    return text + ")"
