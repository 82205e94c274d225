"""What a user pays before the first line runs: the time of `import fastdl`, and the size of the wheel."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

RUNS = 11
LIMIT = 0.08  # seconds that `import fastdl` may take over NumPy on a quiet core


def seconds(code: str, caches: str) -> float:
    """Median time of a fresh interpreter that runs this; a first one compiles its modules, as an installer does."""
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": caches, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def wheel_size() -> tuple[int, int]:
    """Bytes of the package as a wheel packs it, and unpacked: the files beside the imported fastdl, without caches."""
    import fastdl

    package = Path(fastdl.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "fastdl.whl"
        whole = 0
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as wheel:
            for path in sorted(package.rglob("*")):
                if (
                    path.is_file() and path.suffix in (".py", ".pyi", ".so", ".pyd", ".typed")
                ) or path.name == "py.typed":
                    whole += path.stat().st_size
                    wheel.write(path.resolve(), f"fastdl/{path.relative_to(package)}")
        return archive.stat().st_size, whole


def installed_size(name: str) -> int | None:
    """Bytes of an installed package's files; None if it is not there."""
    import importlib.metadata

    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return sum(path.stat().st_size for f in files if (path := Path(str(f.locate()))).is_file())


def main() -> None:
    theirs = installed_size("torch")
    with tempfile.TemporaryDirectory() as caches:
        base, numpy, mine = (seconds(code, caches) for code in ("pass", "import numpy", "import fastdl"))
        print(f"python {1e3 * base:.0f} ms, with numpy {1e3 * numpy:.0f} ms, with fastdl {1e3 * mine:.0f} ms: "
              f"fastdl takes {1e3 * (mine - numpy):.0f} ms over numpy, of {1e3 * LIMIT:.0f} allowed")  # fmt: skip
        if theirs is not None:
            took = 1e3 * (seconds("import torch", caches) - base)
            print(f"PyTorch takes {took:.0f} ms; installed {theirs / 1e6:.0f} MB")
    packed, whole = wheel_size()
    print(f"wheel {packed / 1e6:.1f} MB, installed {whole / 1e6:.1f} MB")
