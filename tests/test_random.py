"""Random numbers as numbers: their distributions, tails and independence, and the generator that they come from."""

import math
import threading

import numpy as np
import pytest

import fastdl
from fastdl import backends, nn

from .conftest import devices

N = 400_000
DTYPES = ("float32", "float64")


def distance_to(cdf, x):
    """Kolmogorov and Smirnov's distance, times sqrt(n): above 2 with a probability of 0.0007."""
    p = np.sort(cdf(x))
    i = np.arange(len(p))
    return np.sqrt(len(p)) * max(np.abs(p - i / len(p)).max(), np.abs(p - (i + 1) / len(p)).max())


def bell(x):
    return np.vectorize(math.erf)(x / math.sqrt(2)) / 2 + 0.5


def drawn(kind, dtype, n=N, seed=1):
    fastdl.manual_seed(seed)
    return getattr(fastdl, kind)(n, dtype=dtype).numpy().astype(np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_numbers(dtype):
    x = drawn("rand", dtype)
    assert x.min() >= 0 and x.max() < 1 and x.min() < 1e-5 and x.max() > 1 - 1e-5
    assert distance_to(lambda x: x, x) < 2
    assert abs(x.mean() - 1 / 2) < 4 / math.sqrt(12 * N) and abs(x.var() - 1 / 12) < 4 / math.sqrt(180 * N)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers(dtype):
    x = drawn("randn", dtype)
    assert distance_to(bell, x) < 2
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):  # of x^power
        assert abs((x**power).mean() - moment) < 4 * math.sqrt(deviation / N), power
    for half in (x[::2], x[1::2]):  # the numbers of a pair, each by itself
        assert distance_to(bell, half) < 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_tails_of_normal_numbers(dtype):
    """Numbers beyond 3, 4 and 5 deviations are as many as they should be, on both sides."""
    x = np.concatenate([drawn("randn", dtype, 4_000_000, seed) for seed in range(4)])
    for limit in (3.0, 4.0, 5.0):
        expected = len(x) * math.erfc(limit / math.sqrt(2)) / 2
        for count in ((x > limit).sum(), (x < -limit).sum()):
            assert abs(count - expected) < 4 * math.sqrt(expected) + 1, limit
    assert np.isfinite(x).all() and np.abs(x).min() < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["rand", "randn"])
def test_neighbours_are_independent(kind, dtype):
    x = drawn(kind, dtype)
    others = drawn(kind, dtype, seed=2)
    for f in (lambda x: x, lambda x: x * x, lambda x: np.abs(x - x.mean())):
        y = (f(x) - f(x).mean()) / f(x).std()
        z = (f(others) - f(others).mean()) / f(others).std()
        for lag in (1, 2, 3, 4, 8, 64):
            assert abs((y[lag:] * y[:-lag]).mean()) < 4.5 / math.sqrt(N), lag
        assert abs((y * z).mean()) < 4.5 / math.sqrt(N)


def test_the_extreme_words_make_no_extreme_numbers():
    """Places of the stream where a word is 0, all ones, or 2^31: neither log 0 nor the end of a range."""
    from fastdl.backends.reference.random import philox

    w = philox(np.arange(2_000_000, dtype=np.uint64), 5)
    places = {int(c) for f in (np.argmin, np.argmax, lambda w: np.argmin(w ^ np.uint32(2**31)))
              for c in np.unravel_index([f(w[:, k]) for k in range(4)], w.shape[:1])[0]}  # fmt: skip
    for counter in places:
        for dtype in DTYPES:
            for low, high in ((0.0, 1.0), (1.0, 2.0), (-1.0, 0.0), (16777215.0, 16777216.0)):
                generator = fastdl.Generator(5)
                generator.take_counters(counter)
                x = fastdl.empty(4, dtype=dtype).uniform_(low, high, generator=generator)
                assert (x >= low).all() and (x < high).all()
            generator = fastdl.Generator(5)
            generator.take_counters(counter)
            assert fastdl.randn(4, dtype=dtype, generator=generator).abs().max() < 7


def test_integers_are_equally_frequent():
    for dtype in ("int64", "int32", "uint8"):
        x = fastdl.randint(3, 250, (N,), dtype=dtype, generator=fastdl.Generator(2)).numpy()
        counts = np.bincount(x, minlength=250)[3:250]
        assert counts.sum() == N
        expected = N / 247
        assert abs(((counts - expected) ** 2 / expected).sum() - 246) < 4 * math.sqrt(2 * 246)
    wide = fastdl.randint(-(2**63), 2**63 - 1, (N,), generator=fastdl.Generator(2)).numpy()
    assert abs((wide < 0).mean() - 0.5) < 2 / math.sqrt(N) and wide.max() > 2**62 and wide.min() < -(2**62)
    assert set(fastdl.randint(0, 2, (100,), dtype="bool").tolist()) == {False, True}


