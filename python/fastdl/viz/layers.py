"""What layers have learned and what they answer: filters, feature maps, histograms of activations, alarms."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn.modes import evaluating
from ..nn.module import Module
from ..tensor import Tensor
from .figure import COLOURS, INK, MUTED, finish, new_figure, plain
from .images import plot_images

Path = str | os.PathLike | None


@contextlib.contextmanager
def activations(model: Module, layers: Sequence[str] | None = None) -> Iterator[dict[str, Tensor]]:
    """Outputs of layers by name, of the last forward pass inside the block; default all layers without children.

    >>> from fastdl import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with activations(model) as found:
    ...     _ = model(fastdl.ones(4, 2))
    >>> {name: out.shape for name, out in found.items()}
    {'0': (4, 3), '1': (4, 3)}
    """
    modules = dict(model.named_modules())
    names = [n for n, m in modules.items() if n and not list(m.children())] if layers is None else list(layers)
    unknown = [n for n in names if n not in modules]
    if unknown:
        raise ValueError(f"[activations] expected layers {', '.join(n for n in modules if n)}, got {unknown[0]!r}")
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: Module, args: Any, out: Any) -> None:
            found[name] = (out[0] if isinstance(out, tuple | list) else out).detach()

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def plot_filters(weight: Any, path: Path = None, columns: int = 8, title: str = "") -> Any:
    """A convolution's filters (O, I, h, w) as pictures: in colour for 3 input channels, else each one's mean over them.

    Grey: darker is larger. Colours are scaled from the least to the greatest weight of each filter.
    """
    w = _array(weight)
    if w.ndim != 4:
        raise ValueError(f"[plot_filters] expected weights (O, I, h, w), got shape {w.shape}")
    if w.shape[1] == 3:
        low, high = w.min((1, 2, 3), keepdims=True), w.max((1, 2, 3), keepdims=True)
        return plot_images((w - low) / np.maximum(high - low, 1e-12), path=path, columns=columns, title=title)
    return plot_images(w.mean(1), path=path, columns=columns, title=title)


@no_grad()
def plot_feature_maps(
    model: Module, image: Any, layer: str, path: Path = None, maps: int = 16, columns: int = 8
) -> Any:
    """What the channels of a layer answer to one image (C, H, W) or (1, C, H, W): the `maps` of greatest variance."""
    x = image if image.ndim == 4 else image.unsqueeze(0)
    with evaluating(model), activations(model, [layer]) as found:
        model(x)
    out = _array(found[layer])
    if out.ndim != 4:
        raise ValueError(f"[plot_feature_maps] expected a layer with maps (N, C, H, W), got shape {out.shape}")
    chosen = np.sort(np.argsort(-out[0].var((1, 2)), kind="stable")[:maps])
    return plot_images(out[0][chosen], [f"channel {i}" for i in chosen], path, columns, f"{layer}: {len(chosen)} maps")


def plot_activation_histograms(found: dict[str, Any], path: Path = None, bins: int = 60, columns: int = 3) -> Any:
    """A histogram for each entry of `activations(...)`, with its mean, deviation and share of zeros."""
    if not found:
        raise ValueError("[plot_activation_histograms] expected at least one layer, got none")
    columns = min(columns, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(3.6 * columns, 2.5 * rows)
    for i, (name, out) in enumerate(found.items()):
        values = _array(out).ravel()
        finite = values[np.isfinite(values)]
        axes = plain(figure.add_subplot(rows, columns, i + 1))
        axes.hist(finite, bins, color=COLOURS[0])
        axes.set_yscale("log")
        axes.set_title(name, fontsize=10, color=INK)
        axes.text(
            0.98,
            0.95,
            _described(values, finite),
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=8,
            color=INK,
        )
    figure.supxlabel("activation", fontsize=10)
    figure.supylabel("count", fontsize=10)
    return finish(figure, path)


def _described(values: np.ndarray, finite: np.ndarray) -> str:
    lines = []
    if finite.size:
        share = 100 * float((finite == 0).mean())
        lines = [f"mean {finite.mean():.2g}", f"deviation {finite.std():.2g}", f"zeros {share:.0f} %"]
    if finite.size < values.size:
        lines.append(f"not finite: {values.size - finite.size}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Alarm:
    """Something wrong with a layer's output."""

    layer: str
    what: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.what}"


def check_activations(found: dict[str, Any], outlier: float = 1e4) -> list[Alarm]:
    """NaNs, infinities, values beyond `outlier`, units that are zero for every item, and layers that answer one number.

    >>> [str(a) for a in check_activations({"fc": np.array([[0.0, 1.0], [0.0, float("nan")]])})]
    ['fc: 1 of 4 values are NaN', 'fc: 1 of 2 channels are zero for every item']
    """
    alarms = []
    for name, out in found.items():
        values = _array(out)
        for what, wrong in (("NaN", np.isnan(values)), ("infinite", np.isinf(values)),
                            (f"beyond {outlier:g}", np.isfinite(values) & (np.abs(values) > outlier))):  # fmt: skip
            if wrong.any():
                alarms.append(Alarm(name, f"{int(wrong.sum())} of {values.size} values are {what}"))
        if values.ndim >= 2 and values.size:
            dead = ~np.any(values != 0, axis=(0, *range(2, values.ndim)))
            if dead.any():
                alarms.append(Alarm(name, f"{int(dead.sum())} of {dead.size} channels are zero for every item"))
        if values.size > 1 and np.all(values == values.flat[0]) and values.flat[0] != 0:
            alarms.append(Alarm(name, f"every value is {values.flat[0]:g}"))
    return alarms


def plot_embedding(
    vectors: Any, labels: Sequence[Any] | None = None, path: Path = None, method: str = "pca", title: str = "",
    texts: Sequence[str] | None = None,
) -> Any:  # fmt: skip
    """Vectors (N, D) as points of a plane, coloured by label or named by `texts`.

    method: how they come to two dimensions, "pca" or "tsne" (scikit-learn's).
    """
    x = _array(vectors)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"[plot_embedding] expected at least 2 vectors (N, D), got shape {x.shape}")
    if method == "pca":
        from sklearn.decomposition import PCA

        flat = PCA(2).fit_transform(x) if x.shape[1] > 2 else x
    elif method == "tsne":
        from sklearn.manifold import TSNE

        flat = TSNE(perplexity=min(30, (len(x) - 1) / 3), random_state=0, init="pca").fit_transform(x)
    else:
        raise ValueError(f"[plot_embedding] expected method pca or tsne, got {method!r}")
    figure = new_figure(6 if labels is None else 6.8, 5.2)
    axes = plain(figure.add_subplot())
    groups = np.zeros(len(x), int) if labels is None else np.asarray(labels)
    kinds = np.unique(groups)
    from matplotlib import colormaps

    table = colormaps["tab10" if len(kinds) <= 10 else "tab20"]
    palette = [*COLOURS] if len(kinds) <= len(COLOURS) else [table(k) for k in range(table.N)]
    for i, kind in enumerate(kinds):
        mine = groups == kind
        axes.scatter(flat[mine, 0], flat[mine, 1], s=14, color=palette[i % len(palette)], label=str(kind), linewidths=0)
    for point, name in zip(flat, texts or [], strict=False):
        axes.annotate(name, point, xytext=(3, 3), textcoords="offset points", fontsize=8, color=INK)
    if labels is not None:
        axes.legend(frameon=False, fontsize=8, ncols=1 + len(kinds) // 25, markerscale=1.5, loc="upper left",
                    bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    axes.tick_params(labelcolor=MUTED)
    if title:
        axes.set_title(title, fontsize=11)
    return finish(figure, path)


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
