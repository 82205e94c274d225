"""How pip builds fastdl: scikit-build-core, with nvcc out of PyPI's packages where CUDA is asked for and not installed.

`FASTDL_CUDA=ON pip install .` (or `-Ccmake.define.FASTDL_CUDA=ON`) on a machine without a CUDA toolkit asks pip for
them; they are there while fastdl is built and are not needed afterwards.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from scikit_build_core import build
from scikit_build_core.build import *  # noqa: F403

# Their versions belong together; nvcc 13.0 has code for 7.5 to 12.0.
NVCC = [f"nvidia-{part}==13.0.*" for part in ("cuda-nvcc", "nvvm", "cuda-crt", "cuda-cccl", "cuda-runtime")]


def nvcc_packages(config_settings: dict[str, Any] | None) -> list[str]:
    """What pip has to fetch for CUDA kernels: nothing with a toolkit, or where they are not asked for."""
    chosen = (config_settings or {}).get("cmake.define.FASTDL_CUDA", os.environ.get("FASTDL_CUDA", "AUTO"))
    there = shutil.which("nvcc") or os.environ.get("CUDACXX") or not sys.platform.startswith("linux")
    return [] if there or str(chosen).upper() != "ON" else NVCC


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    return [*build.get_requires_for_build_wheel(config_settings), *nvcc_packages(config_settings)]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    return [*build.get_requires_for_build_editable(config_settings), *nvcc_packages(config_settings)]


def name_nvcc(config_settings: dict[str, Any] | None) -> None:
    """Tells CMake where the packages' nvcc is, and the compiler where their libraries are (nvcc expects a lib64)."""
    if not nvcc_packages(config_settings):
        return
    import nvidia

    found = [nvcc for folder in nvidia.__path__ for nvcc in Path(folder).glob("cu*/bin/nvcc")]
    if found:
        os.environ["CUDACXX"] = str(found[0])
        os.environ["LIBRARY_PATH"] = str(found[0].parents[1] / "lib")


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    name_nvcc(config_settings)
    return build.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    name_nvcc(config_settings)
    return build.build_editable(wheel_directory, config_settings, metadata_directory)
