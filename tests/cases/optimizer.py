"""Optimizer steps, as functions of parameters, gradients and states."""

import fastdl
from fastdl.testing import BadCall, OpCase


def parameters(rng, lengths, states, **_):
    """For each parameter: value, gradient, and `states` buffers (squares are positive)."""
    arrays = []
    for n in lengths:
        arrays += [rng.standard_normal(n), rng.standard_normal(n)]
        arrays += [rng.standard_normal(n) if i == 0 else rng.uniform(0.1, 2.0, n) for i in range(states)]
    return arrays


def columns(tensors, width):
    """Copies of the inputs as lists of arrays: all values, all gradients, all first states, ..."""
    copies = [t.detach().clone() for t in tensors]
    return copies, [[t._array for t in copies[i::width]] for i in range(width)]


def sgd(*tensors, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False, first=False):
    copies, lists = columns(tensors, 3)
    backend = copies[0]._backend
    backend.sgd_step(lists[0], lists[1], lists[2] if momentum else [], 0.1, momentum, dampening, weight_decay, nesterov,
                     maximize, first)  # fmt: skip
    return copies


def adam(*tensors, step=1, weight_decay=0.0, decoupled=False, maximize=False, amsgrad=False):
    copies, lists = columns(tensors, 5)
    backend = copies[0]._backend
    backend.adam_step(lists[0], lists[1], lists[2], lists[3], lists[4] if amsgrad else [], step, 0.01, 0.9, 0.999, 1e-8,
                      weight_decay, decoupled, maximize)  # fmt: skip
    return copies


def rmsprop(*tensors, weight_decay=0.0, momentum=0.0, centered=False, maximize=False):
    copies, lists = columns(tensors, 5)
    k = copies[0]._backend
    squares = [k.add_scalar(v, 25.0) for v in lists[3]]  # well above the square of any mean
    k.rmsprop_step(lists[0], lists[1], squares, lists[4] if centered else [], lists[2] if momentum else [], 0.01, 0.9,
                   1e-8, weight_decay, momentum, maximize)  # fmt: skip
    return [*copies, *(fastdl.Tensor(a, k) for a in squares)]


def adagrad(*tensors, step=1, lr_decay=0.0, weight_decay=0.0, maximize=False):
    copies, lists = columns(tensors, 4)
    copies[0]._backend.adagrad_step(*lists[:2], lists[3], step, 0.01, lr_decay, weight_decay, 1e-10, maximize)
    return copies


def adadelta(*tensors, rho=0.9, weight_decay=0.0, maximize=False):
    copies, lists = columns(tensors, 5)
    copies[0]._backend.adadelta_step(*lists[:2], *lists[3:], 0.5, rho, 1e-6, weight_decay, maximize)
    return copies


def adamax(*tensors, step=1, weight_decay=0.0, maximize=False):
    copies, lists = columns(tensors, 5)
    copies[0]._backend.adamax_step(*lists[:3], lists[3], step, 0.01, 0.9, 0.99, 1e-8, weight_decay, maximize)
    return copies


def ahead(*tensors, weight_decay=0.0, keep=1.0, of_grad=0.0, divided=True, maximize=False):
    copies, lists = columns(tensors, 5)
    rest = (weight_decay, keep, of_grad, 0.02, 0.5, divided, maximize)
    copies[0]._backend.ahead_step(*lists[:4], 0.9, 0.99, 1e-8, *rest)
    return copies


def rprop(*tensors, least=1e-6, maximize=False):
    copies, lists = columns(tensors, 5)
    copies[0]._backend.rprop_step(*lists[:4], 0.5, 1.2, least, 2.0, maximize)
    return copies


def clip_norm(*tensors, max_norm=1.0, norm_type=2.0):
    copies, (grads, _) = columns(tensors, 2)
    k = copies[0]._backend
    norm = k.grad_norm(grads, norm_type)
    k.clip_by_norm_(grads, norm, max_norm)
    return [fastdl.Tensor(norm, k), *copies]


def clip_value(*tensors, limit=0.5):
    copies, (grads, _) = columns(tensors, 2)
    copies[0]._backend.clip_by_value_(grads, limit)
    return copies


SETS = [(5,), (1, 17, 0, 33), (70_001, 3)]


def arrays(device, *lengths, dtype="float32"):
    return [fastdl.ones(n, dtype=dtype, device=device)._array for n in lengths]


def bad_sgd(device, grads=(3,), dtype="float32", buffers=(), lr=0.1, momentum=0.0, dampening=0.0, nesterov=False):
    fastdl.backends.get(device).sgd_step(
        arrays(device, 3), arrays(device, *grads, dtype=dtype), arrays(device, *buffers), lr, momentum, dampening, 0.0,
        nesterov, False, True)  # fmt: skip


