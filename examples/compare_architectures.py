"""All families of fastdl.models beside each other: parameters, multiply-adds, and measured time for one image.

    python examples/compare_architectures.py            some two minutes on one core; picture to ./out/architectures
    python examples/compare_architectures.py --short    the small networks

Every network runs on one image of the size that it was made for, on one thread: as it is ("eager") and as an inference
plan (`fastdl.compile`), in turns; each time is the median. The weights are random: time does not depend on them.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastdl
from fastdl import models
from fastdl.viz.figure import COLOURS, INK, finish, new_figure, plain

FAMILIES = {
    "AlexNet": ["alexnet", "alexnet_undivided", "alexnet_two_groups"],
    "VGG": ["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"],
    "Inception": ["googlenet", "googlenet_published", "inception_v3"],
    "ResNet": ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet50_published",
               "resnet101_published", "resnet152_published"],
    "MobileNet": ["mobilenet_v2"],
    "CIFAR": ["resnet20_cifar", "plain20_cifar", "resnet56_cifar", "plain56_cifar"],
    "digits": ["digits_network"],
}  # fmt: skip
# Where names stand beside their bubbles, else below on the right: so that none lies on another.
PLACES = {"ResNet": ((-9, 3), "right"), "MobileNet": ((-9, 3), "right"), "Inception": ((0, 9), "center"),
          "resnet18": ((7, -9), "left")}  # fmt: skip
INPUTS = {"inception_v3": (3, 299, 299), "alexnet_undivided": (3, 227, 227), "alexnet_two_groups": (3, 227, 227),
          "digits_network": (1, 28, 28)}  # fmt: skip


@dataclass
class Row:
    """A network: its numbers, and the time for one image in milliseconds."""

    name: str
    family: str
    side: int
    parameters: int
    multiply_adds: int
    eager: float
    plan: float


def input_of(name: str) -> tuple[int, int, int]:
    return INPUTS.get(name, (3, 32, 32) if name.endswith("_cifar") else (3, 224, 224))


def medians(calls: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """The median time of each call in milliseconds; they take turns, so that a busy moment hits all."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[0]) < 3:
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - start))
    return [float(np.median(times)) for times in taken]


def measure(name: str, family: str, seconds: float) -> Row:
    model = models.get_model(name).eval()
    image = fastdl.rand(1, *input_of(name))
    parameters = sum(p.numel() for p in model.parameters())
    with fastdl.no_grad():
        plan = fastdl.compile(model, image)
        eager_time, plan_time = medians([lambda: model(image), lambda: plan(image)], seconds)
        work = models.multiply_adds(model, image)
    return Row(name, family, image.shape[2], parameters, work, eager_time, plan_time)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'network':20} {'input':>5} {'parameters':>12} {'G mult-adds':>12} {'eager ms':>9} {'plan ms':>9} "
             f"{'plan GFLOP/s':>13}"]  # fmt: skip
    for r in rows:
        speed = 2 * r.multiply_adds / r.plan / 1e6
        lines.append(f"{r.name:20} {r.side:>5} {r.parameters:>12,} {r.multiply_adds / 1e9:>12.3f} {r.eager:>9.2f} "
                     f"{r.plan:>9.2f} {speed:>13.0f}")  # fmt: skip
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """A bubble a network, its area the number of parameters, and a whisker up to the time without a plan.

    Other forms of a network have nearly its place and are left out; so are networks for small images, unless there are
    no others.
    """
    shown = [r for r in rows if not r.name.endswith(("_bn", "_published", "_groups", "_undivided"))]
    shown = [r for r in shown if r.side > 100] or shown
    figure = new_figure(7.4, 5.0)
    axes = plain(figure.add_subplot())
    colours = dict(zip(FAMILIES, (*COLOURS, "#b8860b", "#5f7f8f", INK), strict=True))
    x, y = (np.array([getattr(r, what) for r in shown]) for what in ("multiply_adds", "plan"))
    x = x / 1e9
    for r, at, plan in zip(shown, x, y, strict=True):
        axes.plot([at, at], [plan, r.eager], color=colours[r.family], linewidth=1.2, zorder=3)
        axes.scatter(at, plan, s=4 + r.parameters / 1e6 * 5, color=colours[r.family], alpha=0.45, linewidths=0.8,
                     edgecolors="white")  # fmt: skip
        offset, align = PLACES.get(r.name, PLACES.get(r.family, ((9, -9), "left")))
        axes.annotate(r.name, (at, plan), xytext=offset, textcoords="offset points", fontsize=7.5, color=INK,
                      ha=align, zorder=4)  # fmt: skip
    speeds(axes, np.array([0.6 * x.min(), 2 * x.max()]))
    for millions in (1, 10, 100):
        axes.scatter([], [], s=4 + millions * 5, color="#999999", alpha=0.45, label=f"{millions} M parameters")
    axes.plot([], [], color="#999999", linewidth=1.2, label="up to the time without a plan")
    axes.set(xscale="log", yscale="log", xlabel="multiply-adds for one image (10$^9$)",
             ylabel="time for one image, one thread (ms)")  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False, fontsize=8, loc="upper left", labelspacing=1.4, borderpad=0.8)
    finish(figure, path)


def speeds(axes: Any, x: np.ndarray) -> None:
    """Lines of equal speed."""
    for speed in (30, 100, 300):
        axes.plot(x, 2e3 * x / speed, color="#bbbbbb", linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(f"{speed} GFLOP/s", (x[1], 2e3 * x[1] / speed), fontsize=7, color="#888888", ha="right",
                      va="bottom", xytext=(0, 3), textcoords="offset points")  # fmt: skip


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="networks of less than 4 million parameters")
    parser.add_argument("--seconds", type=float, default=0.5, help="time to measure each network for")
    parser.add_argument("--out", type=Path, default=Path("out/architectures"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    small = {"mobilenet_v2", "digits_network", *FAMILIES["CIFAR"]}
    threads = fastdl.get_num_threads()
    fastdl.set_num_threads(1)
    try:
        rows = [measure(name, family, args.seconds) for family, names in FAMILIES.items() for name in names
                if name in small or not args.short]  # fmt: skip
    finally:
        fastdl.set_num_threads(threads)
    print(table(rows))
    plot(rows, args.out / "architectures.png")
    return rows


if __name__ == "__main__":
    main()
