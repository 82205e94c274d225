"""Elementwise functions on 25.7 MB: bound by memory, or by the polynomial."""

import numpy as np

import fastdl
from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

NUMBER = 100_000


def libraries(function):
    """The same function of both."""
    found = {"fastdl": function(fastdl)}
    return found if torch is None else found | {"PyTorch": function(torch)}


def powers(library):
    a, b = (library.tensor(np.random.default_rng(i).uniform(0.1, 4.0, NUMBER)) for i in range(2))
    return lambda: library.pow(a, b)


def sum_of_products(library):
    """Forward and backward of a graph whose gradients begin with one number."""
    a, b = (library.tensor(np.random.default_rng(i).random(NUMBER, np.float32)).requires_grad_() for i in range(2))

    def step():
        a.grad = b.grad = None
        (a * b).sum().backward()

    return step


def added_in_place(library):
    a, b = (library.tensor(np.random.default_rng(i).random(NUMBER, np.float32)) for i in range(2))
    return lambda: a.add_(b).mul_(0.5)


ROWS = [
    Row("relu", {"shape": SHAPE}, goal=1.5),
    Row("relu", {"shape": SHAPE}, backward=True, goal=1.1),
    Row("add", {"a": SHAPE, "b": SHAPE}, goal=1.5),
    Row("mul", {"a": SHAPE, "b": SHAPE}, goal=1.0),
    Row("clamp", {"shape": SHAPE}, goal=1.1),
    Row("sigmoid", {"shape": SHAPE}, goal=1.1),
    Row("tanh", {"shape": SHAPE}, goal=1.1),
    Row("exp", {"shape": SHAPE}, goal=1.1),
    Row("log", {"shape": SHAPE}, goal=1.1),
    Row("pow", {"a": SHAPE, "b": SHAPE}, goal=1.0),
    Row("tan", {"shape": SHAPE}, goal=1.1),
    Row("atan", {"shape": SHAPE}, goal=1.1),
    Row("asinh", {"shape": SHAPE}, goal=1.1),
    Row("erfc", {"shape": SHAPE}, goal=1.0),
    Row("atan2", {"a": SHAPE, "b": SHAPE}, goal=1.1),
    Row("hypot", {"a": SHAPE, "b": SHAPE}, goal=1.1),
    Row("logaddexp", {"a": SHAPE, "b": SHAPE}, goal=1.1),
    Row("fmod", {"a": SHAPE, "b": SHAPE}, goal=1.0),
    Row("addcmul", {"a": SHAPE, "b": SHAPE, "c": SHAPE}, goal=1.1),
    Row("lerp", {"a": SHAPE, "b": SHAPE, "c": SHAPE}, goal=1.1),
    Row("nan_to_num", {"shape": SHAPE}, goal=1.1),
    Row("diff", {"shape": (6272, 1024)}, goal=1.0, channels_last=False),
    Row("pow, float64", goal=1.0, make=lambda: libraries(powers)),
    Row("(a * b).sum().backward()", goal=1.0, make=lambda: libraries(sum_of_products)),
    Row("a.add_(b).mul_(0.5)", goal=1.0, make=lambda: libraries(added_in_place)),
    Row("linspace", goal=1.0, make=lambda: libraries(lambda library: lambda: library.linspace(0, 1, NUMBER))),
]
TORCH = {} if torch is None else {
    "relu": torch.relu, "clamp": lambda x: torch.clamp(x, -0.5, 0.75), "add": torch.add, "mul": torch.mul,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "exp": torch.exp, "log": torch.log, "pow": torch.pow,
    "tan": torch.tan, "atan": torch.atan, "asinh": torch.asinh, "erfc": torch.erfc, "atan2": torch.atan2,
    "hypot": torch.hypot, "logaddexp": torch.logaddexp, "fmod": torch.fmod, "lerp": torch.lerp,
    "addcmul": lambda a, b, c: torch.addcmul(a, b, c, value=-0.5),
    "diff": torch.diff,
    "nan_to_num": lambda x: torch.nan_to_num(x, 0.5, 2.0),
}  # fmt: skip
NUMPY = {
    "relu": lambda x: np.maximum(x, 0), "add": np.add, "mul": np.multiply, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh, "exp": np.exp, "log": np.log,
}  # fmt: skip