def bad_adam(device, params=(3,), squares=(3,), step=1, beta1=0.9, dtype="float32"):
    lists = [arrays(device, *params, dtype=dtype) for _ in range(3)]
    step_of = fastdl.backends.get(device).adam_step
    squares = arrays(device, *squares, dtype=dtype)
    step_of(*lists, squares, [], step, 0.1, beta1, 0.999, 1e-8, 0.0, False, False)


BAD_SGD = [
    BadCall(lambda d: bad_sgd(d, grads=(3, 3)), ValueError, "[sgd_step] expected grads of 1 arrays, got 2"),
    BadCall(lambda d: bad_sgd(d, grads=(2,)), ValueError, "[sgd_step] expected grads[0] of shape (3,), got shape (2,)"),
    BadCall(lambda d: bad_sgd(d, dtype="float64"), TypeError,
            "[sgd_step] expected grads[0] of dtype float32, got float64"),
    BadCall(lambda d: bad_sgd(d, momentum=0.9), ValueError, "[sgd_step] expected buffers of 1 arrays, got 0"),
    BadCall(lambda d: bad_sgd(d, lr=-0.5), ValueError, "[sgd_step] expected lr of at least 0, got -0.5"),
    BadCall(lambda d: bad_sgd(d, lr=float("inf")), ValueError, "[sgd_step] expected lr of at least 0, got inf"),
    BadCall(lambda d: bad_sgd(d, nesterov=True), ValueError,
            "[sgd_step] expected momentum above 0 and dampening 0 with nesterov, got momentum 0, dampening 0"),
]  # fmt: skip
BAD_ADAM = [
    BadCall(lambda d: bad_adam(d, squares=()), ValueError, "[adam_step] expected exp_avg_sqs of 1 arrays, got 0"),
    BadCall(lambda d: bad_adam(d, step=0), ValueError, "[adam_step] expected step of at least 1, got 0"),
    BadCall(lambda d: bad_adam(d, beta1=1.0), ValueError, "[adam_step] expected beta1 in [0, 1), got 1"),
    BadCall(lambda d: bad_adam(d, dtype="int64"), TypeError,
            "[adam_step] expected params[0] of dtype float32 or float64, got int64"),
]  # fmt: skip


def bad_norm(device, grads=(3,), norm_type=2.0, max_norm=1.0, dtype="float32"):
    k = fastdl.backends.get(device)
    norm = k.grad_norm(arrays(device, *grads, dtype=dtype), norm_type)
    k.clip_by_norm_(arrays(device, *grads), norm, max_norm)


def bad_adaptive(device, name, lists, *numbers):
    getattr(fastdl.backends.get(device), name)(*(arrays(device, *lengths) for lengths in lists), *numbers)


ONE = (3,)
BAD_CLIP = [
    BadCall(lambda d: bad_norm(d, grads=()), ValueError, "[grad_norm] expected at least one gradient, got none"),
    BadCall(lambda d: bad_norm(d, norm_type=0.0), ValueError, "[grad_norm] expected norm_type above 0, got 0"),
    BadCall(lambda d: bad_norm(d, dtype="int64"), TypeError,
            "[grad_norm] expected grads[0] of dtype float32 or float64, got int64"),
    BadCall(lambda d: bad_norm(d, max_norm=-1.0), ValueError,
            "[clip_by_norm_] expected max_norm of at least 0, got -1"),
    BadCall(lambda d: bad_adaptive(d, "clip_by_value_", [ONE], -2.0), ValueError,
            "[clip_by_value_] expected clip_value of at least 0, got -2"),
]  # fmt: skip
BAD_RMSPROP = [
    BadCall(lambda d: bad_adaptive(d, "rmsprop_step", [ONE, ONE, (), (), ()], 0.1, 0.9, 1e-8, 0.0, 0.0, False),
            ValueError, "[rmsprop_step] expected square_avgs of 1 arrays, got 0"),
    BadCall(lambda d: bad_adaptive(d, "rmsprop_step", [ONE, ONE, ONE, (), ()], 0.1, 0.9, 1e-8, 0.0, 0.5, False),
            ValueError, "[rmsprop_step] expected buffers of 1 arrays, got 0"),
    BadCall(lambda d: bad_adaptive(d, "rmsprop_step", [ONE, ONE, ONE, (), ()], 0.1, -1.0, 1e-8, 0.0, 0.0, False),
            ValueError, "[rmsprop_step] expected alpha of at least 0, got -1"),
]  # fmt: skip
BAD_ADAGRAD = [
    BadCall(lambda d: bad_adaptive(d, "adagrad_step", [ONE, ONE, ONE], 0, 0.1, 0.0, 0.0, 1e-10, False),
            ValueError, "[adagrad_step] expected step of at least 1, got 0"),
]  # fmt: skip
BAD_ADADELTA = [
    BadCall(lambda d: bad_adaptive(d, "adadelta_step", [ONE, ONE, ONE, ONE], 1.0, 1.5, 1e-6, 0.0, False),
            ValueError, "[adadelta_step] expected rho in [0, 1], got 1.5"),
]  # fmt: skip

