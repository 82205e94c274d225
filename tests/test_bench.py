"""The benchmark's own house: rows that name cases, ladders whose every rung is right."""

import importlib
import shutil

import numpy as np
import pytest

from bench import networks, report, training
from bench.row import Row
from bench.rows import functions, rows_by_file
from fastdl.testing import Comparison, Timing

from .cases import all_cases
from .test_repo import ROOMS


def test_every_room_has_rows_and_every_row_a_case():
    assert set(rows_by_file()) == set(ROOMS)
    cases = {case.name: case for case in all_cases()}
    for name, rows in rows_by_file().items():
        assert rows, name
        for row in rows:
            if row.make is None:
                assert row.case in cases, row
                assert cases[row.case].make(row.attributes, seed=0), row
    assert set(functions("TORCH")) <= set(cases) | {row.case for rows in rows_by_file().values() for row in rows}
    assert all(row.make is not None for row in training.ROWS)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.parametrize(("name", "sizes"), [
    ("matmul", (37, 53, 29)), ("matmul", (14, 32, 700)), ("conv3x3", (3, 17, 9, 11)), ("conv3x3", (5, 4, 16, 8)),
])  # fmt: skip
def test_ladders_are_right_at_odd_sizes(monkeypatch, name, sizes):
    ladder = importlib.import_module("bench.ladder.run")
    monkeypatch.setattr(ladder, "MATMUL" if name == "matmul" else "CONV", sizes)
    monkeypatch.setattr(ladder, "best_seconds", lambda call: (call(), 1.0)[1])
    rungs = ladder.climb(name)  # raises if a rung is wrong
    assert len(rungs) >= 5 and all(error < 1e-5 for _, _, error in rungs)


def record(name, ratio, goal, threads=1):
    return {"name": name, "kernel": "room", "pass": "forward", "threads": threads, "seconds": 1e-3,
            "ratio": {"PyTorch": ratio}, "goal": goal, "flops": 1e9, "bytes": 1e6, "rate": 1e12, "limit": "FLOP/s",
            "share_of_limit": 0.5}  # fmt: skip


def test_reports(tmp_path):
    records = [record("a", 4.0, 2.0), record("b", 1.0, 2.0), record("c", 0.5, 1.0, threads=2)]
    text = report.verdict(records)
    assert "3 rows with a goal, geometric mean 1.26x" in text
    assert "behind the peer: 1\n  c forward, 2 thread(s): 0.50x of 1x" in text
    assert "short of the goal: 1\n  b forward, 1 thread(s): 1.00x of 2x" in text
    assert "| room | 2    | 2.00x          | 1.00x | 0.50x           | 0.50x |" in report.families(records)
    page = report.page(tmp_path / "p.md", "a machine", {1: 1e11}, {1: 2e10}, records)
    assert page.startswith("# Benchmarks") and f"--markdown {tmp_path / 'p.md'}`" in page
    assert "100 GFLOP/s" in page and "| a " in page
    report.roofline(records, 1e11, 2e10, str(tmp_path / "r.png"), "a machine")
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_ratios_pair_slices():
    found = Comparison({"ours": Timing([1.0, 2.0, 4.0]), "theirs": Timing([2.0, 4.0, 8.0])})
    assert found.ratio("theirs", to="ours") == 2.0 and found.timings["ours"].best == 1.0
    assert Row("conv2d", {"x": (1, 2), "stride": 2}).name == "conv2d, x 1x2, stride 2"
    assert np.isclose(report.geometric_mean([1.0, 4.0]), 2.0)


@pytest.mark.parametrize("name", ["resnet18", "unet"])
def test_networks_compute_the_same_in_every_way(name):
    found = networks.calls(name, 64, 1, 1)
    assert {"plan", "eager"} <= set(found)
    eager = found["eager"]().numpy()
    np.testing.assert_allclose(found["plan"]().numpy(), eager, atol=1e-4 * abs(eager).max())
    if "ONNX Runtime" in found:
        np.testing.assert_allclose(found["ONNX Runtime"]()[0], eager, atol=1e-4 * abs(eager).max())
    for function in found.values():
        assert function() is not None
