"""What maximises a unit: the patches of images that channels of a layer answer most to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import grad, no_grad
from ..creation import tensor
from ..nn.modes import evaluating
from ..nn.module import Module
from ..tensor import Tensor
from .figure import INK, finish, new_figure


@dataclass(frozen=True)
class Patch:
    """A place that a unit answers to: the image's number, the pixels (left, top, right, bottom), and the answer."""

    image: int
    box: tuple[int, int, int, int]
    value: float


def strongest_patches(
    model: Module, images: Any, layer: str, channels: Sequence[int] | None = None, count: int = 9
) -> dict[int, list[Patch]]:
    """For channels of a layer, the places over many images where they answer most, one an image, the strongest first.

    A place is the box of all pixels that the unit sees: those that have a gradient, over all channels at its position.
    Units of late layers see whole images. (Zeiler and Fergus: Visualizing and understanding convolutional networks,
    arXiv 1311.2901, figure 2; their patches are drawn by `plot_patches`.)

    Args:
        model: runs in evaluation mode, one image at a time, and is left in the mode that it had.
        images: (N, C, H, W), or a sequence of (C, H, W) whose sizes may differ, as the model wants them.
        layer: a name of `model.named_modules()`, with maps (1, K, h, w) or scores (1, K) of one image.
        channels: numbers of channels; None: all.
        count: patches a channel; fewer if there are fewer images.

    Raises:
        ValueError: `[strongest_patches] expected ...` for other images, an unknown layer, or a layer without channels.
        IndexError: for a channel that the layer lacks.

    >>> from fastdl import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 1, 2, bias=False))
    >>> _ = nn.init.ones_(model[0].weight)
    >>> images = np.zeros((3, 1, 5, 5), np.float32)
    >>> images[1, 0, 2:4, 1:3] = 1
    >>> strongest_patches(model, images, "0", count=1)
    {0: [Patch(image=1, box=(1, 2, 3, 4), value=4.0)]}
    """
    from ..models.feature_extraction import create_feature_extractor

    op = "strongest_patches"
    inputs = _images(images, op)
    if count < 1:
        raise ValueError(f"[{op}] expected count of at least 1, got {count}")
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        raise ValueError(f"[{op}] expected layer as one of {', '.join(names)}, got {layer!r}")
    found = {}
    with evaluating(model):
        part = create_feature_extractor(model, [layer])
        values, places = _peaks(part, inputs, layer)
        for channel in _channels(channels, values.shape[1], op):
            best = np.argsort(-values[:, channel], kind="stable")[:count]
            found[channel] = [
                Patch(int(i), _seen(part, inputs[i], layer, int(places[i, channel])), float(values[i, channel]))
                for i in best
            ]
    return found


def _images(images: Any, op: str) -> list[np.ndarray]:
    if isinstance(images, Tensor):
        images = images.detach().cpu().numpy()
    found = [i.detach().cpu().numpy() if isinstance(i, Tensor) else np.asarray(i) for i in images]
    shapes = {i.shape for i in found if i.ndim != 3 or 0 in i.shape}
    if not found or shapes:
        raise ValueError(f"[{op}] expected images (N, C, H, W) or a sequence of (C, H, W), got "
                         f"{f'an image of shape {shapes.pop()}' if shapes else 'none'}")  # fmt: skip
    return [np.ascontiguousarray(i[None]) for i in found]


def _channels(channels: Sequence[int] | None, there: int, op: str) -> list[int]:
    wanted = list(range(there)) if channels is None else [int(c) for c in channels]
    for channel in wanted:
        if not 0 <= channel < there:
            raise IndexError(f"[{op}] expected channels in [0, {there - 1}], got {channel}")
    return wanted


def _maps(part: Module, x: Tensor, layer: str) -> Tensor:
    """(K, positions) of one image; scores have one position."""
    out = part(x)[layer]
    if not isinstance(out, Tensor) or out.ndim not in (2, 4) or out.shape[0] != 1:
        got = out.shape if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"[strongest_patches] expected a layer with maps (1, K, h, w) or scores (1, K), got {got}")
    return out.reshape(out.shape[1], -1)


