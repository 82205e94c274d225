"""From the files of a set to arrays, lists of words, and pictures: one reader a format."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, Any]
Reader = Callable[[list[Path]], Found]


def picture(path: Path) -> np.ndarray:
    """(C, H, W) in [0, 1], C 1 or 3; other numbers of bits are kept as they are."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"[data] expected Pillow to read {path.name}, got none: run `pip install pillow`") from None
    with Image.open(path) as image:
        x = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "P", "LA", "CMYK") else image)
    x = x[None] if x.ndim == 2 else x.transpose(2, 0, 1)
    return np.ascontiguousarray(x, np.float32) / 255 if x.dtype == np.uint8 else np.ascontiguousarray(x)


def pictures(paths: list[Path]) -> Found:
    """Pictures by the names of their files."""
    return {path.stem: picture(path) for path in paths}


def labelled_pictures(paths: list[Path]) -> Found:
    """Files name_number_label.png: "images" (N, C, H, W), or a list where sizes differ, and "labels"."""
    ordered = sorted(paths)
    labels = [int(path.stem.rpartition("_")[2]) for path in ordered]
    found = [picture(path) for path in ordered]
    one_size = len({x.shape for x in found}) == 1
    return {"images": np.stack(found) if one_size else found, "labels": np.asarray(labels)}


