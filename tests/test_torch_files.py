"""PyTorch's weight files without PyTorch: what is right is read, what is not is refused. Real files: tests/parity."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

import fastdl
from fastdl.torch_files import LEGACY_MAGIC, load_torch


class FakeModule:
    """Pickles under a name of our choice, so that files can be made without PyTorch."""

    def __init__(self, module, name, arguments=None):
        self.module, self.name, self.arguments = module, name, arguments


class Writer(pickle._Pickler):
    """Python's own pickler, with `FakeModule` written as a global (called with arguments, if there are any)."""

    def persistent_id(self, value):
        return value[1:] if isinstance(value, tuple) and value[:1] == ("persistent",) else None

    def save(self, value, save_persistent_id=True):
        if not isinstance(value, FakeModule):
            return super().save(value, save_persistent_id)
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        if value.arguments is not None:
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        return None


def dump(value):
    stream = io.BytesIO()
    Writer(stream, 2).dump(value)
    return stream.getvalue()


def storage(kind, key, length):
    return ("persistent", "storage", FakeModule("torch", kind), key, "cpu", length)


def view(kind, key, length, offset, shape, strides):
    arguments = (storage(kind, key, length), offset, shape, strides, False, None)
    return FakeModule("torch._utils", "_rebuild_tensor_v2", arguments)


def archive(path, value, **storages):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", dump(value))
        for key, content in storages.items():
            file.writestr(f"model/data/{key[1:]}", content)
    return path


NUMBERS = np.arange(6, dtype="<f4")


def test_tensors_of_every_kind(tmp_path):
    state = {
        "a": view("FloatStorage", "0", 6, 0, (2, 3), (3, 1)),
        "turned": view("FloatStorage", "0", 6, 0, (3, 2), (1, 3)),
        "part": view("FloatStorage", "0", 6, 4, (2,), (1,)),
        "scalar": view("FloatStorage", "0", 6, 5, (), ()),
        "none": view("FloatStorage", "0", 6, 0, (0, 3), (3, 1)),
        "half": view("HalfStorage", "1", 2, 0, (2,), (1,)),
        "brain": view("BFloat16Storage", "2", 2, 0, (2,), (1,)),
        "flags": view("BoolStorage", "3", 2, 0, (2,), (1,)),
        "steps": 7,
        "nested": [{"name": "x"}, (1.5, None)],
    }
    path = archive(tmp_path / "w.pth", state, _0=NUMBERS.tobytes(), _1=np.array([1.5, -2], "<f2").tobytes(),
                   _2=(np.array([1.0, -3.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes(),
                   _3=b"\x01\x00")  # fmt: skip
    found = load_torch(path)
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["a"].dtype == fastdl.float32
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["part"].tolist() == [4, 5] and found["scalar"].item() == 5 and found["none"].shape == (0, 3)
    assert found["half"].tolist() == [1.5, -2] and found["brain"].tolist() == [1.0, -3.0]
    assert found["flags"].tolist() == [True, False]
    assert found["steps"] == 7 and found["nested"] == [{"name": "x"}, (1.5, None)]


def test_the_old_format(tmp_path):
    state = {"w": view("FloatStorage", "17", 6, 0, (6,), (1,))}
    parts = [dump(LEGACY_MAGIC), dump(1001), dump({"little_endian": True}), dump(state), dump(["17"])]
    path = tmp_path / "old.pth"
    path.write_bytes(b"".join(parts) + struct.pack("<q", 6) + NUMBERS.tobytes())
    assert load_torch(path)["w"].tolist() == NUMBERS.tolist()


@pytest.mark.parametrize("value", [
    FakeModule("os", "system", ("exit 1",)),
    FakeModule("builtins", "eval", ("1",)),
    FakeModule("torch.serialization", "load", ("x",)),
    FakeModule("fastdl.torch_files", "os.system", ("exit 1",)),
    {"w": FakeModule("numpy.core.multiarray", "_reconstruct", ())},
])  # fmt: skip
def test_names_that_weights_do_not_need_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"\[load_torch\] expected a file of weights, got .*which weights do not need"):
        load_torch(archive(tmp_path / "bad.pth", value))


@pytest.mark.parametrize(("value", "message"), [
    (view("FloatStorage", "0", 6, 0, (7,), (1,)), "reaches beyond its storage"),
    (view("FloatStorage", "0", 6, 5, (2,), (1,)), "reaches beyond its storage"),
    (view("FloatStorage", "0", 6, 0, (2,), (2**62,)), "reaches beyond its storage"),
    (view("FloatStorage", "0", 6, -1, (2,), (1,)), "bad sizes"),
    (view("FloatStorage", "0", 6, 0, (2,), (-1,)), "bad sizes"),
    (view("FloatStorage", "0", 6, 0, (2, 3), (1,)), "bad sizes"),
    (view("FloatStorage", "0", 60, 0, (60,), (1,)), "cut short"),
    (view("FloatStorage", "9", 6, 0, (6,), (1,)), "data/9"),
    (("persistent", "module", 1), "no storage"),
])  # fmt: skip
def test_damage_is_told(tmp_path, value, message):
    with pytest.raises(ValueError, match=message):
        load_torch(archive(tmp_path / "bad.pth", {"w": value}, _0=NUMBERS.tobytes()))


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04 not an archive", b"\x80\x02.", b"hello", bytes(100)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"\[load_torch\] expected a file of weights"):
        load_torch(path)
    with pytest.raises(FileNotFoundError):
        load_torch(tmp_path / "none.pth")


def test_every_cut_and_flipped_byte_is_an_error_or_a_tensor(tmp_path):
    """No damage crashes, hangs, or calls anything."""
    whole = archive(tmp_path / "w.pth", {"w": view("FloatStorage", "0", 6, 0, (6,), (1,))}, _0=NUMBERS.tobytes())
    content = whole.read_bytes()
    path = tmp_path / "damaged.pth"
    for i in range(0, len(content), 3):
        for damaged in (content[:i], content[:i] + bytes([content[i] ^ 0x55]) + content[i + 1 :]):
            path.write_bytes(damaged)
            try:
                load_torch(path)
            except ValueError as error:
                assert str(error).startswith("[load_torch] expected a file of weights")
