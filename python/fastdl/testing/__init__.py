"""Checks for tests of operations: gradients, tolerances in epsilons, timing, and cases that run on every device."""

from .gradcheck import gradcheck
from .op_case import BadCall, OpCase
from .timer import Comparison, Timing, compare, timeit
from .tolerance import assert_close

__all__ = ["BadCall", "Comparison", "OpCase", "Timing", "assert_close", "compare", "gradcheck", "timeit"]
