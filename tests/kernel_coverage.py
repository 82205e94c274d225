"""`pytest --all-kernels`: fails unless the tests launched each kernel instantiation of the emulated device.

The instantiations are those of the module's symbol table. With pytest-xdist the workers' launches count together.
"""

from __future__ import annotations

import re

import pytest

from fastdl import emu

# Instantiations that no call of the surface reaches (regular expressions), each with the reason.
EXCEPTIONS = {
    r"(sum|join)_chunks<\w+, \d, unsigned long>": "2^32 places; lookups of numbers have no packs",
    r"keys_of_indices<unsigned long, .*>": "a table of 2^32 rows",
    r"copy_lines<unsigned char, \d+, (int|long)>": "embeddings are of floats; the copy knows sizes only",
    r"(find_rank|store_rank|search|make_keys|store_places)<bool>": "only sort takes bools, as it does bytes",
    r"sort_short_lines<.*Store(Rank|First)<bool> ?>": "likewise",
    r"emu::nothing": "the launches that a device refuses",
    r"emu::spin": "found only after seconds: among the slow tests",
}

_launched: set[tuple[str, int]] = set()


def _kernels() -> list[tuple[str, int, bool]]:
    from fastdl import backends

    return backends.get("emu").kernels() if emu.is_available() else []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-kernels", action="store_true", help="fail unless every emulated kernel was launched")


class Coverage:
    """Adds the launches of this process and of xdist's workers up."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        launched = [(name, offset) for name, offset, ran in _kernels() if ran]
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["kernels"] = launched
            return
        _launched.update(launched)
        if missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node) -> None:
        _launched.update(map(tuple, getattr(node, "workeroutput", {}).get("kernels", [])))

    def pytest_terminal_summary(self, terminalreporter) -> None:
        terminalreporter.section("kernels of the emulated device")
        terminalreporter.line(f"{len(_launched)} of {len(_kernels())} instantiations were launched; missing:")
        for name in missing():
            terminalreporter.line(f"  {name}")


def missing() -> list[str]:
    """Names of what was not launched and is no exception."""
    every = {(name, offset) for name, offset, _ in _kernels()}
    return sorted(name for name, _ in every - _launched if not any(re.fullmatch(e, name) for e in EXCEPTIONS))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--all-kernels"):
        config.pluginmanager.register(Coverage(), "kernel-coverage")