MOMENTS = [ONE, ONE, ONE, ONE]
BAD_ADAMAX = [
    BadCall(lambda d: bad_adaptive(d, "adamax_step", MOMENTS, 0, 0.1, 0.9, 0.9, 1e-8, 0.0, False),
            ValueError, "[adamax_step] expected step of at least 1, got 0"),
    BadCall(lambda d: bad_adaptive(d, "adamax_step", MOMENTS, 1, 0.1, 0.9, 1.0, 1e-8, 0.0, False),
            ValueError, "[adamax_step] expected beta2 in [0, 1), got 1"),
]  # fmt: skip
BAD_AHEAD = [
    BadCall(lambda d: bad_adaptive(d, "ahead_step", [*MOMENTS[:3], ()], 0.9, 0.9, 1e-8, 0, 1, 0, 1, 1, True, False),
            ValueError, "[ahead_step] expected exp_avg_sqs of 1 arrays, got 0"),
    BadCall(lambda d: bad_adaptive(d, "ahead_step", MOMENTS, 0.9, 0.9, 1e-8, 0, 1, 0, 1, 0, True, False),
            ValueError, "[ahead_step] expected root above 0, got 0"),
]  # fmt: skip
BAD_RPROP = [
    BadCall(lambda d: bad_adaptive(d, "rprop_step", MOMENTS, 1.5, 2.0, 1e-6, 1.0, False),
            ValueError, "[rprop_step] expected 0 < etas[0] < 1 < etas[1], got (1.5, 2)"),
    BadCall(lambda d: bad_adaptive(d, "rprop_step", MOMENTS, 0.5, 2.0, -1.0, 1.0, False),
            ValueError, "[rprop_step] expected step_sizes[0] of at least 0, got -1"),
]  # fmt: skip


def case(name, call, states, attributes, bad):
    sizes = [{"lengths": lengths, "states": states, **a} for lengths in SETS[:2] for a in attributes]
    sizes.append({"lengths": SETS[2], "states": states, **attributes[-1]})
    return OpCase(name, call, parameters, sizes, bad, differentiable=[], shape_only=("lengths", "states"),
                  epsilons=16, bytes=lambda *arrays, **_: float(sum(a.nbytes for a in arrays)) * 1.5)  # fmt: skip


CASES = [
    case("sgd_step", sgd, 1, [
        {},
        {"momentum": 0.9, "first": True},
        {"momentum": 0.9, "dampening": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"momentum": 0.5, "maximize": True, "weight_decay": 0.1},
    ], BAD_SGD),
    case("adam_step", adam, 3, [
        {},
        {"step": 7, "weight_decay": 0.1},
        {"step": 2, "weight_decay": 0.1, "decoupled": True},
        {"step": 3, "amsgrad": True, "maximize": True},
    ], BAD_ADAM),
    case("rmsprop_step", rmsprop, 3, [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"centered": True, "maximize": True},
        {"centered": True, "momentum": 0.5},
    ], BAD_RMSPROP),
    case("adagrad_step", adagrad, 2, [{}, {"step": 5, "lr_decay": 0.1, "weight_decay": 0.1}, {"maximize": True}],
         BAD_ADAGRAD),
    case("adadelta_step", adadelta, 3, [{}, {"rho": 0.5, "weight_decay": 0.1}, {"maximize": True}], BAD_ADADELTA),
    case("adamax_step", adamax, 3, [{}, {"step": 5, "weight_decay": 0.1}, {"maximize": True}], BAD_ADAMAX),
    case("ahead_step", ahead, 3, [
        {"of_grad": 0.01},
        {"divided": False, "keep": 0.9, "maximize": True},
        {"weight_decay": 0.1},
    ], BAD_AHEAD),
    case("rprop_step", rprop, 3, [{}, {"maximize": True, "least": 0.3}], BAD_RPROP),
    case("clip_norm", clip_norm, 0, [
        {},
        {"max_norm": 1e9},
        {"norm_type": 1.0, "max_norm": 0.1},
        {"norm_type": float("inf")},
        {"norm_type": 3.0, "max_norm": 2.0},
    ], BAD_CLIP),
    case("clip_value", clip_value, 0, [{}, {"limit": 0.0}], []),
]  # fmt: skip
