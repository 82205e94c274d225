"""Windows through time, MAP@k, choice by two metrics."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score

from fastdl.validation import AnchoredWindowSplit, SlidingWindowSplit, apk, choose, mapk


@pytest.mark.parametrize("kind", [SlidingWindowSplit, AnchoredWindowSplit])
@pytest.mark.parametrize(("train", "test", "gap", "step", "n"), [(3, 2, 0, None, 9), (5, 1, 2, 1, 12), (1, 1, 0, 3, 2)])
def test_windows_lie_in_time_and_cover_the_end(kind, train, test, gap, step, n):
    splitter = kind(train, test, gap, step)
    splits = list(splitter.split(np.zeros((n, 2))))
    assert len(splits) == splitter.get_n_splits(np.zeros(n)) >= 1
    starts = [s[1][0] for s in splits]
    assert np.all(np.diff(starts) == (step or test))
    for tr, te in splits:
        assert te[0] - tr[-1] == gap + 1 and len(te) == test and te[-1] < n
        assert tr[0] == 0 if kind is AnchoredWindowSplit else len(tr) == train
    assert n - 1 - splits[-1][1][-1] < (step or test)


def test_windows_serve_scikit_learn():
    t = np.arange(60.0)[:, None]
    scores = cross_val_score(LinearRegression(), t, 3 * t[:, 0] + 1, cv=SlidingWindowSplit(20, 5))
    assert len(scores) == 8 and np.allclose(scores, 1)


def test_bad_windows():
    with pytest.raises(ValueError, match=r"\[SlidingWindowSplit\] expected train_size of at least 1, got 0"):
        SlidingWindowSplit(0)
    with pytest.raises(ValueError, match=r"\[AnchoredWindowSplit\] expected at least 7 items, got 6"):
        list(AnchoredWindowSplit(4, 2, 1).split(np.zeros(6)))


@pytest.mark.parametrize(("actual", "predicted", "k", "expected"), [
    ([1, 2, 3], [1, 2, 3], 3, 1.0), ([1, 2, 3], [4, 5, 6], 3, 0.0), ([1], [2, 1], 2, 0.5), ([], [1], 3, 0.0),
    ([1, 2], [1, 1, 2], 3, (1 + 2 / 3) / 2), ([1, 2, 3, 4], [1], 1, 1.0), ([1, 2, 3, 4], [4, 9, 3], 3, (1 + 2 / 3) / 3),
])  # fmt: skip
def test_average_precision(actual, predicted, k, expected):
    assert apk(actual, predicted, k) == pytest.approx(expected)


def test_mean_average_precision():
    assert mapk([[1], [2]], [[1], [1, 2]], 2) == 0.75
    for bad in (([[1]], []), ([], [])):
        with pytest.raises(ValueError, match=r"\[mapk\]"):
            mapk(*bad)


def test_choice():
    found = {"a": {"f1": 0.9, "ms": 30.0}, "b": {"f1": 0.8, "ms": 8.0}, "c": {"f1": 0.7, "ms": 5.0}}
    assert choose(found, "f1") == "a" and choose(found, "f1", {"ms": ("<", 10)}) == "b"
    assert choose(found, "ms", {"f1": (">=", 0.75)}, maximize=False) == "b"
    with pytest.raises(ValueError, match="expected a candidate with ms < 1, got a: ms 30; b: ms 8; c: ms 5"):
        choose(found, "f1", {"ms": ("<", 1)})
    with pytest.raises(ValueError, match="expected metric 'auc' of a, got f1, ms"):
        choose(found, "auc")
    with pytest.raises(ValueError, match="expected relations <=, >=, <, >, got '=='"):
        choose(found, "f1", {"ms": ("==", 1)})
