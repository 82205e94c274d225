"""Inference plans (`fastdl.compile`): whole networks that run without Python between their steps.

A network is traced on example inputs (`trace`), its graph of backend functions is made smaller (`passes`), and the
kernels that the rest calls are recorded with their arguments and a planned memory (`lower`).
"""

from .graph import Graph, Node, Value
from .plan import Plan, compile
from .trace import trace

__all__ = ["Graph", "Node", "Plan", "Value", "compile", "trace"]
