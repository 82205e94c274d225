"""What the families share: the list of networks, weights from files, and initialisation."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from ..nn import BatchNorm2d, Conv2d, GroupNorm, Linear, Module, init
from ..saving import load
from ..tensor import Tensor

F = TypeVar("F", bound=Callable[..., Module])

_BUILDERS: dict[str, Callable[..., Module]] = {}
_SUFFIXES = (".pth", ".pt", ".safetensors")


def register_model(builder: F) -> F:
    """Enters a function that makes a network into `list_models`, under its own name."""
    _BUILDERS[builder.__name__] = builder
    return builder


def list_models(include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None) -> list[str]:
    """The names that `get_model` knows, sorted; `include` and `exclude` are shell patterns.

    >>> from fastdl import models
    >>> models.list_models("resnet*", exclude="*_*")
    ['resnet101', 'resnet152', 'resnet18', 'resnet34', 'resnet50']
    """

    for key, value in (("include", include), ("exclude", exclude)):
        if value is not None and not isinstance(value, str | Iterable):
            raise TypeError(f"[list_models] expected {key} as patterns, got {type(value).__name__}")

    def matches(name: str, patterns: str | Iterable[str]) -> bool:
        return any(fnmatch.fnmatch(name, p) for p in ([patterns] if isinstance(patterns, str) else patterns))

    found = [n for n in _BUILDERS if include is None or matches(n, include)]
    return sorted(n for n in found if exclude is None or not matches(n, exclude))


def get_model(name: str, **config: Any) -> Module:
    """The network of a name (any case), made with `config`.

    Raises:
        ValueError: `[get_model] expected one of ...` for a name that is not in `list_models()`.

    >>> from fastdl import models
    >>> type(models.get_model("resnet20_cifar", num_classes=4)).__name__
    'CifarResNet'
    """
    if not isinstance(name, str):
        raise TypeError(f"[get_model] expected name of type str, got {type(name).__name__}")
    if name.lower() not in _BUILDERS:
        raise ValueError(f"[get_model] expected one of {', '.join(list_models())}, got {name!r}")
    return _BUILDERS[name.lower()](**config)


def read_weights(weights: Any, op: str) -> dict[str, Tensor] | None:
    """The state dict of a file, None for None; what names a download is refused."""
    if weights is None:
        return None
    if not isinstance(weights, str | os.PathLike):
        got = type(weights).__name__
        raise TypeError(f"[{op}] expected weights as None or the path of a .pth or .safetensors file, got {got}")
    path = os.fspath(weights)
    if not os.path.exists(path) and not path.endswith(_SUFFIXES):
        raise ValueError(
            f"[{op}] expected weights as None or the path of a .pth or .safetensors file, got {path!r}: "
            "fastdl downloads nothing; fetch the file that torchvision lists under that name and give its path"
        )
    return load(path)


def fill(model: Module, state: dict[str, Tensor] | None) -> None:
    """Loads a state dict, if there is one; files older than batch norm's step counter lack that one."""
    if state is None:
        return
    own = model.state_dict()
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in state}
    model.load_state_dict({**state, **counters})


def build_with_heads(
    make: Callable[..., Module], weights: Any, op: str, heads: Sequence[str], keep: bool, **kwargs: Any
) -> Any:
    """As torchvision builds networks with auxiliary heads: weights come with `transform_input` and with heads,
    which are dropped after loading unless `aux_logits` (here `keep` unless said) wants them."""
    state = read_weights(weights, op)
    if state is None:
        return make(**kwargs)
    keep = kwargs.pop("aux_logits", keep)
    present = any(name.startswith(f"{heads[0]}.") for name in state)
    model = make(**{"transform_input": True, **kwargs, "aux_logits": keep or present, "init_weights": False})
    fill(model, state)
    if not keep:
        model.aux_logits = False
        for head in heads:
            setattr(model, head, None)
    return model


def build(make: Callable[..., Module], weights: Any, op: str, *args: Any, **kwargs: Any) -> Any:
    """A network with its weights; they are read first, so that a wrong path fails at once."""
    state = read_weights(weights, op)
    model = make(*args, **kwargs)
    fill(model, state)
    return model


def he_init(model: Module, linear_std: float | None = None) -> None:
    """Convolutions as He et al. by fan-out, norms 1 and 0, and linear layers normal if `linear_std` is given."""
    for m in model.modules():
        if isinstance(m, Conv2d):
            init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                init.zeros_(m.bias)
        elif isinstance(m, BatchNorm2d | GroupNorm):
            init.ones_(m.weight)
            init.zeros_(m.bias)
        elif isinstance(m, Linear) and linear_std is not None:
            init.normal_(m.weight, 0.0, linear_std)
            init.zeros_(m.bias)
