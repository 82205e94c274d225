"""DataLoader with workers of both kinds: the same batches for any number, errors, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastdl
from fastdl.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler, get_worker_info

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of os.fork
KINDS = [(0, None), (1, None), (4, None), (1, "fork"), (3, "fork")]


class Noisy(Dataset):
    """Items that draw random numbers of their own."""

    def __init__(self, n=20):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return np.float32(i), fastdl.rand(2).numpy()


def shifted(batch, rng):
    return (batch[0] + rng.random(len(batch[0]), np.float32), *batch[1:])


def epochs(workers, kind, n=2, **options):
    fastdl.manual_seed(7)
    loader = DataLoader(Noisy(), 6, shuffle=True, num_workers=workers, multiprocessing_context=kind, transform=shifted,
                        **options)  # fmt: skip
    return [[part.numpy().tobytes() for part in batch] for _ in range(n) for batch in loader]


def test_batches_do_not_depend_on_the_workers():
    expected = epochs(0, None, prefetch=0)
    assert len({tuple(batch) for batch in expected}) == 8
    for workers, kind in KINDS:
        assert epochs(workers, kind) == expected, (workers, kind)
    assert epochs(2, "fork", persistent_workers=True) == expected
    assert epochs(2, None, prefetch_factor=5) == expected


def test_the_loop_draws_what_it_draws_without_loader_threads():
    """Threads that make batches ready take no numbers from the training's stream."""

    def draws(**options):
        fastdl.manual_seed(1)
        return [fastdl.rand(1).item() for _ in DataLoader(Noisy(), 2, **options)]

    assert draws(prefetch=0) == draws() == draws(num_workers=4)


class Asking(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        info = get_worker_info()
        return np.array([info.id, info.num_workers, os.getpid(), len(info.dataset)])


@pytest.mark.parametrize(("workers", "kind"), KINDS[1:])
def test_workers_know_themselves(workers, kind):
    begun = []
    loader = DataLoader(Asking(), 2, num_workers=workers, multiprocessing_context=kind, worker_init_fn=begun.append)
    found = np.concatenate([batch.numpy() for batch in loader])
    assert set(found[:, 0]) <= set(range(workers)) and set(found[:, 1]) == {workers} and set(found[:, 3]) == {8}
    assert (os.getpid() in found[:, 2]) == (kind is None)
    assert begun == [] if kind else sorted(begun) == list(range(len(begun)))
    assert get_worker_info() is None


class Failing(Asking):
    def __getitem__(self, i):
        if i == 5:
            raise KeyError("no item 5")
        return i


@pytest.mark.parametrize(("workers", "kind"), [(0, None), (2, None), (2, "fork")])
def test_errors_of_the_set_come_through(workers, kind):
    loader = DataLoader(Failing(), num_workers=workers, multiprocessing_context=kind)
    seen = []
    with pytest.raises(KeyError, match="no item 5"):
        seen += [batch.item() for batch in loader]
    assert len(list(zip(range(5), loader, strict=False))) == 5


class Dying(Asking):
    def __getitem__(self, i):
        if i == 3:
            os._exit(9)
        return i


class Slow(Asking):
    def __getitem__(self, i):
        time.sleep(0.4 * (i == 1))
        return i


def test_lost_and_late_workers_are_told():
    with pytest.raises(RuntimeError, match=r"\[DataLoader\] expected worker 1 to live, got exit code 9"):
        list(DataLoader(Dying(), num_workers=2, multiprocessing_context="fork"))
    for kind in (None, "fork"):
        with pytest.raises(RuntimeError, match=r"\[DataLoader\] expected a batch within 0\.1 seconds, got none"):
            list(DataLoader(Slow(), num_workers=1, multiprocessing_context=kind, timeout=0.1))


PROGRAM = """
import os, sys
import numpy as np
from fastdl.data import DataLoader
from tests.test_loader import Large
if __name__ == "__main__":
    for i, (x,) in enumerate(DataLoader(Large(), 4, num_workers=4, multiprocessing_context=sys.argv[1])):
        print(*x[:, 0].tolist(), flush=True)
"""


class Large(Dataset):
    """Items that fill a pipe, so that workers are caught while they write; each tells its worker."""

    def __len__(self):
        return 10**6

    def __getitem__(self, i):
        return (np.full(50_000, os.getpid()),)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["fork", "spawn"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path, kind, sent):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT), *sys.path])
    process = subprocess.Popen([sys.executable, program, kind], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, env={**os.environ, "PYTHONPATH": path}, cwd=ROOT)  # fmt: skip
    workers = {int(float(pid)) for _ in range(4) for pid in process.stdout.readline().split()}
    assert len(workers) == 4 and all(alive(pid) for pid in workers)
    process.send_signal(sent)
    process.stdout.close()
    assert process.wait(120) != 0
    until = time.monotonic() + 120  # when to give up: ends are told at once
    while any(alive(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in workers if alive(pid)]


def test_leaving_early_ends_the_workers():
    batches = iter(DataLoader(Asking(), num_workers=4, multiprocessing_context="fork"))
    pid = int(next(batches)[0, 2])
    assert alive(pid)
    del batches
    assert not alive(pid)


class Counting(IterableDataset):
    def __iter__(self):
        for i in range(7):
            yield i, fastdl.rand(1).numpy()


def test_streams():
    def batches(**options):
        fastdl.manual_seed(2)
        return [[part.tolist() for part in batch] for batch in DataLoader(Counting(), 3, **options)]

    assert [batch[0] for batch in batches()] == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches() == batches(prefetch=0) == batches(num_workers=4)
    assert len(batches(drop_last=True)) == 2
    for bad, message in (({"shuffle": True}, "no shuffle for an IterableDataset"),
                         ({"multiprocessing_context": "fork"}, "threads for an IterableDataset")):  # fmt: skip
        with pytest.raises(ValueError, match=rf"\[DataLoader\] expected {message}"):
            DataLoader(Counting(), **bad)
    with pytest.raises(NotImplementedError, match=r"\[IterableDataset\] expected an __iter__ method"):
        iter(IterableDataset())


def test_batch_samplers():
    sampler = BatchSampler(SequentialSampler(range(8)), 3, drop_last=True)
    loader = DataLoader(Failing(), batch_sampler=[[0, 4], [1]])
    assert [b.tolist() for b in loader] == [[0, 4], [1]] and len(loader) == 2
    assert list(sampler) == [[0, 1, 2], [3, 4, 5]] and len(sampler) == 2
    with pytest.raises(ValueError, match=r"\[DataLoader\] expected sampler or batch_sampler, got both"):
        DataLoader(Failing(), sampler=[0], batch_sampler=[[0]])
    for name in ("num_workers", "prefetch", "timeout"):
        with pytest.raises(ValueError, match=rf"\[DataLoader\] expected {name} of at least 0, got -1"):
            DataLoader(Failing(), **{name: -1})


def test_texts_stay_lists():
    items = [{"text": "a", "x": 1.0}, {"text": "bc", "x": 2.0}]
    (batch,) = DataLoader(items, 2)
    assert batch["text"] == ["a", "bc"] and batch["x"].tolist() == [1, 2]
    assert next(iter(DataLoader([("a", 1), ("b", 2)], 2)))[0] == ["a", "b"]
    assert list(DataLoader(["a", "b", "c"], 2)) == [["a", "b"], ["c"]]
