"""The tape: what is recorded, how gradients flow, hooks, and errors."""

import numpy as np
import pytest

import fastdl


def leaf(*values):
    return fastdl.tensor(list(values), dtype=fastdl.float64, requires_grad=True)


def test_chain_rule():
    x = leaf(2.0, 3.0)
    ((x * x + 1).log()).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array([2, 3]) / (np.array([4, 9]) + 1))


def test_gradients_add_up_over_calls_and_uses():
    x = leaf(1.0, 2.0)
    (x + x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_leaf_gradients_never_share_memory():
    a, b = leaf(1.0), leaf(2.0)
    (a + b).backward()
    a.grad.fill_(7.0)
    assert b.grad.item() == 1.0
    c, d = leaf(1.0), leaf(2.0)
    (c.reshape(1, 1) + d).sum().backward()
    c.grad.fill_(7.0)
    assert d.grad.item() == 1.0


def test_backward_with_a_gradient_keeps_the_callers_array():
    x = leaf(1.0)
    g = fastdl.tensor([5.0], dtype=fastdl.float64)
    x.backward(g)
    x.grad.fill_(0.0)
    assert g.item() == 5.0


def test_diamond_runs_each_node_once():
    x = leaf(3.0)
    y = x * x
    calls = []
    y.register_hook(lambda g: calls.append(g.item()))
    (y + y * y).sum().backward()
    assert calls == [1 + 2 * 9.0]
    assert x.grad.item() == (1 + 18.0) * 6


def test_no_grad_and_detach_record_nothing():
    x = leaf(1.0)
    with fastdl.no_grad():
        assert not (x * 2).requires_grad
        with fastdl.enable_grad():
            assert (x * 2).requires_grad
    assert not (x.detach() * 2).requires_grad
    assert (x * 2).requires_grad

    @fastdl.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad
    previous = fastdl.is_grad_enabled()
    with fastdl.set_grad_enabled(False):
        assert not fastdl.is_grad_enabled()
    assert fastdl.is_grad_enabled() is previous


def test_second_backward_needs_retain_graph():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 4.0
    with pytest.raises(RuntimeError, match=r"\[backward\] expected a graph that still holds its saved values"):
        y.backward()


def test_hooks_change_and_go():
    x = leaf(1.0, 1.0)
    handle = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_retain_grad_of_inner_tensors():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.item() == 12.0


def test_autograd_grad_leaves_grad_alone():
    x, y = leaf(2.0), leaf(5.0)
    z = x * y
    gx, gz = fastdl.autograd.grad((z * z).sum(), (x, z))
    assert (gx.item(), gz.item()) == (100.0, 20.0)
    assert x.grad is None
    with pytest.raises(RuntimeError, match=r"\[grad\] expected inputs that the outputs depend on"):
        fastdl.autograd.grad(x * 2, y)
    assert fastdl.autograd.grad(x * 2, y, allow_unused=True) == (None,)


def test_custom_function():
    class Scale(fastdl.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.factor, None

    x = leaf(1.0, 2.0)
    Scale.apply(x, 4.0).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_errors():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"\[backward\] expected a gradient for an output of shape \(2,\), got None"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"\[backward\] expected a tensor that requires a gradient"):
        fastdl.ones(1).backward()
    with pytest.raises(ValueError, match=r"\[backward\] expected a gradient of shape \(2,\), got \(3,\)"):
        (x * 2).backward(fastdl.ones(3, dtype=fastdl.float64))
    with pytest.raises(TypeError, match=r"\[requires_grad_\] expected dtype float32 or float64, got int64"):
        fastdl.tensor([1]).requires_grad_()
    with pytest.raises(
        RuntimeError, match=r"\[in-place\] expected a tensor inside the graph or no_grad\(\), got a leaf"
    ):
        x += 1


def test_in_place_on_the_tape_keeps_saved_values():
    x = leaf(2.0)
    y = x * 1.0
    z = y * y  # saves y
    y += 100.0
    (z + y).sum().backward()
    assert x.grad.item() == 4.0 + 1.0


def test_gradient_flows_between_dtypes():
    x = fastdl.tensor([1.0, 2.0], requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype is fastdl.float32 and x.grad.tolist() == [2.0, 2.0]


def test_gradient_flows_between_devices():
    x = fastdl.tensor([1.0, 2.0], requires_grad=True)
    (x.to("reference") * 3).sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [3.0, 3.0]


def test_deep_graphs_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y


def test_backward_of_several_roots_is_that_of_their_sum():
    x = fastdl.tensor([1.0, 2.0], requires_grad=True)
    shared = x * x
    fastdl.autograd.backward([shared * 3, shared.sum(), x], [fastdl.tensor([1.0, 10.0]), None, fastdl.ones(2)])
    assert x.grad.tolist() == [2 * 3 + 2 + 1, 4 * 30 + 4 + 1]


# ---- gradients of sums, written out where they are needed ------------------------------------------------------------

A, B = np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([[0.5, 4.0], [-1.0, 2.0]])
SPREAD = {
    "leaf": (lambda a, b: a.sum() + (2 * b).sum(), np.ones((2, 2)), np.full((2, 2), 2.0)),
    "used twice": (lambda a, b: a.sum() + (a * b).sum() + a.sum(), 2 + B, A),
    "of a sum": (lambda a, b: (a + b).sum(), np.ones((2, 2)), np.ones((2, 2))),
    "of a difference": (lambda a, b: (a - b).mean(), np.full((2, 2), 0.25), np.full((2, 2), -0.25)),
    "negated": (lambda a, b: ((-a) / b + 3 * b / 2).sum(), -1 / B, A / B**2 + 1.5),
    "along an axis": (
        lambda a, b: ((a * b).sum(0) * fastdl.tensor([1.0, 10.0], dtype=a.dtype, device=a.device)).sum(),
        B * [1, 10],
        A * [1, 10],
    ),
    "kept axis": (lambda a, b: (a * b - (a * b).mean(1, keepdim=True)).sum(), B * 0, A * 0),
    "broadcast": (lambda a, b: (a * b[0] + b[1]).sum(), B[:1] + 0 * A, np.stack([A.sum(0), [2.0, 2.0]])),
    "powers": (lambda a, b: (a**2 + b**3 + a.abs().sqrt() * 0).sum(), 2 * A, 3 * B**2),
    "other rules": (lambda a, b: a.reshape(4) @ b.t().reshape(4) + a.relu().sum(), B.T + (A > 0), A.T),
}


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("name", SPREAD)
def test_gradients_of_sums(name, device):
    function, *expected = SPREAD[name]
    a, b = (fastdl.tensor(x, device=device, requires_grad=True) for x in (A, B))
    function(a, b).backward()
    for x, want in zip((a, b), expected, strict=True):
        np.testing.assert_allclose(x.grad.detach().cpu().numpy(), want, rtol=1e-12, atol=1e-12)


def test_hooks_and_inner_gradients_of_sums_are_tensors():
    a = fastdl.ones(2, 3, requires_grad=True)
    inner = a * 2
    seen = []
    inner.register_hook(lambda g: seen.append(g.tolist()))
    total = inner.sum()
    (found,) = fastdl.autograd.grad(total, inner, retain_graph=True)
    inner.retain_grad()
    total.backward()
    assert found.tolist() == inner.grad.tolist() == [[1.0] * 3] * 2
    assert seen == [[[1.0] * 3] * 2] * 2 and a.grad.tolist() == [[2.0] * 3] * 2


def test_leaves_of_one_sum_have_gradients_of_their_own():
    a, b = fastdl.ones(3, requires_grad=True), fastdl.ones(3, requires_grad=True)
    (a + b).sum().backward()
    a.grad.fill_(7.0)
    assert b.grad.tolist() == [1.0] * 3
