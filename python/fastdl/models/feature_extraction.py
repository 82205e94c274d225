"""Outputs of inner layers, and counts of work, by forward hooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..autograd import no_grad
from ..nn import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear, Module
from ..nn.modes import evaluating
from ..tensor import Tensor

Nodes = Mapping[str, str] | Sequence[str]


class _AllFound(Exception):  # ends a forward pass early
    pass


class FeatureExtractor(Module):
    """A model that returns the outputs of inner layers as a dict; it shares the model's parameters and their names."""

    def __init__(self, model: Module, train_nodes: dict[str, str], eval_nodes: dict[str, str]) -> None:
        super().__init__()
        fields = self.__dict__
        fields["_model"] = model  # not registered: names in the state dict stay those of the model
        for registry in ("_parameters", "_buffers", "_modules", "_transient"):
            fields[registry] = model.__dict__[registry]
        self._train_nodes, self._eval_nodes = train_nodes, eval_nodes
        self.training = model.training

    def train(self, mode: bool = True) -> FeatureExtractor:
        self._model.train(mode)
        self.training = mode
        return self

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        nodes = self._train_nodes if self.training else self._eval_nodes
        found: dict[str, Any] = {}
        handles = [self._listen(name, nodes, found) for name, _ in self._model.named_modules()]
        try:
            self._model(*args, **kwargs)
        except _AllFound:
            pass
        finally:
            for handle in handles:
                handle.remove()
        missing = [name for name in nodes if name not in found]
        if missing:
            raise ValueError(f"[create_feature_extractor] expected layers that run, got {', '.join(missing)}")
        return {out: found[name] for name, out in nodes.items()}

    def _listen(self, name: str, nodes: dict[str, str], found: dict[str, Any]) -> Any:
        calls: Counter[str] = Counter()

        def hook(_: Module, __: Any, out: Any) -> None:
            node = f"{name}_{calls[name]}" if calls[name] else name
            calls[name] += 1
            if node in nodes:
                found[node] = out
                if len(found) == len(nodes):
                    raise _AllFound

        return self._model.get_submodule(name).register_forward_hook(hook)


def _named(model: Module, nodes: Nodes | None) -> dict[str, str]:
    op = "create_feature_extractor"
    if isinstance(nodes, str) or not isinstance(nodes, Mapping | Sequence):
        raise TypeError(f"[{op}] expected return_nodes as a dict or list of layer names, got {type(nodes).__name__}")
    named = dict(nodes) if isinstance(nodes, Mapping) else {name: name for name in nodes}
    if not named:
        raise ValueError(f"[{op}] expected at least one layer in return_nodes, got none")
    layers = {name for name, _ in model.named_modules() if name}
    for name in named:
        base, _, count = name.rpartition("_")
        if name not in layers and not (base in layers and count.isdigit() and count != "0"):
            raise ValueError(f"[{op}] expected the name of a layer, one of model.named_modules(), got {name!r}")
    return named


def create_feature_extractor(
    model: Module,
    return_nodes: Nodes | None = None,
    train_return_nodes: Nodes | None = None,
    eval_return_nodes: Nodes | None = None,
) -> FeatureExtractor:
    """A module that returns inner layers' outputs as a dict
    (`torchvision.models.feature_extraction.create_feature_extractor`).

    Nothing after the last layer asked for is computed. The extractor shares parameters, modes and names with `model`.
    A layer that runs several times is named as in torchvision: "relu" for its first output, "relu_1" for the second.
    Only modules are nodes, not single operations; layers that are not needed keep their place in the state dict.
    An output that the network overwrites in place (`inplace=True` after it) is seen overwritten without gradients.

    Args:
        return_nodes: names of layers to names in the result, or a list of names.
        train_return_nodes, eval_return_nodes: both instead of `return_nodes`, for modes that differ.

    Raises:
        ValueError: `[create_feature_extractor] expected the name of a layer ...`.

    >>> import fastdl
    >>> from fastdl import models
    >>> net = models.create_feature_extractor(models.resnet18(), {"layer1": "low", "layer3": "feat"})
    >>> {name: out.shape for name, out in net(fastdl.zeros(1, 3, 64, 64)).items()}
    {'low': (1, 64, 16, 16), 'feat': (1, 256, 4, 4)}
    """
    op = "create_feature_extractor"
    if not isinstance(model, Module):
        raise TypeError(f"[{op}] expected a Module for model, got {type(model).__name__}")
    if (train_return_nodes is None) != (eval_return_nodes is None):
        raise ValueError(f"[{op}] expected both train_return_nodes and eval_return_nodes, got one")
    if (return_nodes is None) == (train_return_nodes is None):
        raise ValueError(f"[{op}] expected either return_nodes or the two of train and eval, got both or none")
    train = _named(model, train_return_nodes if return_nodes is None else return_nodes)
    evaluated = _named(model, eval_return_nodes if return_nodes is None else return_nodes)
    return FeatureExtractor(model, train, evaluated)


def multiply_adds(model: Module, *example: Tensor) -> int:
    """Multiply-add pairs of the convolutions and linear layers in one evaluation of `model(*example)`.

    Biases, norms, activations and poolings are not counted, as in the tables of the papers.

    >>> import fastdl
    >>> from fastdl import nn
    >>> multiply_adds(nn.Conv2d(3, 8, 3, padding=1), fastdl.zeros(1, 3, 10, 10))
    21600
    """
    if not isinstance(model, Module):
        raise TypeError(f"[multiply_adds] expected a Module for model, got {type(model).__name__}")
    total = 0

    def count(layer: Any, args: Any, out: Tensor) -> None:
        nonlocal total
        # each weight meets each position of the output (of the input, where convolution is transposed) once
        transposed = isinstance(layer, ConvTranspose1d | ConvTranspose2d)
        counted, axis = (args[0], layer.weight.shape[0]) if transposed else (out, layer.weight.shape[0])
        total += counted.numel() // axis * layer.weight.numel()

    kinds = (Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear)
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    try:
        with evaluating(model), no_grad():
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return total
