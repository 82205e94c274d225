"""Tensors: making them, their attributes, exchange with NumPy and DLPack, indexing, operators, promotion."""

import io
import pickle

import numpy as np
import pytest

import fastdl


def test_creation_follows_pytorch_dtypes():
    assert fastdl.tensor([1.0]).dtype is fastdl.float32
    assert fastdl.tensor([1]).dtype is fastdl.int64
    assert fastdl.tensor([True]).dtype is fastdl.bool
    assert fastdl.tensor(np.ones(2)).dtype is fastdl.float64
    assert fastdl.tensor([]).shape == (0,)
    assert fastdl.arange(5).dtype is fastdl.int64 and fastdl.arange(0, 1, 0.25).dtype is fastdl.float32
    assert fastdl.full((2,), 3).dtype is fastdl.int64 and fastdl.full((2,), 3.0).dtype is fastdl.float32
    assert fastdl.zeros(2, 3).shape == fastdl.zeros((2, 3)).shape == (2, 3)
    assert fastdl.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert fastdl.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]


def test_numpy_shares_memory_where_it_can():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    shared = fastdl.from_numpy(array)
    array[0, 0] = 42
    assert shared[0, 0].item() == 42
    shared.numpy()[1, 1] = 43
    assert array[1, 1] == 43
    assert fastdl.tensor(array).numpy() is not array
    copied = fastdl.from_numpy(array.T)
    array[0, 0] = 1
    assert copied[0, 0].item() == 42
    frozen = np.ones(3)
    frozen.flags.writeable = False
    fastdl.from_numpy(frozen).fill_(2.0)
    assert frozen.tolist() == [1.0, 1.0, 1.0]


def test_memory_outlives_its_owner():
    view = fastdl.ones(1000).numpy()
    assert view.sum() == 1000
    t = fastdl.from_numpy(np.ones(1000))
    assert t.sum().item() == 1000


def test_dlpack_both_ways():
    t = fastdl.arange(6, dtype=fastdl.float32).reshape(2, 3)
    array = np.from_dlpack(t)
    t.fill_(5.0)
    assert array.tolist() == [[5.0] * 3] * 2
    source = np.arange(4.0)
    back = fastdl.from_dlpack(source)
    source[0] = 9
    assert back.tolist() == [9.0, 1.0, 2.0, 3.0]
    with pytest.raises(TypeError, match=r"\[from_dlpack\] expected an object with __dlpack__, got list"):
        fastdl.from_dlpack([1])


def test_bad_data():
    with pytest.raises(TypeError, match=r"\[tensor\] expected numbers"):
        fastdl.tensor(["a"])
    with pytest.raises(TypeError, match=r"\[tensor\] expected numbers"):
        fastdl.tensor(None)
    with pytest.raises(ValueError, match=r"\[tensor\] expected nested lists of equal lengths"):
        fastdl.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match=r"\[zeros\] expected sizes of type int, got float"):
        fastdl.zeros(2.5)
    with pytest.raises(ValueError, match=r"\[zeros\] expected sizes of at least 0"):
        fastdl.zeros(-1)
    with pytest.raises(ValueError, match=r"\[empty\] expected a size"):
        fastdl.empty(2**40, 2**40)
    with pytest.raises(TypeError, match=r"\[from_numpy\] expected dtype"):
        fastdl.from_numpy(np.ones(2, np.complex64))
    with pytest.raises(ValueError, match=r"\[device\] expected one of"):
        fastdl.ones(1, device="tpu")


def test_items_and_conversion():
    t = fastdl.tensor([2.5])
    assert float(t) == 2.5 and int(t) == 2 and bool(t) and t.item() == 2.5
    assert [10, 20, 30][fastdl.tensor(1)] == 20
    with pytest.raises(ValueError, match=r"\[item\] expected a tensor with one element, got shape \(2,\)"):
        fastdl.ones(2).item()
    with pytest.raises(RuntimeError, match=r"\[numpy\] expected a tensor without gradient"):
        fastdl.ones(1, requires_grad=True).numpy()
    assert np.asarray(fastdl.ones(2)).tolist() == [1.0, 1.0]
    assert pickle.loads(pickle.dumps(fastdl.float32)) is fastdl.float32


