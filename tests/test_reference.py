"""The reference backend against the surface, hand-worked values and itself; tests/parity holds it against PyTorch."""

import inspect

import numpy as np
import pytest

from fastdl import backends
from fastdl.backends import reference as ref
from fastdl.backends import surface
from fastdl.backends.reference.random import philox

SURFACE = list(surface.FUNCTIONS)


@pytest.mark.parametrize("name", SURFACE)
def test_has_the_surface(name):
    wanted = list(inspect.signature(getattr(surface.Backend, name)).parameters)[1:]
    assert list(inspect.signature(getattr(ref, name)).parameters) == wanted


def test_exports_nothing_but_the_surface():
    assert set(ref.__all__) == {*SURFACE, "NAME"}


def rng():
    return np.random.default_rng(0)


# ---- values that can be worked out by hand ---------------------------------------------------------------------------


def test_conv2d_by_hand():
    x = np.arange(9.0).reshape(1, 1, 3, 3)
    w = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    out = ref.conv2d(x, w, np.array([1.0]), (1, 1), (0, 0, 0, 0), (1, 1), 1, "none", None)
    assert out.tolist() == [[[[28.0, 38.0], [58.0, 68.0]]]]


def test_conv2d_asymmetric_padding():
    x = np.ones((1, 1, 1, 1))
    w = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    out = ref.conv2d(x, w, None, (1, 1), (1, 0, 0, 1), (1, 1), 1, "none", None)
    assert out.tolist() == [[[[3.0]]]]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride,padding,dilation", [((1, 1), (0,) * 4, (1, 1)), ((2, 3), (2, 1, 0, 1), (1, 2))])
