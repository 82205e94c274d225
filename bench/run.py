"""Times every kernel against this machine's limits and against its peers, interleaved in one run.

    python bench/run.py                         everything, one thread and all threads
    python bench/run.py --only conv2d matmul    some cases
    python bench/run.py --training              whole training steps only
    python bench/run.py --json results.json --roofline roofline.png

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

import numpy as np

import fastdl
from bench import machine, peers, report, training
from fastdl.testing import OpCase, compare
from tests.cases import all_cases

DIFFERENTIATED = {"conv2d", "max_pool2d", "linear", "matmul", "relu", "dropout", "cross_entropy", "softmax"}


def describe(case: OpCase, attributes: dict) -> str:
    parts = [f"{k}={v}" if not isinstance(v, tuple) else f"{k} {'x'.join(map(str, v))}" for k, v in attributes.items()]
    return f"{case.name} {', '.join(parts)}"


def fastdl_call(case: OpCase, arrays: list[np.ndarray], attributes: dict, device: str, backward: bool):
    tensors = case.tensors(arrays, device, "float32", requires_grad=backward)
    attributes = case.call_attributes(attributes)
    if not backward:

        def forward():
            with fastdl.no_grad():
                return case.call(*tensors, **attributes)

        return forward
    out = case.call(*tensors, **attributes)
    grad = fastdl.ones_like(out[0] if isinstance(out, tuple) else out)

    def both():
        for t in tensors:
            t.grad = None
        out = case.call(*tensors, **attributes)
        (out[0] if isinstance(out, tuple) else out).backward(grad)

    return both


def measured(functions: dict, slices: int) -> tuple[float, dict[str, float]]:
    """Our seconds, and the ratio to each peer; the faster format of PyTorch counts."""
    found = compare(functions, slices)
    formats = [n for n in functions if n.startswith("PyTorch")]
    ratios = {}
    if formats:
        best = min(formats, key=lambda n: found.timings[n].median)
        ratios["PyTorch"] = found.ratio(best, to="fastdl")
    if "NumPy" in functions:
        ratios["NumPy"] = found.ratio("NumPy", to="fastdl")
    return found.timings["fastdl"].median, ratios


def run_case(case: OpCase, attributes: dict, threads: int, backward: bool, args: argparse.Namespace) -> dict:
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in case.make(attributes, seed=0)]
    functions = {"fastdl": fastdl_call(case, arrays, attributes, args.device, backward)}
    call_attributes = case.call_attributes(attributes)
    functions |= peers.torch_variants(case.name, arrays, call_attributes, backward)
    if not backward and threads == 1:
        functions |= peers.numpy_variant(case.name, arrays, call_attributes)
    before = machine.fma_peak()
    taken, ratios = measured(functions, args.slices)
    peak = statistics.mean([before, machine.fma_peak()])
    direction = "forward + backward" if backward else "forward"
    record = {"name": describe(case, attributes), "kernel": case.name, "pass": direction, "threads": threads}
    record |= {"seconds": taken, "ratio": ratios}
    if not backward:
        record["flops"] = case.flops(*arrays, **call_attributes) if case.flops else None
        record["bytes"] = case.bytes(*arrays, **call_attributes) if case.bytes else None
        if record["flops"]:
            record["flops_per_second"] = record["flops"] / taken
            record["share_of_peak"] = record["flops"] / taken / peak
        elif record["bytes"]:
            record["bytes_per_second"] = record["bytes"] / taken
            record["share_of_peak"] = record["bytes"] / taken / args.bandwidth[threads]
    return record


def kernel_records(threads: int, args: argparse.Namespace) -> list[dict]:
    records = []
    for case in all_cases():
        if args.only and case.name not in args.only:
            continue
        for attributes in case.bench_sizes:
            for backward in (False, True) if case.name in DIFFERENTIATED else (False,):
                records.append(run_case(case, dict(attributes), threads, backward, args))
                print(report.table(records[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return records


def training_records(threads: int, args: argparse.Namespace) -> list[dict]:
    records = []
    for name, make in training.ROWS.items():
        taken, ratios = measured(make(), args.slices)
        records.append(
            {"name": name, "kernel": "training", "threads": threads, "seconds": taken, "ratio": ratios, "pass": ""}
        )
        print(report.table(records[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--training", action="store_true", help="training steps only")
    parser.add_argument("--threads", type=int, nargs="*", help="default: 1 and all")
    parser.add_argument("--slices", type=int, default=11)
    parser.add_argument("--json", type=Path, help="write all figures")
    parser.add_argument("--roofline", type=Path, help="write the roofline picture")
    args = parser.parse_args()
    counts = args.threads or sorted({1, len(os.sched_getaffinity(0))})

    records, args.bandwidth, peaks = [], {}, {}
    for threads in counts:
        fastdl.set_num_threads(threads)
        peers.set_torch_threads(threads)
        peaks[threads], args.bandwidth[threads] = machine.fma_peak(), machine.bandwidth()
        if not args.training:
            records += kernel_records(threads, args)
        if args.training or not args.only:
            records += training_records(threads, args)
    title = f"{machine.processor()}, {fastdl.backends.get('cpu').isa()}"
    for threads in counts:
        print(
            f"{title}, {threads} thread(s): "
            f"{peaks[threads] / 1e9:.0f} GFLOP/s, {args.bandwidth[threads] / 1e9:.1f} GB/s"
        )
    print(report.table(records))
    if args.json:
        args.json.write_text(
            json.dumps({"machine": title, "peak": peaks, "bandwidth": args.bandwidth, "rows": records}, indent=1)
        )
    if args.roofline:
        one = counts[0]
        mine = [r for r in records if r["threads"] == one]
        report.roofline(mine, peaks[one], args.bandwidth[one], str(args.roofline), f"{title}, {one} thread(s)")


if __name__ == "__main__":
    main()
