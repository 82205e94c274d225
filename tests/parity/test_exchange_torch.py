"""Memory shared with PyTorch on the CPU."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import fastdl  # noqa: E402


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_both_ways_share(dtype):
    x = fastdl.ones(2, 3, dtype=dtype)
    y = torch.from_dlpack(x)
    assert (y.dtype, tuple(y.shape), y.stride()) == (getattr(torch, dtype), (2, 3), (3, 1))
    y.zero_()
    assert not x.any().item()
    back = fastdl.from_dlpack(y)
    y.fill_(1)
    assert back.all().item()
    assert torch.utils.dlpack.to_dlpack(y) is not None


def test_scaler_states_are_interchangeable():
    theirs, ours = torch.amp.GradScaler("cpu", init_scale=8.0), fastdl.amp.GradScaler("cpu", init_scale=4.0)
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    theirs.scale(w.sum()).backward()
    theirs.step(optimizer)
    theirs.update()
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict() == theirs.state_dict()
    theirs.load_state_dict(fastdl.amp.GradScaler("cpu").state_dict())
    assert theirs.get_scale() == 65536.0