def test_conv2d_gradients_are_its_adjoints(groups, stride, padding, dilation):
    """<g, conv(x, w)> = <bwd_input(g, w), x> = <bwd_weight(g, x), w>: convolution is linear in each."""
    r = rng()
    x, w = r.standard_normal((2, 4, 7, 8)), r.standard_normal((8, 4 // groups, 3, 2))
    geometry = (stride, padding, dilation, groups)
    out = ref.conv2d(x, w, None, *geometry, "none", None)
    g = r.standard_normal(out.shape)
    assert np.vdot(g, out) == pytest.approx(np.vdot(ref.conv2d_bwd_input(g, w, (7, 8), *geometry), x))
    assert np.vdot(g, out) == pytest.approx(np.vdot(ref.conv2d_bwd_weight(g, x, (3, 2), *geometry), w))


def test_max_pool2d_by_hand():
    x = np.array([[[[1.0, 5.0, 2.0], [5.0, 0.0, 3.0], [4.0, 4.0, 6.0]]]])
    out, indices = ref.max_pool2d(x, (2, 2), (1, 1), (0, 0), (1, 1), False, "int32")
    assert out.tolist() == [[[[5.0, 5.0], [5.0, 6.0]]]]
    assert indices.tolist() == [[[[1, 1], [3, 8]]]]  # the first maximum of a window
    grad = ref.max_pool2d_bwd(np.ones_like(out), indices, (3, 3), (2, 2), (1, 1), (0, 0), (1, 1))
    assert grad.tolist() == [[[[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]]


def test_max_pool2d_of_minus_infinity_never_picks_padding():
    out, indices = ref.max_pool2d(np.full((1, 1, 2, 2), -np.inf), (3, 3), (2, 2), (1, 1), (1, 1), False, "int32")
    assert out.tolist() == [[[[-np.inf]]]] and indices.tolist() == [[[[0]]]]


def test_max_pool2d_ceil_mode_drops_windows_in_the_padding():
    x = np.zeros((1, 1, 3, 3))
    assert ref.max_pool2d(x, (2, 2), (2, 2), (1, 1), (1, 1), True, None)[0].shape == (1, 1, 2, 2)
    assert ref.max_pool2d(np.zeros((1, 1, 4, 4)), (3, 3), (2, 2), (0, 0), (1, 1), True, None)[0].shape == (1, 1, 2, 2)


def test_max_pool2d_nan_wins():
    x = np.array([[[[np.nan, np.nan], [3.0, 2.0]]]])
    out, indices = ref.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False, "int32")
    assert np.isnan(out).all() and indices.tolist() == [[[[1]]]]  # the last of several


def test_philox_known_answer():
    assert [hex(w) for w in philox(np.zeros(1, np.uint64), 0)[0]] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]


def test_dropout():
    x = np.ones(100_000, np.float32)
    out = ref.dropout(x, 0.25, 1, 0)
    assert set(out.tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert (out == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert (ref.dropout(x[8:], 0.25, 1, 2) == out[8:]).all()  # element i takes counter offset + i // 4
    assert (ref.dropout(x, 0.0, 1, 0) == x).all() and not ref.dropout(x, 1.0, 1, 0).any()


def test_cross_entropy_is_log_softmax_picked():
    r = rng()
    x, target, weight = r.standard_normal((3, 4, 2)), r.integers(0, 4, (3, 2)), r.random(4)
    target[1, 0] = -100
    picked = -np.take_along_axis(ref.log_softmax(x, 1), np.where(target < 0, 0, target)[:, None], 1)[:, 0]
    w = np.where(target < 0, 0.0, weight[np.maximum(target, 0)])
    loss, _, total = ref.cross_entropy(x, target, weight, -100, 0.0, "mean")
    assert loss == pytest.approx((picked * w).sum() / w.sum()) and total == pytest.approx(w.sum())
    assert ref.cross_entropy(x, target, weight, -100, 0.0, "none")[0] == pytest.approx(picked * w)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_gradient(reduction, smoothing):
    r = rng()
    x, target, weight = r.standard_normal((3, 4, 2)), r.integers(0, 4, (3, 2)), r.random(4)
    target[2, 1] = 2
    options = (2, smoothing, reduction)
    loss, lse, total = ref.cross_entropy(x, target, weight, *options)
    g = np.asarray(r.random(loss.shape))
    found = ref.cross_entropy_bwd(g, x, target, weight, lse, total, *options)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        up, down = (ref.cross_entropy(x + s * step, target, weight, *options)[0] for s in (1, -1))
        assert found[i] == pytest.approx(((up - down) * g).sum() / 2e-6, abs=1e-7)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_large_and_empty(name):
    f = getattr(ref, name)
    assert np.isfinite(f(np.array([[1e4, 0.0, -1e4]]), 1)[0, 0])
    assert f(np.zeros((0, 3)), 1).shape == (0, 3) and f(np.zeros((3, 0)), 1).shape == (3, 0)


def test_activations_at_the_edges():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0], np.float32)
    assert np.array_equal(ref.relu(x), np.array([np.nan, np.inf, 0, 0, 0], np.float32), equal_nan=True)
    assert np.array_equal(ref.sigmoid(x)[:4], np.array([np.nan, 1, 0, 0.5], np.float32), equal_nan=True)
    assert ref.sign(x).tolist() == [0.0, 1.0, -1.0, 0.0, -1.0]


def test_slice_and_its_gradient():
    x = np.arange(12.0).reshape(3, 4)
    out = ref.slice(x, (0, 1), (2, 2), (2, 2))
    assert out.tolist() == [[1.0, 3.0], [9.0, 11.0]]
    back = ref.slice_bwd(out, (3, 4), (0, 1), (2, 2))
    assert back.tolist() == [[0, 1, 0, 3], [0, 0, 0, 0], [0, 9, 0, 11]]
    ref.slice_assign_(x, -out, (0, 1), (2, 2))
    assert x[0].tolist() == [0, -1, 2, -3]


def test_results_are_contiguous_and_their_own():
    x = np.zeros((2, 3, 4))
    for out in (
        ref.permute(x, (0, 1, 2)),
        ref.permute(x, (2, 0, 1)),
        ref.broadcast_to(x, x.shape),
        ref.sum(x, (), True),
    ):
        assert out.flags.c_contiguous and not np.shares_memory(out, x)
    assert np.shares_memory(ref.reshape(x, (24,)), x)


@pytest.mark.parametrize("name,axes", [("sum", (0, 1)), ("mean", (1,)), ("amax", ()), ("amin", (0, 1))])
def test_reductions_give_arrays(name, axes):
    out = getattr(ref, name)(np.ones((2, 3), np.float32), axes, False)
    assert isinstance(out, np.ndarray) and out.dtype == np.float32 and (out == (6 if name == "sum" else 1)).all()


def test_dlpack_shares_memory():
    x = np.zeros(3)
    y = ref.from_dlpack(ref.to_dlpack(x, False))
    y[0] = 5
    assert x[0] == 5


def test_optimizers_by_hand():
    p, b = np.array([1.0]), np.empty(1)
    ref.sgd_step([p], [np.array([1.0])], [b], 0.1, 0.5, 0.0, 0.0, False, False, True)
    ref.sgd_step([p], [np.array([1.0])], [b], 0.1, 0.5, 0.0, 0.0, False, False, False)
    assert p == pytest.approx(1 - 0.1 - 0.15)
    q, m, v = np.array([1.0]), np.zeros(1), np.zeros(1)
    ref.adam_step([q], [np.array([4.0])], [m], [v], [], 1, 0.5, 0.9, 0.999, 0.0, 0.0, False, False)
    assert q == pytest.approx(0.5)  # the first step of Adam has the length lr


# ---- errors ----------------------------------------------------------------------------------------------------------

X, W = np.ones((1, 4, 5, 5)), np.ones((6, 2, 3, 3))
F32 = np.ones((1, 4, 5, 5), np.float32)
GEOMETRY = ((1, 1), (0, 0, 0, 0), (1, 1))
BAD = [
    (
        lambda: ref.squared_deviations(X, F32, (0,), False),
        TypeError,
        "[squared_deviations] expected center of dtype float64, got float32",
    ),
    (
        lambda: ref.squared_deviations(X, X, (0, 1), False),
        ValueError,
        "[squared_deviations] expected center of 25 elements, got shape (1, 4, 5, 5)",
    ),
    (lambda: ref.add(X, F32), TypeError, "[add] expected b of dtype float64, got float32"),
    (lambda: ref.add(np.ones(2), np.ones(3)), ValueError, "[add] expected shapes that broadcast, got (2,) and (3,)"),
    (
        lambda: ref.add_scalar(np.ones(2, np.int64), 1.5),
        TypeError,
        "[add_scalar] expected an int for an array of dtype int64, got 1.5",
    ),
    (lambda: ref.exp(np.ones(2, int)), TypeError, "[exp] expected x of dtype float32 or float64, got int64"),
    (
        lambda: ref.matmul(np.ones((2, 3)), np.ones((2, 3)), False, False),
        ValueError,
        "[matmul] expected equal inner sizes (trans_a=False, trans_b=False), got shapes (2, 3) and (2, 3)",
    ),
    (
        lambda: ref.conv2d(X, W, None, *GEOMETRY, 1, "none", None),
        ValueError,
        "[conv2d] expected an input of 2 channels in each of 1 groups, got 4 channels",
    ),
    (
        lambda: ref.conv2d(X, np.ones((6, 4, 7, 3)), None, *GEOMETRY, 1, "none", None),
        ValueError,
        "[conv2d] expected a dilated kernel of at most the padded input, 5, got 7",
    ),
    (
        lambda: ref.conv2d(X, W, None, (0, 1), (0,) * 4, (1, 1), 2, "none", None),
        ValueError,
        "[conv2d] expected stride of at least 1, got (0, 1)",
    ),
    (
        lambda: ref.max_pool2d(X, (2, 2), (2, 2), (2, 0), (1, 1), False, None),
        ValueError,
        "[max_pool2d] expected padding of at most half the kernel (2, 2), got padding (2, 0)",
    ),
    (lambda: ref.softmax(X, 4), IndexError, "[softmax] expected an axis in [0, 4), got 4"),
    (lambda: ref.dropout(X, 1.5, 0, 0), ValueError, "[dropout] expected p between 0 and 1, got 1.5"),
    (
        lambda: ref.adam_step([X], [X], [X], [X], [], 0, 0.1, 0.9, 0.9, 0.1, 0.0, False, False),
        ValueError,
        "[adam_step] expected step of at least 1, got 0",
    ),
]


@pytest.mark.parametrize(
    "call,error,message", BAD, ids=[b[2].partition("]")[0][1:] + str(i) for i, b in enumerate(BAD)]
)
def test_bad_calls(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error and str(caught.value) == message


# ---- devices by name -------------------------------------------------------------------------------------------------


def test_get():
    assert backends.get("reference") is ref
    assert backends.get("reference:0") is ref
    with pytest.raises(ValueError, match=r"^\[device\] expected one of cpu, cuda, emu, reference, got 'tpu'$"):
        backends.get("tpu")
    with pytest.raises(ValueError, match=r"got 'cuda:1'$"):
        backends.get("cuda:1")
    with pytest.raises(TypeError, match=r"^\[device\] expected a name, got int$"):
        backends.get(0)


def test_device_that_was_not_built(monkeypatch):
    missing = ModuleNotFoundError("No module named 'fastdl._cuda'", name="fastdl._cuda")
    built = backends._import
    monkeypatch.setattr(backends, "_import", lambda base: (None, missing) if base == "cuda" else built(base))
    monkeypatch.setattr(backends, "_loaded", {})
    with pytest.raises(RuntimeError, match=r"^\[device\] expected one of .*, got 'cuda' \(this build has no CUDA"):
        backends.get("cuda")
    assert "cuda" not in backends.available()