def test_repr():
    assert repr(fastdl.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert "dtype=fastdl.float64" in repr(fastdl.ones(1, dtype=fastdl.float64))
    assert "requires_grad=True" in repr(fastdl.ones(1, requires_grad=True))
    assert "grad_fn=" in repr(fastdl.ones(1, requires_grad=True) * 2)


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(None), slice(1, 3), slice(None, None, 2), (0, 1), (slice(None), 2), (Ellipsis, 0), (None, 1),
     (slice(1, None), Ellipsis, slice(0, 2)), (1, 2, 3), slice(3, 1)],
)  # fmt: skip
def test_indexing_matches_numpy(index, device):
    array = np.arange(4 * 5 * 6, dtype=np.float64).reshape(4, 5, 6)
    t = fastdl.tensor(array, device=device, requires_grad=True)
    out = t[index]
    np.testing.assert_array_equal(out.detach().cpu().numpy(), array[index])
    out.sum().backward()
    expected = np.zeros_like(array)
    expected[index] = 1
    np.testing.assert_array_equal(t.grad.cpu().numpy(), expected)


def test_index_errors():
    t = fastdl.ones(2, 3)
    with pytest.raises(IndexError, match=r"\[index\] expected an index in \[-2, 1\] on axis 0, got 2"):
        t[2]
    with pytest.raises(IndexError, match=r"\[index\] expected at most 2 indices, got 3"):
        t[0, 0, 0]
    with pytest.raises(ValueError, match=r"\[index\] expected a step of at least 1, got -1"):
        t[::-1]
    with pytest.raises(NotImplementedError, match=r"\[index\] expected integers, slices"):
        t["a"]


def test_assignment():
    t = fastdl.zeros(3, 4)
    t[1, ::2] = fastdl.tensor([1.0, 2.0])
    t[0] = 5
    assert t.tolist() == [[5.0] * 4, [1.0, 0.0, 2.0, 0.0], [0.0] * 4]
    assert [row.tolist() for row in t[:, 0]] == [5.0, 1.0, 0.0]


def test_operators_and_promotion():
    i, f = fastdl.tensor([1, 2]), fastdl.tensor([0.5, 1.5])
    assert (i + f).dtype is fastdl.float32 and (i / i).dtype is fastdl.float32 and (i + 1).dtype is fastdl.int64
    assert (
        (i + 1.5).tolist() == [2.5, 3.5]
        and (1 - i).tolist() == [0, -1]
        and (1 / f).tolist() == [2.0, np.float32(1) / np.float32(1.5)]
    )
    assert (f.double() + f).dtype is fastdl.float64
    assert (f + fastdl.tensor(1.0, dtype=fastdl.float64)).dtype is fastdl.float32
    assert (fastdl.tensor([True, False]) + 1).tolist() == [2, 1]
    assert (np.array([1.0, 2.0], np.float32) + f).tolist() == [1.5, 3.5]
    assert (f == 0.5).tolist() == [True, False] and (~(f > 1)).tolist() == [True, False]
    assert ((f > 0) & (f > 1)).tolist() == [False, True] and ((f > 9) | (f > 1)).tolist() == [False, True]
    x = fastdl.ones(2)
    y = x
    y += 2
    y *= 3
    assert x.tolist() == [9.0, 9.0]
    with pytest.raises(TypeError, match=r"\[add\] expected a Tensor or a number, got str"):
        f + "a"
    with pytest.raises(ValueError, match=r"\[add\] expected shapes that broadcast, got \(2,\) and \(3,\)"):
        f + fastdl.ones(3)
    with pytest.raises(ValueError, match=r"\[add\] expected tensors on one device, got cpu and reference"):
        f + fastdl.ones(2, device="reference")


def test_seeds_fix_every_number():
    def draw():
        fastdl.manual_seed(7)
        return [fastdl.rand(3), fastdl.randn(3), fastdl.randint(0, 9, (3,)), fastdl.randperm(5)]

    assert all(fastdl.equal(a, b) for a, b in zip(draw(), draw(), strict=True))
    state = fastdl.get_rng_state()
    a = fastdl.rand(4)
    fastdl.set_rng_state(state)
    assert fastdl.equal(a, fastdl.rand(4))


