"""GradScaler on every device, and the rules of autocast blocks."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import fastdl
from fastdl import backends, nn, optim
from fastdl.amp import GradScaler, autocast, get_autocast_dtype, is_autocast_enabled

from .conftest import devices


def trained(device: str, values: list[float], **options: Any) -> tuple[fastdl.Tensor, optim.SGD, GradScaler]:
    w = fastdl.tensor(values, device=device, requires_grad=True)
    return w, optim.SGD([w], lr=0.25), GradScaler(device, **options)


@pytest.mark.parametrize("device", devices())
def test_a_step_with_the_scale_taken_out(device: str) -> None:
    w, optimizer, scaler = trained(device, [1.0, -2.0], init_scale=1024.0)
    scaler.scale((w * w).sum()).backward()
    assert w.grad.tolist() == [2048.0, -4096.0]
    scaler.step(optimizer)
    scaler.update()
    assert w.grad.tolist() == [2.0, -4.0]
    assert w.tolist() == [0.5, -1.0]
    assert scaler.get_scale() == 1024.0


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_an_overflow_skips_the_step_and_halves_the_scale(device: str, bad: float) -> None:
    w, optimizer, scaler = trained(device, [1.0, 2.0, 3.0], init_scale=8.0)
    for scale in (8.0, 4.0):
        assert scaler.get_scale() == scale
        optimizer.zero_grad()
        scaler.scale((w * fastdl.tensor([1.0, bad, 1.0], device=device)).sum()).backward()
        assert scaler.step(optimizer) is None
        scaler.update()
    assert w.tolist() == [1.0, 2.0, 3.0]
    assert scaler.get_scale() == 2.0


def test_the_scale_grows() -> None:
    w, optimizer, scaler = trained("cpu", [1.0], init_scale=2.0, growth_interval=2, growth_factor=4.0)
    scales = []
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale((w * w).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0, 8.0, 8.0, 32.0]
    scaler.update(new_scale=5.0)
    assert scaler.get_scale() == 5.0


def test_clipping_between_unscale_and_step() -> None:
    w, optimizer, scaler = trained("cpu", [3.0, 4.0])
    scaler.scale((w * w).sum()).backward()
    scaler.unscale_(optimizer)
    assert nn.utils.clip_grad_norm_([w], 1.0).item() == pytest.approx(10.0)
    scaler.step(optimizer)
    assert w.tolist() == pytest.approx([3 - 0.15, 4 - 0.2], rel=1e-5)


def test_several_losses_and_optimizers() -> None:
    a, first, scaler = trained("cpu", [1.0], init_scale=4.0)
    b, second, _ = trained("cpu", [1.0])
    losses = scaler.scale([(a * a).sum(), (b * float("inf")).sum()])
    for loss in losses:
        loss.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (a.tolist(), b.tolist(), scaler.get_scale()) == ([0.5], [1.0], 2.0)
    assert scaler.scale((a, b))[0].tolist() == [1.0]


def test_gradients_of_rows() -> None:
    table, index = fastdl.ones(5, 2, requires_grad=True), fastdl.tensor([1, 3])
    scaler, optimizer = GradScaler("cpu", init_scale=2.0), optim.SGD([table], lr=1.0)
    scaler.scale(fastdl.functional.embedding(index, table, sparse=True).sum()).backward()
    scaler.step(optimizer)
    assert table.sum(1).tolist() == [2.0, 0.0, 2.0, 0.0, 2.0]


def test_wrong_order_says_so() -> None:
    w, optimizer, scaler = trained("cpu", [1.0])
    with pytest.raises(RuntimeError, match=r"^\[GradScaler\] expected step\(\) before update\(\), got none$"):
        scaler.update()
    with pytest.raises(RuntimeError, match=r"^\[GradScaler\] expected an optimizer with gradients, got one without$"):
        scaler.step(optimizer)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"expected update\(\) before unscale_\(\), got unscale_\(\) before it$"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"expected update\(\) before step\(\), got step\(\) before it$"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"expected a step without closure, got one$"):
        scaler.step(optimizer, lambda: None)
    with pytest.raises(TypeError, match=r"^\[GradScaler\] expected a Tensor or several for outputs, got int$"):
        scaler.scale(3)


def test_settings_and_state() -> None:
    scaler = GradScaler("cpu", 32.0, 3.0, 0.25, 7)
    state = scaler.state_dict()
    assert state == {
        "scale": 32.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 7, "_growth_tracker": 0
    }  # fmt: skip
    other = GradScaler("cpu")
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert (other.get_growth_factor(), other.get_backoff_factor(), other.get_growth_interval()) == (3.0, 0.25, 7)
    with pytest.raises(RuntimeError, match=r"expected the state of a scaler that was enabled, got an empty one$"):
        other.load_state_dict({})
    for bad in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"backoff_factor": 0.0}, {"growth_interval": 0}):
        with pytest.raises(ValueError, match=rf"^\[GradScaler\] expected {next(iter(bad))} "):
            GradScaler("cpu", **bad)  # type: ignore[arg-type]


def test_disabled_does_nothing() -> None:
    w, optimizer, scaler = trained("cpu", [1.0], enabled=False)
    loss = (w * w).sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert (w.tolist(), scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == ([0.5], 1.0, {}, False)
    scaler.load_state_dict({})


# ---- autocast --------------------------------------------------------------------------------------------------------


def test_blocks_know_their_dtype() -> None:
    assert not is_autocast_enabled("cuda")
    assert get_autocast_dtype("cuda") is fastdl.float16
    assert get_autocast_dtype("cpu") is fastdl.bfloat16
    with autocast("cuda", dtype=fastdl.bfloat16):
        assert is_autocast_enabled("cuda")
        assert not is_autocast_enabled("cpu")
        assert get_autocast_dtype("cuda") is fastdl.bfloat16
        with fastdl.autocast("cuda", enabled=False):
            assert not is_autocast_enabled("cuda")
        with autocast("cuda", "tf32"):
            assert get_autocast_dtype("cuda") == "tf32"
    assert not is_autocast_enabled("cuda")


def test_bad_arguments_of_autocast() -> None:
    with pytest.raises(TypeError, match=r"^\[autocast\] expected a str for device_type, got int$"):
        autocast(0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^\[autocast\] expected device_type cpu, cuda, emu, reference, got 'tpu'$"):
        autocast("tpu")
    for bad in (fastdl.float64, "int8", 3):
        with pytest.raises(TypeError, match=r"^\[autocast\] expected dtype float32, tf32, bfloat16, float16, got"):
            autocast("cuda", bad)
    with pytest.raises(ValueError, match=r"^\[get_autocast_dtype\] expected device_type"):
        get_autocast_dtype("tpu")
    for dtype in (fastdl.float16, fastdl.half, fastdl.bfloat16):
        with pytest.raises(TypeError, match="expected dtype"):
            fastdl.zeros(1, dtype=dtype)


def test_the_cpu_computes_in_float32() -> None:
    a = fastdl.randn(20, 30)
    plain = a @ a.T
    with autocast("cpu", fastdl.bfloat16):
        assert fastdl.equal(a @ a.T, plain)


emulated = pytest.mark.skipif("emu" not in backends.available(), reason="this build has no emulation module")


@emulated
def test_precision_of_a_block_and_of_its_thread() -> None:
    emu = backends.get("emu")
    seen: list[str] = []
    with autocast("emu", fastdl.bfloat16):
        assert emu.get_product_precision() == "bfloat16"
        with autocast("emu"):
            assert emu.get_product_precision() == "float16"
        with autocast("emu", enabled=False):
            assert emu.get_product_precision() == "float32"
        assert emu.get_product_precision() == "bfloat16"
        thread = threading.Thread(target=lambda: seen.append(emu.get_product_precision()))
        thread.start()
        thread.join()
    assert seen == ["float32"]
    assert emu.get_product_precision() == "float32"
    with pytest.raises(ZeroDivisionError), autocast("emu"):
        _ = 1 / 0
    assert emu.get_product_precision() == "float32"


@emulated
def test_a_block_inside_another_setting() -> None:
    emu = backends.get("emu")
    emu.set_product_precision("tf32")
    try:
        with autocast("emu"), autocast("emu", enabled=False):
            assert emu.get_product_precision() == "tf32"
        assert emu.get_product_precision() == "tf32"
    finally:
        emu.set_product_precision("float32")


@emulated
def test_gradients_remember_their_forward_pass() -> None:
    emu = backends.get("emu")
    seen: list[tuple[str, str]] = []

    class Watched(fastdl.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: fastdl.Tensor) -> fastdl.Tensor:
            ctx.forward = emu.get_product_precision()
            return x * 1

        @staticmethod
        def backward(ctx: Any, grad: fastdl.Tensor) -> fastdl.Tensor:
            seen.append((ctx.forward, emu.get_product_precision()))
            return grad

    x = fastdl.ones(2, device="emu", requires_grad=True)
    outside = Watched.apply(x)
    with autocast("emu", fastdl.bfloat16):
        inside = Watched.apply(outside)
        with autocast("emu", fastdl.float16):
            deep = Watched.apply(inside)
    deep.sum().backward(retain_graph=True)
    with autocast("emu", "tf32"):
        deep.sum().backward()
        assert emu.get_product_precision() == "tf32"
    assert seen == [("float16", "float16"), ("bfloat16", "bfloat16"), ("float32", "float32")] * 2
    assert emu.get_product_precision() == "float32"
    assert x.grad.tolist() == [2.0, 2.0]


@emulated
def test_as_a_decorator() -> None:
    emu = backends.get("emu")

    @autocast("emu", dtype="bfloat16")
    def name() -> str:
        return str(emu.get_product_precision())

    assert (name(), name.__name__, emu.get_product_precision()) == ("bfloat16", "name", "float32")
