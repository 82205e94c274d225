"""Real data that ships inside installed Python packages. Nothing here touches the network."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path


def installed_file(package: str, name: str, sha256: str) -> Path:
    """Path of a file that an installed package brought, after its content was checked. The package is not imported.

    Args:
        package: name of the distribution on PyPI.
        name: path of the file as the package lists it.
        sha256: what the file must hash to.

    Raises:
        FileNotFoundError: with the command that installs the package.
        ValueError: when the file has another content.
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"[data] expected the package {package} for {name}, got none: run `pip install {package}`"
        ) from None
    for entry in files:
        if str(entry) == name:
            path = Path(str(entry.locate()))
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != sha256:
                raise ValueError(f"[data] expected {name} with SHA-256 {sha256}, got {found}")
            return path
    version = importlib.metadata.version(package)
    raise FileNotFoundError(f"[data] expected the file {name} in {package}, got version {version} without it")