def test_save_and_load(tmp_path):
    path = tmp_path / "weights.safetensors"
    state = {"a": fastdl.randn(2, 3), "b": fastdl.tensor([1, 2]), "count": fastdl.tensor(7), "none": fastdl.zeros(0, 2)}
    fastdl.save(state, path)
    again = fastdl.load(path)
    assert set(again) == set(state) and all(fastdl.equal(again[k], state[k]) for k in state)
    norm = fastdl.nn.BatchNorm2d(2)
    norm(fastdl.randn(2, 2, 3, 3))
    fastdl.save(norm.state_dict(), path)
    fresh = fastdl.nn.BatchNorm2d(2)
    fresh.load_state_dict(fastdl.load(path))
    assert fresh.num_batches_tracked.shape == () and fresh.num_batches_tracked.item() == 1
    fastdl.save(state, path)
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"\[load\] expected a safetensors file"):
        fastdl.load(path)


def test_save_and_load_of_states_and_streams(tmp_path):
    """What the programs of PyTorch's tutorials save: a checkpoint, a tensor, a model; to files and streams."""
    model = fastdl.nn.Linear(2, 2)
    adam = fastdl.optim.Adam(model.parameters())
    model(fastdl.ones(1, 2)).sum().backward()
    adam.step()
    state = {"epoch": 3, "model": model.state_dict(), "optimizer": adam.state_dict(), "loss": 0.5, "best": None}
    fastdl.save(state, tmp_path / "state.pt")
    found = fastdl.load(tmp_path / "state.pt", map_location="cpu", weights_only=True)
    assert (found["epoch"], found["loss"], found["best"]) == (3, 0.5, None)
    adam.load_state_dict(found["optimizer"])
    model.load_state_dict(found["model"])
    for obj in (fastdl.ones(2), [1, (fastdl.zeros(1), "x")], {"w": fastdl.zeros(2)}):
        stream = io.BytesIO()
        fastdl.save(obj, stream)
        stream.seek(0)
        assert str(fastdl.load(stream)) == str(obj)
    assert fastdl.load(tmp_path / "state.pt", map_location=lambda storage, where: storage)["epoch"] == 3


def test_whole_models_are_pickled_and_read_on_request(tmp_path):
    model = fastdl.nn.Sequential(fastdl.nn.Linear(2, 2), fastdl.nn.ReLU())
    fastdl.save(model, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"\[load\] expected weights_only=False for pickled objects"):
        fastdl.load(tmp_path / "model.pt")
    again = fastdl.load(tmp_path / "model.pt", weights_only=False)
    assert fastdl.equal(again(fastdl.ones(1, 2)), model(fastdl.ones(1, 2)))
    (tmp_path / "model.pt").write_bytes((tmp_path / "model.pt").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"\[load\] expected a pickle that is whole"):
        fastdl.load(tmp_path / "model.pt", weights_only=False)
    with pytest.raises(TypeError, match=r"\[save\] expected something that can be pickled, got function"):
        fastdl.save(lambda x: x, tmp_path / "function.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_threads_setting():
    fastdl.set_num_threads(1)
    assert fastdl.get_num_threads() == 1
    with pytest.raises(ValueError, match=r"\[set_num_threads\] expected at least 1, got 0"):
        fastdl.set_num_threads(0)


def test_fork_keeps_working():
    """A forked child has no worker threads; kernels start their own."""
    import multiprocessing

    fastdl.set_num_threads(2)
    big = fastdl.ones(1 << 22)
    assert big.sum().item() == 1 << 22
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_child_sum) == 1 << 22


def _child_sum():
    return fastdl.ones(1 << 22).sum().item()


def test_whole_numbers_at_equal_distances_are_exact():
    first = 2**62 + 1
    assert fastdl.arange(first, first + 5).tolist() == list(range(first, first + 5))
    assert fastdl.arange(-first, first, 2**61).tolist() == list(range(-first, first, 2**61))
    assert fastdl.linspace(0, 1, 50)[-1].item() == 1.0