@pytest.mark.parametrize("device", devices())
def test_draws_are_the_same_on_every_device(device):
    probabilities = fastdl.tensor([[0.1, 0.0, 0.9, 0.3]]).expand(20, 4)
    found = []
    for place in ("cpu", device):
        fastdl.manual_seed(11)
        p = probabilities.to(place)
        made = [fastdl.rand(7, device=place), fastdl.bernoulli(p), fastdl.multinomial(p, 3), fastdl.randint_like(p, 9),
                fastdl.multinomial(p, 5, replacement=True), fastdl.zeros(9, device=place).bernoulli_(0.4),
                nn.init.kaiming_uniform_(fastdl.empty(3, 5, device=place)),
                fastdl.randperm(9, device=place)]  # fmt: skip
        assert all(t.device.type == place for t in made)
        found.append([t.tolist() for t in made])
    assert found[0] == found[1]


def test_generators_are_apart():
    fastdl.manual_seed(3)
    first = fastdl.rand(5), fastdl.randn(5)
    fastdl.manual_seed(3)
    other = fastdl.Generator(3)
    again = fastdl.rand(5), fastdl.rand(5, generator=other), fastdl.randn(5)  # leaves the default one as it is
    assert fastdl.equal(first[0], again[0]) and fastdl.equal(first[1], again[2]) and fastdl.equal(first[0], again[1])
    state = other.get_state()
    a = fastdl.zeros(6).normal_(generator=other)
    other.set_state(state)
    assert fastdl.equal(a, fastdl.zeros(6).normal_(generator=other))

    seen = []

    def elsewhere():
        with fastdl.random.default_generator.own_generator(9):
            seen.append(fastdl.rand(3))

    before = fastdl.get_rng_state()["offset"]
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert fastdl.get_rng_state()["offset"] == before
    assert fastdl.equal(seen[0], fastdl.rand(3, generator=fastdl.Generator(9)))


def test_truncated_normal_numbers():
    x = nn.init.trunc_normal_(fastdl.empty(200, 1000), 1.0, 2.0, 0.5, 4.0, generator=fastdl.Generator(1)).numpy()
    assert x.min() >= 0.5 and x.max() <= 4.0
    low, high = bell(np.array([-0.25, 1.5]))
    assert distance_to(lambda x: (bell((x - 1) / 2) - low) / (high - low), x.ravel().astype(np.float64)) < 2
    with pytest.raises(ValueError, match=r"\[trunc_normal_\] expected an interval that the distribution reaches"):
        nn.init.trunc_normal_(fastdl.empty(3), 0.0, 1.0, 50.0, 51.0)


def test_columns_of_probability_zero_are_never_drawn():
    weights = fastdl.tensor([0.0, 1.0, 0.0, 2.0, 0.0], dtype="float64")
    x = fastdl.multinomial(weights, N, replacement=True).numpy()
    assert set(x.tolist()) == {1, 3} and abs((x == 3).mean() - 2 / 3) < 2 / math.sqrt(N)
    assert fastdl.multinomial(fastdl.zeros(0, 4), 2).shape == (0, 2)
    for bad in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"\[multinomial\] expected numbers of at least 0 with a finite sum"):
            fastdl.multinomial(fastdl.tensor([1.0, bad]), 1)


def test_running_sums_that_grow_at_a_column_of_zero(monkeypatch):
    """As they may where they are rounded in another order."""
    cpu = backends.get("cpu")
    monkeypatch.setattr(cpu, "cumsum", lambda *_: fastdl.tensor([[1.0, 1.5, 2.0], [0.5, 1.0, 2.0]]).double()._array)
    x = fastdl.multinomial(fastdl.tensor([[1.0, 0.0, 0.5], [0.0, 0.5, 1.0]]), 1000, replacement=True)
    assert set(x[0].tolist()) == {0, 2} and set(x[1].tolist()) == {1, 2}


def test_normal_of_tensors_and_numbers():
    mean = fastdl.tensor([[0.0], [100.0]], dtype="float64")
    x = fastdl.normal(mean, fastdl.full((1, 5000), 2.0, dtype="float64"))
    assert x.dtype == fastdl.float64 and x.shape == (2, 5000)
    assert np.allclose(x.mean(1).tolist(), [0, 100], atol=0.15) and np.allclose(x.std(1).tolist(), 2, atol=0.1)
    assert abs(fastdl.normal(3.0, 0.5, (5000,)).mean().item() - 3) < 0.05


def test_permutations():
    cpu = backends.get("cpu")
    for n in (0, 1, 2, 31, 32, 33, 1000, 70_001):
        found = []
        for isa in cpu.isa_levels():
            cpu.set_isa(isa)
            found.append(fastdl.randperm(n, generator=fastdl.Generator(n)).numpy())
            assert (found[-1] == found[0]).all()
        assert (np.sort(found[0]) == np.arange(n)).all()
    assert fastdl.randperm(5, dtype="int32").dtype == fastdl.int32
    fastdl.manual_seed(1)
    orders = [tuple(fastdl.randperm(4).tolist()) for _ in range(24_000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert len(counts) == 24 and ((counts - 1000) ** 2 / 1000).sum() < 23 + 4 * math.sqrt(2 * 23)
    long = np.stack([fastdl.randperm(64).numpy() for _ in range(4000)])  # each number is everywhere equally often
    assert np.abs(long.mean(0) - 31.5).max() < 5 * 18.5 / math.sqrt(4000)
    correlation = np.corrcoef(long.T) - np.eye(64)
    assert np.abs(correlation + 1 / 63 * (1 - np.eye(64))).max() < 5 / math.sqrt(4000)