def mnist(paths: list[Path]) -> Found:
    with gzip.open(paths[0], "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return {"images": table[:, :-1].reshape(-1, 1, 28, 28) / np.float32(255), "labels": table[:, -1].astype(np.int64)}


def faces(paths: list[Path]) -> Found:
    """The first half of the patches are faces."""
    x = np.load(paths[0], allow_pickle=False).astype(np.float32)[:, None]
    return {"images": x, "labels": (np.arange(len(x)) < len(x) // 2).astype(np.int64)}


def nuclei(paths: list[Path]) -> Found:
    image, masks = (picture(path) for path in paths)
    return {"image": image.astype(np.float32) / image.max(), "masks": masks[0].astype(np.int64)}


def volumes(paths: list[Path]) -> Found:
    """Brightness and shares of tissue, from 0 to 1."""
    return {name: _nifti(path) / 255 for name, path in zip(("t1", "grey", "white"), paths, strict=True)}


def _nifti(path: Path) -> np.ndarray:
    """NIfTI-1: a header of 348 bytes, then the numbers, the first axis the fastest."""
    raw = gzip.decompress(path.read_bytes())
    kinds = {2: "<u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8"}
    ndim, *shape = np.frombuffer(raw, "<i2", 8, 40)
    start = int(np.frombuffer(raw, "<f4", 1, 108)[0])
    slope, intercept = np.frombuffer(raw, "<f4", 2, 112)
    kind = kinds[int(np.frombuffer(raw, "<i2", 1, 70)[0])]
    numbers = np.frombuffer(raw, kind, int(np.prod(shape[:ndim])), start).reshape(shape[:ndim], order="F")
    return (numbers * (slope or 1.0) + intercept).astype(np.float32)


def annotated(paths: list[Path]) -> Found:
    notes = json.loads(paths[1].read_text())
    box = notes["bounding_boxes"][0]
    return {
        "image": picture(paths[0]), "boxes": np.array([[box[k] for k in ("x1", "y1", "x2", "y2")]], np.float32),
        "keypoints": np.array([[[p["x"], p["y"]] for p in notes["keypoints"]]], np.float32),
        "keypoint_names": [p["label"] for p in notes["keypoints"]],
        "polygon": np.array([[p["x"], p["y"]] for p in notes["polygons"][0]["keypoints"]], np.float32),
    }  # fmt: skip


def table(paths: list[Path]) -> Found:
    """A CSV file with a header: a column an array, of floats where all can be read as such, else of str."""
    with open(paths[0], newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row]
    return {name.strip(): _column([row[i] for row in rows]) for i, name in enumerate(header)}


def _column(cells: list[str]) -> np.ndarray:
    try:
        return np.array([float(cell) if cell.strip() else np.nan for cell in cells])
    except ValueError:
        return np.array(cells)


def cars(paths: list[Path]) -> Found:
    """Numbers of cars: "data" is (cylinders, displacement, horsepower, weight, acceleration, origin)."""
    rows = [line.split(",") for line in gzip.decompress(paths[0].read_bytes()).decode().splitlines() if line]
    numbers = np.array([[float(cell) for cell in (*row[:5], row[6], row[5], row[-1])] for row in rows])
    return {"data": numbers[:, :6], "year": numbers[:, 6].astype(np.int64), "target": numbers[:, 7]}


def scikit_table(paths: list[Path]) -> Found:
    """scikit-learn's CSV: "data" and "target", after a line of counts and names of the classes."""
    raw = paths[0].read_bytes()
    lines = (gzip.decompress(raw) if paths[0].suffix == ".gz" else raw).decode().splitlines()
    first = lines[0].split(",")
    has_names = not _is_number(first[-1])
    rows = np.array([line.split(",") for line in lines[has_names:]], np.float64)
    found: Found = {"data": rows[:, :-1], "target": rows[:, -1].astype(np.int64)}
    return found | ({"target_names": first[2:]} if has_names else {})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def parquet(columns: dict[str, str], dropped: bool = True) -> Reader:
    """A parquet file: the columns wanted (name in the file: name here; none: all), without rows that lack one."""

    def read(paths: list[Path]) -> Found:
        try:
            import pandas

            frame = pandas.read_parquet(paths[0])
        except ImportError as error:
            message = f"[data] expected pandas and pyarrow to read {paths[0].name}, got {error}"
            raise ImportError(f"{message}: run `pip install pandas pyarrow`") from None
        frame = frame[list(columns)].rename(columns=columns) if columns else frame
        frame = frame.dropna() if dropped else frame
        return {name: column.to_numpy(object if column.dtype.kind not in "biuf" else column.dtype)
                for name, column in frame.items()}  # fmt: skip

    return read


def documents(paths: list[Path]) -> Found:
    """A document a line, words apart."""
    lines = paths[0].read_text(encoding="utf-8").splitlines()
    return {"documents": [line.split() for line in lines if line.strip()]}


def word_pairs(paths: list[Path]) -> Found:
    """Pairs of words and how alike people find them."""
    rows = [line.split("\t") for line in paths[0].read_text().splitlines() if line.strip() and line[0] != "#"]
    return {"pairs": [(a, b) for a, b, _ in rows], "similarity": np.array([float(s) for _, _, s in rows])}


def analogies(paths: list[Path]) -> Found:
    found, sections, section = [], [], ""
    for line in paths[0].read_text(encoding="utf-8").splitlines():
        if line.startswith(":"):
            section = line[1:].strip()
        elif len(words := line.split()) == 4:
            found.append(tuple(words))
            sections.append(section)
    return {"analogies": found, "sections": sections}


def pronunciations(paths: list[Path]) -> Found:
    rows = [line.partition(" #")[0].split() for line in paths[0].read_text(encoding="utf-8").splitlines()]
    return {"words": [row[0] for row in rows if row], "phones": [row[1:] for row in rows if row]}


def series(paths: list[Path]) -> Found:
    """Files name_TRAIN.ts and name_TEST.ts: series (channels, time), as arrays (N, C, T) where all are as long."""
    found: Found = {}
    for path in sorted(paths, reverse=True):
        part = "train" if "TRAIN" in path.stem else "test"
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#@"]
        items = [line.split(":") for line in lines]
        x = [np.array([channel.split(",") for channel in channels], np.float32) for *channels, _ in items]
        found[f"x_{part}"] = np.stack(x) if len({a.shape for a in x}) == 1 else x
        found[f"y_{part}"] = np.array([item[-1] for item in items])
    return found


def weights(*names: str) -> Reader:
    """PyTorch's files: a state dict, or several by name."""

    def read(paths: list[Path]) -> Found:
        from ..torch_files import load_torch

        found = [load_torch(path) for path in paths]
        return dict(zip(names, found, strict=True)) if names else found[0]

    return read
