"""Optimizer steps, as functions of parameters, gradients and states."""

from fastdl.testing import OpCase


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


SETS = [(5,), (1, 17, 0, 33), (70_001, 3)]


def case(name, call, states, attributes, bench=()):
    sizes = [{"lengths": lengths, "states": states, **a} for lengths in SETS[:2] for a in attributes]
    sizes.append({"lengths": SETS[2], "states": states, **attributes[-1]})
    return OpCase(name, call, parameters, sizes, bench, differentiable=[], shape_only=("lengths", "states"),
                  epsilons=16, bytes=lambda *arrays, **_: float(sum(a.nbytes for a in arrays)) * 1.5)  # fmt: skip


CASES = [
    case("sgd_step", sgd, 1, [
        {},
        {"momentum": 0.9, "first": True},
        {"momentum": 0.9, "dampening": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        {"momentum": 0.5, "maximize": True, "weight_decay": 0.1},
    ]),
    case("adam_step", adam, 3, [
        {},
        {"step": 7, "weight_decay": 0.1},
        {"step": 2, "weight_decay": 0.1, "decoupled": True},
        {"step": 3, "amsgrad": True, "maximize": True},
    ]),
]  # fmt: skip
