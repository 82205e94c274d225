"""ONNX both ways: a digits network trained here, written for other tools, read back and run; and what is in the file.

    python examples/onnx_models.py            about a quarter of a minute on two cores
    python examples/onnx_models.py --short    a few batches

Needs the onnx package (`pip install ".[onnx]"`). The file runs in ONNX Runtime as well: where that is installed, its
outputs are compared.
"""

import argparse
import importlib.util
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl
import fastdl.onnx
from fastdl import nn, optim
from fastdl.data import DataLoader, load_digits
from fastdl.train import fit


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(1568, 10),
    )  # fmt: skip


def contents(file: Path) -> Counter:
    """How often each operator is in the file."""
    import onnx

    return Counter(node.op_type for node in onnx.load(file).graph.node)


def by_runtime(file: Path, images: np.ndarray) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few batches")
    add_device(parser)
    parser.add_argument("--out", help="where to leave the file (default: a temporary folder)")
    args = parser.parse_args(arguments)
    fastdl.manual_seed(0)
    train, test = load_digits(train=640 if args.short else 4000)
    model = network().to(args.device)
    batches = DataLoader(part(train, args.device), batch_size=64, shuffle=True)
    epochs = fewer(4 if args.short else 1, args.device)
    fit(model, batches, optim.Adam(model.parameters()), epochs=epochs)
    model.to("cpu").eval()

    images, labels = test.arrays[0][:200], test.arrays[1][:200]
    file = Path(args.out or tempfile.mkdtemp()) / "digits.onnx"
    free = {"images": {0: "batch"}, "scores": {0: "batch"}}  # written with one image, run with any number
    names = {"input_names": ["images"], "output_names": ["scores"]}
    fastdl.onnx.export(model, fastdl.ones(1, 1, 28, 28), file, dynamic_axes=free, **names)
    print(f"{file.name}: {file.stat().st_size / 1024:.0f} KB, {dict(contents(file))}")

    session = fastdl.onnx.load(file)
    print(session)
    scores = session.run(["scores"], {"images": images})[0]
    with fastdl.no_grad():
        expected = model(fastdl.tensor(images)).numpy()
    print(f"largest difference to the network: {np.abs(scores - expected).max():.1e}")
    if importlib.util.find_spec("onnxruntime"):
        print(f"largest difference to ONNX Runtime: {np.abs(scores - by_runtime(file, images)).max():.1e}")
    accuracy = float((scores.argmax(1) == labels).mean())
    print(f"accuracy of the file on {len(images)} unseen digits: {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
