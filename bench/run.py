"""Times every kernel against this machine's limits and against its peers, interleaved in one run.

    python bench/run.py                         kernels and training steps, on one thread and on all
    python bench/run.py --suite kernels         the kernels of bench/rows
    python bench/run.py --suite training        whole training steps
    python bench/run.py --suite grid            convolutions over a grid of shapes, to find cliffs
    python bench/run.py --suite denormals       every kernel on ordinary numbers and on denormal ones
    python bench/run.py --suite memory          peak memory of the training steps, each in a process of its own
    python bench/run.py --suite package         time of the import, size of the wheel
    python bench/run.py --suite networks        whole networks in evaluation, also beside ONNX Runtime and OpenVINO
    python bench/run.py --only conv2d matmul    some files of bench/rows (or, with networks, some networks)
    python bench/run.py --json results.json --markdown docs/benchmarks.md --roofline docs/roofline.png

A ratio is the peer's time divided by fastdl's, the median over slices that took turns: above 1 fastdl is faster.
PyTorch stands for its better memory format, NumPy runs on one thread. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's pool would spin on the cores of the others

import fastdl
from bench import denormals, grid, machine, memory, networks, package, peers, report, training
from bench.calls import case_of, fastdl_call, inputs_of
from bench.row import Call, Row
from bench.rows import rows_by_file
from fastdl.testing import compare


def functions_of(row: Row, device: str, threads: int) -> tuple[dict[str, Call], float | None, float | None]:
    """The callables of a row, and how many operations and bytes fastdl's needs."""
    if row.make is not None:
        return row.make(), row.flops, row.bytes
    case, arrays = case_of(row), inputs_of(row)
    attributes = case.call_attributes(row.attributes)
    differentiable = [row.backward and case.is_differentiable(i, a) for i, a in enumerate(arrays)]
    functions = {"fastdl": fastdl_call(row, arrays, device)}
    functions |= peers.torch_variants(row, arrays, attributes, differentiable)
    if row.backward:
        return functions, None, None
    if threads == 1:
        functions |= peers.numpy_variant(row.case, arrays, attributes)
    flops = case.flops(*arrays, **attributes) if case.flops else None
    return functions, flops, case.bytes(*arrays, **attributes) if case.bytes else None


def measured(functions: dict[str, Call], slices: int) -> tuple[float, dict[str, float]]:
    """Our seconds, and the ratio to each peer; the faster format of PyTorch counts."""
    found = compare(functions, slices)
    formats = [n for n in functions if n.startswith("PyTorch")]
    ratios = {n: found.ratio(n, to="fastdl") for n in functions if n != "fastdl" and n not in formats}
    if formats:
        best = min(formats, key=lambda n: found.timings[n].median)
        ratios["PyTorch"] = found.ratio(best, to="fastdl")
    return found.timings["fastdl"].median, ratios


def run_row(row: Row, kernel: str, threads: int, args: argparse.Namespace) -> dict:
    functions, flops, least_bytes = functions_of(row, args.device, threads)
    before = machine.fma_peak()
    taken, ratios = measured(functions, args.slices)
    peak = statistics.mean([before, machine.fma_peak()])
    direction = "forward + backward" if row.backward else "forward" if row.make is None else ""
    record = {"name": row.name, "kernel": kernel, "pass": direction, "threads": threads, "seconds": taken}
    record |= {"ratio": ratios, "goal": row.goal, "flops": flops, "bytes": least_bytes}
    if flops or least_bytes:
        limits = {"FLOP/s": (flops or 0.0) / peak, "B/s": (least_bytes or 0.0) / args.bandwidth[threads]}
        limit = max(limits, key=lambda unit: limits[unit])
        rate = (flops if limit == "FLOP/s" else least_bytes) / taken
        record |= {"limit": limit, "rate": rate, "share_of_limit": limits[limit] / taken}
    return record


def chosen(args: argparse.Namespace) -> list[tuple[str, Row]]:
    """The rows asked for, with the name of their file."""
    found = [(name, row) for name, rows in rows_by_file().items() for row in rows]
    if args.suite == "training":
        found = []
    if args.suite != "kernels":
        found += [("training", row) for row in training.ROWS]
    return [(name, row) for name, row in found if not args.only or name in args.only]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    suites = ("all", "kernels", "training", "networks", "grid", "denormals", "memory", "package")
    parser.add_argument("--suite", choices=suites, default="all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", help="names of files in bench/rows, training, or networks")
    parser.add_argument("--threads", type=int, nargs="*", help="default: 1 and all")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8], help="of networks")
    parser.add_argument("--slices", type=int, default=11)
    parser.add_argument("--json", type=Path, help="write all figures")
    parser.add_argument("--markdown", type=Path, help="write the tables as a page")
    parser.add_argument("--roofline", type=Path, help="write the roofline picture")
    args = parser.parse_args()
    counts = args.threads or sorted({1, len(os.sched_getaffinity(0))})
    if args.suite == "grid":
        return grid.main(counts[0])
    if args.suite == "denormals":
        return denormals.main(counts[0], args.only)
    if args.suite == "memory":
        return memory.main(counts[0])
    if args.suite == "package":
        return package.main()
    if args.suite == "networks":
        return networks.main(counts, args.slices, tuple(args.batches), args.only)

    records, args.bandwidth, peaks = [], {}, {}
    for threads in counts:
        fastdl.set_num_threads(threads)
        peers.set_threads(threads)
        # the best of three: workers begin at the first
        peaks[threads] = max(machine.fma_peak() for _ in range(3))
        args.bandwidth[threads] = machine.bandwidth()
        for kernel, row in chosen(args):
            records.append(run_row(row, kernel, threads, args))
            apart = f" {machine.core_distance() * 1e9:.0f} ns" if threads > 1 else ""
            print(report.table(records[-1:]).splitlines()[-1] + apart, file=sys.stderr, flush=True)
    title = f"{machine.processor()}, {fastdl.backends.get('cpu').isa()}"
    for threads in counts:
        print(
            f"{title}, {threads} thread(s): "
            f"{peaks[threads] / 1e9:.0f} GFLOP/s, {args.bandwidth[threads] / 1e9:.1f} GB/s"
        )
    print(report.table(records))
    print(report.families(records))
    print(report.verdict(records))
    if args.markdown:
        args.markdown.write_text(report.page(args.markdown, title, peaks, args.bandwidth, records))
    if args.json:
        args.json.write_text(
            json.dumps({"machine": title, "peak": peaks, "bandwidth": args.bandwidth, "rows": records}, indent=1)
        )
    if args.roofline:
        one = counts[0]
        mine = [r for r in records if r["threads"] == one]
        report.roofline(mine, peaks[one], args.bandwidth[one], str(args.roofline), f"{title}, {one} thread(s)")
    return None


if __name__ == "__main__":
    main()