@no_grad()
def _peaks(part: Module, inputs: list[np.ndarray], layer: str) -> tuple[np.ndarray, np.ndarray]:
    """The greatest answer to each image, and its position, of every channel: (N, K) each."""
    device = next((p.device for p in part.parameters()), "cpu")
    found = [_maps(part, tensor(x, device=device), layer).max(1) for x in inputs]
    return np.stack([v.numpy() for v, _ in found]), np.stack([i.numpy() for _, i in found])


def _seen(part: Module, x: np.ndarray, layer: str, place: int) -> tuple[int, int, int, int]:
    """The box of the pixels with a gradient of a random sum over the channels: in a plain one some might cancel."""
    device = next((p.device for p in part.parameters()), "cpu")
    pixels = tensor(x, device=device, requires_grad=True)
    answers = _maps(part, pixels, layer)[:, place]
    signs = np.random.default_rng(0).standard_normal(answers.shape).astype(x.dtype)
    (gradient,) = grad((answers * tensor(signs, device=device)).sum(), [pixels])
    assert gradient is not None  # pixels without influence would have been an error
    rows, columns = (np.flatnonzero(gradient.abs().sum(axes).numpy()) for axes in ((0, 1, 3), (0, 1, 2)))
    if not rows.size:  # nothing there answers to anything, as behind dead units
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def plot_patches(
    images: Any, found: Mapping[Any, Sequence[Patch]], path: str | os.PathLike | None = None, columns: int = 8,
    title: str = "",
) -> Any:  # fmt: skip
    """What `strongest_patches` found, cut out of the images: a square of patches for each channel, under its name.

    Args:
        images: as they shall be seen, (C, H, W) each with C 1 or 3, from 0 to 1; of the sizes that were searched.
        found: patches by channel, or by any other name: results for several layers can be joined in one dict.
        columns: squares side by side.

    Returns the matplotlib figure.

    >>> picture = np.random.default_rng(0).random((1, 3, 8, 8))
    >>> figure = plot_patches(picture, {"channel 5": [Patch(0, (1, 2, 4, 5), 2.5), Patch(0, (0, 0, 3, 3), 2.0)]})
    >>> figure.axes[0].get_title()
    'channel 5'
    """
    pictures = [picture[0] for picture in _images(images, "plot_patches")]
    if not found:
        raise ValueError("[plot_patches] expected patches of at least one channel, got none")
    columns = max(1, min(columns, len(found)))
    rows = -(-len(found) // columns)
    figure = new_figure(1.25 * columns, 1.42 * rows + (0.4 if title else 0.1))
    if title:
        figure.suptitle(title, fontsize=11)
    for i, (name, patches) in enumerate(found.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_axis_off()
        axes.set_title(str(name), fontsize=8, color=INK, pad=2)
        if patches:
            axes.imshow(_square(pictures, patches), interpolation="nearest")
    return finish(figure, path)


def _square(pictures: list[np.ndarray], patches: Sequence[Patch]) -> np.ndarray:
    """Patches in rows and columns, light grey between them and where a patch is cut off by the image's edge."""
    cuts = [pictures[p.image][:, p.box[1] : p.box[3], p.box[0] : p.box[2]].transpose(1, 2, 0) for p in patches]
    side = max(1, *(max(cut.shape[:2]) for cut in cuts))
    gap = -(-side // 20)
    across = int(np.ceil(np.sqrt(len(cuts))))
    down = -(-len(cuts) // across)
    sheet = np.full((down * (side + gap) - gap, across * (side + gap) - gap, 3), 0.87)  # white would swallow white ones
    for i, cut in enumerate(cuts):
        top, left = (n * (side + gap) + (side - have) // 2
                     for n, have in zip(divmod(i, across), cut.shape, strict=False))  # fmt: skip
        sheet[top : top + cut.shape[0], left : left + cut.shape[1]] = np.clip(cut, 0, 1)
    return sheet
