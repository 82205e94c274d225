"""Whole networks in evaluation: fastdl eager and as a plan, beside PyTorch, ONNX Runtime and OpenVINO in float32.

The networks have equal shapes and random weights; ONNX Runtime and OpenVINO read the file that fastdl writes.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastdl
from bench import machine, peers
from bench.row import Call, torch, torchvision
from fastdl import models
from fastdl.testing import compare

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

try:
    import openvino
except ImportError:
    openvino = None


class Network(NamedTuple):
    """A network, the size of its images, and the least ratio of the best peer's time to a plan's."""

    name: str  # in `fastdl.models` and torchvision.models, or "unet"
    size: int
    goal: float


NETWORKS = (
    Network("alexnet", 224, 1.0),
    Network("vgg16", 224, 1.6),
    Network("googlenet", 224, 1.15),
    Network("inception_v3", 299, 1.15),
    Network("resnet18", 224, 1.4),
    Network("resnet50", 224, 1.25),
    Network("mobilenet_v2", 224, 1.0),
    Network("unet", 256, 1.6),
)


def unet(library: Any, base: int = 32, classes: int = 2) -> Any:
    """U-Net (Ronneberger et al., 2015) with batch norm; `library` is fastdl or torch."""
    nn = library.nn

    def twice(channels: int, out: int) -> Any:
        layers = []
        for c in (channels, out):
            layers += [nn.Conv2d(c, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [base << i for i in range(5)]
            self.down = nn.ModuleList([twice(c, k) for c, k in zip([3, *widths[:-1]], widths, strict=True)])
            self.up = nn.ModuleList([nn.ConvTranspose2d(2 * k, k, 2, stride=2) for k in widths[-2::-1]])
            self.joined = nn.ModuleList([twice(2 * k, k) for k in widths[-2::-1]])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(base, classes, 1)

        def forward(self, x: Any) -> Any:
            skipped = []
            for i, block in enumerate(self.down):
                x = block(x if i == 0 else self.pool(x))
                skipped.append(x)
            skipped.pop()
            for up, block in zip(self.up, self.joined, strict=True):
                x = block(library.cat([skipped.pop(), up(x)], dim=1))
            return self.head(x)

    return UNet()


def _torch_calls(name: str, x: np.ndarray) -> dict[str, Call]:
    if torch is None or torchvision is None:
        return {}
    more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = unet(torch) if name == "unet" else getattr(torchvision.models, name)(weights=None, **more)

    def call(memory_format: Any) -> Call:
        theirs = copy.deepcopy(model).eval().to(memory_format=memory_format)
        images = torch.from_numpy(x).contiguous(memory_format=memory_format)

        def run() -> Any:
            with torch.no_grad():
                return theirs(images)

        return run

    return {"PyTorch": call(torch.contiguous_format), "PyTorch channels_last": call(torch.channels_last)}


def _onnxruntime_call(path: Path, x: np.ndarray, threads: int) -> dict[str, Call]:
    if onnxruntime is None:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return {"ONNX Runtime": lambda: session.run(None, feed)}


def _openvino_call(path: Path, x: np.ndarray, threads: int) -> dict[str, Call]:
    if openvino is None:
        return {}
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return {"OpenVINO": lambda: request.infer({0: x})}


def calls(name: str, size: int, batch: int, threads: int) -> dict[str, Call]:
    """One evaluation in each library; peers that are not installed are left out."""
    x = np.random.default_rng(0).standard_normal((batch, 3, size, size), dtype=np.float32)
    model = (unet(fastdl) if name == "unet" else getattr(models, name)()).eval()
    images = fastdl.tensor(x)
    plan = fastdl.compile(model, images)

    def eager() -> Any:
        with fastdl.no_grad():
            return model(images)

    functions: dict[str, Callable[[], Any]] = {"plan": lambda: plan(images), "eager": eager}
    functions |= _torch_calls(name, x)
    if onnxruntime is not None or openvino is not None:
        from fastdl.onnx import export

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            export(model, images, path)
            functions |= _onnxruntime_call(path, x, threads) | _openvino_call(path, x, threads)
    return functions


def main(counts: list[int], slices: int, batches: tuple[int, ...], only: list[str] | None = None) -> None:
    """Prints milliseconds and two ratios: of the best peer to the plan, of the better PyTorch to eager.

    `only` are names of networks; all, if there is none. With threads, at the end how long two of them take to meet
    (`machine.core_distance`), the worse of before and after.
    """
    unknown = set(only or ()) - {network.name for network in NETWORKS}
    if unknown:
        raise ValueError(f"[networks] expected names of {[n.name for n in NETWORKS]}, got {sorted(unknown)}")
    if not batches or min(batches) < 1:
        raise ValueError(f"[networks] expected batches of at least 1, got {list(batches)}")
    columns = ("plan", "eager", "PyTorch", "PyTorch channels_last", "ONNX Runtime", "OpenVINO")
    titles = ("plan", "eager", "PyTorch", "ch. last", "ONNX RT", "OpenVINO")
    head = "".join(f"{t:>10}" for t in titles)
    print(f"{'network, ms':14}{'batch':>6}{'thr.':>5}{head}{'plan':>9}{'eager':>8}")
    for threads in counts:
        fastdl.set_num_threads(threads)
        peers.set_threads(threads)
        for batch in batches:
            for network in NETWORKS:
                if only and network.name not in only:
                    continue
                functions = calls(network.name, network.size, batch, threads)
                before = machine.core_distance()
                found = compare(functions, slices)
                apart = max(before, machine.core_distance()) * 1e9
                taken = {name: found.timings[name].median for name in functions}
                cells = "".join(f"{taken[c] * 1e3:10.1f}" if c in taken else f"{'':10}" for c in columns)
                others = [name for name in functions if name not in ("plan", "eager")]
                formats = [name for name in others if name.startswith("PyTorch")]
                best = found.ratio(min(others, key=taken.__getitem__), to="plan") if others else float("nan")
                eager = found.ratio(min(formats, key=taken.__getitem__), to="eager") if formats else float("nan")
                print(
                    f"{network.name:14}{batch:6}{threads:5}{cells}{best:8.2f}x{eager:7.2f}x  (goal {network.goal:g}x)"
                    + (f"  {apart:.0f} ns" if threads > 1 else ""),
                    flush=True,
                )
