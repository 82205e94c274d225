"""Loading values into a state dict, with PyTorch's report of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: names that the state lacks, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_into(
    owner: str, own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool, ignored: Set[str] = frozenset()
) -> IncompatibleKeys:
    """Copies `given`, without what is `ignored`, into the tensors of `own`; nothing changes unless everything fits."""
    if not isinstance(given, Mapping):
        raise TypeError(f"[load_state_dict] expected a mapping for state_dict, got {type(given).__name__}")
    keys = IncompatibleKeys([k for k in own if k not in given], [k for k in given if k not in own and k not in ignored])
    values = {k: _as_tensor(k, given[k], own[k]) for k in own if k in given}
    errors = []
    if strict and keys.missing_keys:
        errors.append(f"Missing key(s) in state_dict: {_quoted(keys.missing_keys)}. ")
    if strict and keys.unexpected_keys:
        errors.append(f"Unexpected key(s) in state_dict: {_quoted(keys.unexpected_keys)}. ")
    for name, value in values.items():
        if value.shape != own[name].shape:
            errors.append(
                f"size mismatch for {name}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {own[name].shape}."
            )
    if errors:
        raise RuntimeError(f"Error(s) in loading state_dict for {owner}:\n\t" + "\n\t".join(errors))
    with no_grad():
        for name, value in values.items():
            own[name].copy_(value)
    return keys


def _as_tensor(name: str, value: Any, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value, order="C")
        return Tensor(like._backend.from_numpy(array, False), like._backend)
    raise TypeError(f"[load_state_dict] expected a Tensor for {name}, got {type(value).__name__}")


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
