"""Peak memory of training steps, each in a fresh process: fastdl beside PyTorch's memory formats.

What counts is the growth over the process with the libraries imported and nothing made: parameters, their gradients,
the optimizer's moments, activations and scratch. The process of fastdl does not import PyTorch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MIB = 1 << 20
STEPS = 6


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def peak() -> int:
    """The most that it was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("[memory] expected VmHWM in /proc/self/status, got none")


def child(name: str, library: str, threads: int) -> None:
    """Trains in this process and prints what it took."""
    if library == "fastdl":
        sys.modules["torch"] = sys.modules["torchvision"] = None  # type: ignore[assignment]
    import fastdl
    from bench import peers, training

    fastdl.set_num_threads(threads)
    if library != "fastdl":
        peers.set_threads(threads)
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    network = training.NETWORKS[name]
    run = training.training(library, network.layers, network.shape, network.classes)
    for _ in range(STEPS):
        run()
    print(json.dumps({"before": before, "growth": peak() - before}))


def measured(name: str, library: str, threads: int) -> dict[str, int]:
    """Bytes before and the growth, of a process of its own."""
    code = f"from bench.memory import child; child({name!r}, {library!r}, {threads})"
    root = Path(__file__).parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


def compared(name: str, threads: int) -> dict[str, dict[str, int]]:
    """The figures of each library that is installed."""
    from bench import training

    return {library: measured(name, library, threads) for library in
            training.libraries_for(training.NETWORKS[name].shape)}  # fmt: skip


def main(threads: int) -> None:
    from bench import training

    print(f"peak memory over the imported library, {STEPS} training steps, {threads} thread(s), MiB")
    print(f"{'':54}{'fastdl':>9}{'PyTorch':>9}{'share':>8}")
    for name in training.NETWORKS:
        found = compared(name, threads)
        mine = found["fastdl"]["growth"]
        theirs = min((f["growth"] for library, f in found.items() if library != "fastdl"), default=0)
        share = f"{mine / theirs:8.2f}" if theirs else ""
        print(f"{name:54}{mine / MIB:9.1f}{theirs / MIB:9.1f}{share}")
