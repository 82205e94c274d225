"""Shapes and places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ... import backends
from ...plan.graph import Node, Value
from .writer import END, Writer, exports, same


@exports("reshape")
def reshape(w: Writer, node: Node, twin: Node) -> None:
    source, target = node.args[0], node.out
    if source in w.shaped and w.shaped[source][1].shape == target.shape:
        w.define(node, w.shaped[source][0])
        return
    (x,) = w.inputs(node, twin, 0)
    w.define(node, w.reshape(x, target, twin.out, (source, twin.args[0])))


@exports("permute")
def permute(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("Transpose", w.inputs(node, twin, 0), perm=list(node.args[1])))


def _backwards(w: Writer, x: str, axes: Sequence[int]) -> str:
    firsts, ends, steps = ([number] * len(axes) for number in (-1, -END - 1, -1))
    return w.add("Slice", [x, w.ints(firsts), w.ints(ends), w.ints(axes), w.ints(steps)]) if axes else x


@exports("flip")
def flip(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    w.define(node, _backwards(w, x, node.args[1]))


@exports("rot90")
def rot90(w: Writer, node: Node, twin: Node) -> None:
    (x,), (k, a, b) = w.inputs(node, twin, 0), node.args[1:]
    x = _backwards(w, x, [axis for axis, turns in ((b, (1, 2)), (a, (2, 3))) if k in turns])
    order = list(range(len(node.args[0].shape)))
    order[a], order[b] = order[b], order[a]
    w.define(node, w.add("Transpose", [x], perm=order) if k % 2 else x)


@exports("unfold")
def unfold(w: Writer, node: Node, twin: Node) -> None:
    """The elements of all windows by their places, and then the axis of a window to the end."""
    (x,), (axis, size, step) = w.inputs(node, twin, 0), node.args[1:]
    n = same(node.args[0].shape[axis], twin.args[0].shape[axis], "a size")
    places = np.arange(0, n - size + 1, step)[:, None] + np.arange(size)
    windows = w.add("Gather", [x, w.constant(places)], axis=axis)
    order = [i for i in range(len(node.args[0].shape) + 1) if i != axis + 1]
    w.define(node, w.add("Transpose", [windows], perm=[*order, axis + 1]))


@exports("diff")
def diff(w: Writer, node: Node, twin: Node) -> None:
    (x,), axis = w.inputs(node, twin, 0), node.args[1]
    w.define(node, w.add("Sub", [_lines(w, x, axis, 1, END), _lines(w, x, axis, 0, -1)]))


@exports("diagonal_bwd")
def diag_embed(w: Writer, node: Node, twin: Node) -> None:
    """Numbers with as many zeros behind each as lie between two of a diagonal, cut into rows."""
    part, shape, offset, a, b = node.args
    lead, m = len(shape) - 2, shape[-1]
    if (a, b) != (lead, lead + 1) or shape[-2] != m:
        raise NotImplementedError("a diagonal of other axes than the last two of squares")
    n = same(part.shape[-1], twin.args[0].shape[-1], "a size")
    (x,), zero = w.inputs(node, twin, 0), w.scalar(0, part.dtype)
    apart = w.add("Pad", [w.add("Unsqueeze", [x, w.ints([lead + 1])]), w.ints([0] * (2 * lead + 3) + [m]), zero])
    flat = w.add("Reshape", [apart, w.ints([*[0] * lead, n * (m + 1)])])
    start = offset if offset >= 0 else -offset * m
    ends = [*[0] * lead, start, *[0] * lead, m * m - start - n * (m + 1)]
    w.define(node, w.add("Reshape", [w.add("Pad", [flat, w.ints(ends), zero]), w.ints([*[0] * lead, m, m])]))


def _lines(w: Writer, x: str, axis: int, start: int, end: int) -> str:
    return w.add("Slice", [x, w.ints([start]), w.ints([end]), w.ints([axis])])


@exports("roll")
def roll(w: Writer, node: Node, twin: Node) -> None:
    """Shifts are from 0 on here: a free size n changes either them, or n - shift."""
    (x,) = w.inputs(node, twin, 0)
    for axis, (n, m, by, other) in enumerate(
        zip(node.args[0].shape, twin.args[0].shape, node.args[1], twin.args[1], strict=True)
    ):
        if by or other:
            at = -by if by == other else same(n - by, m - other, "a shift by")
            x = w.add("Concat", [_lines(w, x, axis, at, END), _lines(w, x, axis, 0, at)], axis=axis)
    w.define(node, x)


@exports("pad")
def pad(w: Writer, node: Node, twin: Node) -> None:
    """What is cut off is cut afterwards; ONNX has no circular padding before opset 19."""
    (x,) = w.inputs(node, twin, 0)
    before, after, mode = node.args[1:]
    same((before, after), twin.args[1:3], "padding")
    grown = [*(max(n, 0) for n in before), *(max(n, 0) for n in after)]
    if mode != "circular":
        mode = {"reflect": "reflect", "replicate": "edge"}[mode]
        x = w.add("Pad", [x, w.ints(grown)], mode=mode) if any(grown) else x
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if mode == "circular" and (b > 0 or a > 0):
            ends = ([_lines(w, x, axis, -b, END)] if b > 0 else []), ([_lines(w, x, axis, 0, a)] if a > 0 else [])
            x = w.add("Concat", [*ends[0], x, *ends[1]], axis=axis)
        if b < 0 or a < 0:
            x = _lines(w, x, axis, max(-b, 0), a if a < 0 else END)
    w.define(node, x)


@exports("tril", "triu")
def triangle(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    diagonal = w.scalar(same(node.args[1], twin.args[1], "a diagonal"), "int64")
    w.define(node, w.add("Trilu", [x, diagonal], upper=int(node.function == "triu")))


@exports("diagonal")
def diagonal(w: Writer, node: Node, twin: Node) -> None:
    """Matrices in a row, of which every (columns + 1)-th element is taken."""
    (x,) = w.inputs(node, twin, 0)
    offset, a, b = node.args[1:]
    shapes = node.args[0].shape, twin.args[0].shape
    n, m = (same(shapes[0][axis], shapes[1][axis], "a size") for axis in (a, b))
    others = [axis for axis in range(len(shapes[0])) if axis not in (a, b)]
    flat = w.add("Reshape", [w.add("Transpose", [x], perm=[*others, a, b]), w.ints([*[0] * len(others), n * m])])
    first = offset if offset >= 0 else -offset * m
    count = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    end = first + (count - 1) * (m + 1) + 1 if count else first
    w.define(node, w.add("Slice", [flat, w.ints([first]), w.ints([end]), w.ints([len(others)]), w.ints([m + 1])]))


@exports("broadcast_to")
def broadcast_to(w: Writer, node: Node, twin: Node) -> None:
    """Sizes that the input has too are 1, so that free ones may be among them."""
    (x,) = w.inputs(node, twin, 0)
    inner, target, other = node.args[0].shape, node.args[1], twin.args[1]
    lead = len(target) - len(inner)
    sizes = [1 if i >= lead and inner[i - lead] == n else same(n, m, "a size")
             for i, (n, m) in enumerate(zip(target, other, strict=True))]  # fmt: skip
    w.define(node, w.add("Expand", [x, w.ints(sizes)]) if lead or max(sizes, default=1) > 1 else x)


@exports("concat")
def concat(w: Writer, node: Node, twin: Node) -> None:
    names = [w.input(a, b) for a, b in zip(node.args[0], twin.args[0], strict=True)]
    w.define(node, w.add("Concat", names, axis=node.args[1]))


@exports("slice")
def slice_(w: Writer, node: Node, twin: Node) -> None:
    (x,) = w.inputs(node, twin, 0)
    chosen = []
    for axis, (size, other) in enumerate(zip(node.args[0].shape, twin.args[0].shape, strict=True)):
        (start, length, step), (start2, length2, step2) = ([a[axis] for a in n.args[1:4]] for n in (node, twin))
        if (start, step, length, length2) == (0, 1, size, other):
            continue
        end, end2 = start + (length - 1) * step + 1, start2 + (length2 - 1) * step2 + 1
        same((start, step), (start2, step2), "a slice from")
        to_the_end = end != end2 and size - end < step and other - end2 < step
        chosen.append((start, END if to_the_end else same(end, end2, "a slice to"), axis, step))
    if chosen:
        x = w.add("Slice", [x, *(w.ints(column) for column in zip(*chosen, strict=True))])
    w.define(node, x)


def _uniform(value: Value) -> float | None:
    """The one number that a constant consists of."""
    if not value.is_constant:
        return None
    array = backends.get("cpu").to_numpy(value.array)
    return array.flat[0] if array.size and (array == array.flat[0]).all() else None


@exports("slice_assign_")
def slice_assign(w: Writer, node: Node, twin: Node) -> None:
    """A part of something uniform: padding."""
    whole, part, starts, steps = node.args
    number = _uniform(whole)
    if number is None or set(steps) - {1}:
        raise NotImplementedError("an assignment to a part of a tensor")
    (x,) = w.inputs(node, twin, 1)
    ends, ends2 = ([n - s - m for n, s, m in zip(a.args[0].shape, a.args[2], a.args[1].shape, strict=True)]
                   for a in (node, twin))  # fmt: skip
    pads = [*same(starts, twin.args[2], "padding"), *same(ends, ends2, "padding")]
    w.define(node, w.add("Pad", [x, w.ints(pads), w.scalar(number, part.dtype)]))


@exports("embedding")
def embedding(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("Gather", w.inputs(node, twin, 0, 1), axis=0))


@exports("index_select")
def index_select(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("Gather", w.inputs(node, twin, 0, 1), axis=node.args[2]))


@exports("gather")
def gather(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("GatherElements", w.inputs(node, twin, 0, 1), axis=node.args[2]))


@exports("scatter_", "scatter_add_")
def scatter(w: Writer, node: Node, twin: Node) -> None:
    how = "add" if node.function == "scatter_add_" else "none"
    w.define(node, w.add("ScatterElements", w.inputs(node, twin, 0, 1, 2), axis=node.args[3], reduction=how))


@exports("pixel_shuffle")
def pixel_shuffle(w: Writer, node: Node, twin: Node) -> None:
    w.define(node, w.add("DepthToSpace", w.inputs(node, twin, 0), blocksize=node.args[1], mode="CRD"))


@exports("upsample_nearest2d", "upsample_bilinear2d")
def upsample(w: Writer, node: Node, twin: Node) -> None:
    """Scales rather than sizes: those of batch and channels stay free."""
    (x,) = w.inputs(node, twin, 0)
    nearest = node.function == "upsample_nearest2d"
    aligned = not nearest and node.args[2]
    scales = []
    for source, target, given in zip(node.args[0].shape[2:], node.args[1], node.args[-2:], strict=True):
        scale = np.float32(given or target / source)
        scales.append(scale if int(scale * source) == target else np.nextafter(scale, np.float32(np.inf)))
    same([int(n * s) for n, s in zip(twin.args[0].shape[2:], scales, strict=True)], list(twin.args[1]), "a size")
    transform = "asymmetric" if nearest else "align_corners" if aligned else "half_pixel"
    numbers = w.constant(np.asarray([1, 1, *scales], np.float32), "scales")
    w.define(node, w.add(
        "Resize", [x, "", numbers], mode="nearest" if nearest else "linear", coordinate_transformation_mode=transform,
        nearest_mode="floor" if nearest else None,
    ))  # fmt: skip
