"""The table and the roofline picture of a benchmark run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

COLUMNS = ("kernel", "pass", "threads", "time", "rate", "of limit", "PyTorch", "goal", "NumPy")


def seconds(t: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if t >= scale:
            return f"{t / scale:.3g} {unit}"
    return f"{t / 1e-9:.3g} ns"


def row(record: dict[str, Any]) -> list[str]:
    rate, share = "", ""
    if record.get("rate"):
        rate = f"{record['rate'] / 1e9:.1f} G{record['limit']}"
        share = f"{100 * record['share_of_limit']:.0f} %"
    torch, numpy = (f"{record['ratio'][p]:.2f}x" if p in record["ratio"] else "" for p in ("PyTorch", "NumPy"))
    goal = f"{record['goal']:g}x" if record.get("goal") else ""
    taken = seconds(record["seconds"])
    return [record["name"], record["pass"], str(record["threads"]), taken, rate, share, torch, goal, numpy]


def table(records: list[dict[str, Any]]) -> str:
    """Markdown; a ratio is the peer's time over ours: above 1 fastdl is faster."""
    return markdown(COLUMNS, [row(r) for r in records])


def markdown(head: tuple[str, ...], body: list[list[str]]) -> str:
    rows = [list(head), *body]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def geometric_mean(numbers: list[float]) -> float:
    return math.exp(sum(map(math.log, numbers)) / len(numbers))


def families(records: list[dict[str, Any]]) -> str:
    """A line for each room: how many rows, geometric mean and least of the ratios to PyTorch, by number of threads."""
    counts = sorted({r["threads"] for r in records})
    lines = []
    for kernel in dict.fromkeys(r["kernel"] for r in records):
        cells = []
        for threads in counts:
            mine = [r for r in records if r["kernel"] == kernel and r["threads"] == threads and "PyTorch" in r["ratio"]]
            ratios = [r["ratio"]["PyTorch"] for r in mine]
            cells += [str(len(mine)), f"{geometric_mean(ratios):.2f}x", f"{min(ratios):.2f}x"] if mine else ["", "", ""]
        lines.append([kernel, *cells[:1], *(c for i, c in enumerate(cells) if i % 3)])
    head = [h for n in counts for h in (f"mean, {n} thread{'s' * (n > 1)}", "least")]
    return markdown(("room", "rows", *head), lines)


def page(
    path: Path, title: str, peaks: dict[int, float], bandwidth: dict[int, float], records: list[dict[str, Any]]
) -> str:
    """Everything as a Markdown page, which says where it is to lie."""
    machine = [
        f"- {n} thread(s): {peaks[n] / 1e9:.0f} GFLOP/s of multiply-adds, {bandwidth[n] / 1e9:.1f} GB/s from memory"
        for n in peaks
    ]
    lines = [
        "# Benchmarks", "",
        f"Written by `python bench/run.py --markdown {path}`.",
        "A ratio is the peer's time over fastdl's in the same run: above 1 fastdl is faster. PyTorch stands for",
        "its better memory format. The limit is the machine's: multiply-adds on registers, or bytes to and from",
        "memory, whichever a kernel meets first (Winograd convolutions pass it, since they multiply less, products on",
        "the tile unit of a Xeon, which multiplies faster, and arrays that the last cache holds).", "",
        title + ":", "", *machine, "", families(records), "", table(records), "",
    ]  # fmt: skip
    return "\n".join(lines)


def verdict(records: list[dict[str, Any]]) -> str:
    """How far the rows with a goal are, in lines of text."""
    rows = [r for r in records if r.get("goal") and "PyTorch" in r["ratio"]]
    if not rows:
        return "no row with a goal has a peer to be compared with"
    mean = geometric_mean([r["ratio"]["PyTorch"] for r in rows])
    lines = [f"{len(rows)} rows with a goal, geometric mean {mean:.2f}x"]
    behind = [r for r in rows if r["ratio"]["PyTorch"] < 1]
    short = [r for r in rows if 1 <= r["ratio"]["PyTorch"] < r["goal"]]
    for title, missed in (("behind the peer", behind), ("ahead, but short of the goal", short)):
        lines.append(f"{title}: {len(missed)}")
        lines += [
            f"  {r['name']} {r['pass']}, {r['threads']} thread(s): {r['ratio']['PyTorch']:.2f}x of {r['goal']:g}x"
            for r in missed
        ]
    return "\n".join(lines)


def roofline(records: list[dict[str, Any]], peak: float, bandwidth: float, path: str, title: str) -> None:
    """Each kernel as a point under what memory and arithmetic allow."""
    from fastdl.viz.figure import COLOURS, MUTED, new_figure, plain

    points = [r for r in records if r.get("flops") and r.get("bytes") and r["pass"] == "forward"]
    figure = new_figure(8, 5)
    axes = plain(figure.add_subplot())
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = 0.05, 2000.0
    ridge = peak / bandwidth
    axes.plot([low, ridge, high], [low * bandwidth / 1e9, peak / 1e9, peak / 1e9], color=MUTED, linewidth=1.5)
    axes.text(high, peak / 1e9 * 1.08, f"{peak / 1e9:.0f} GFLOP/s", ha="right", fontsize=9, color=MUTED)
    axes.text(low * 1.2, low * 4 * bandwidth / 1e9, f"{bandwidth / 1e9:.1f} GB/s", fontsize=9, color=MUTED)
    for i, kind in enumerate(dict.fromkeys(r["kernel"] for r in points)):
        mine = [r for r in points if r["kernel"] == kind]
        x = [r["flops"] / r["bytes"] for r in mine]
        y = [r["flops"] / r["seconds"] / 1e9 for r in mine]
        axes.scatter(
            x, y, s=34, color=COLOURS[i % len(COLOURS)], marker="osD^v<>P"[i // len(COLOURS) % 8], label=kind, zorder=3
        )
    axes.set_xlabel("operations for each byte that must move (FLOP/byte)")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(title, fontsize=11)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    figure.savefig(path)
