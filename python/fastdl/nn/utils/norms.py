"""Weights in other coordinates: length and direction apart, or divided by their largest singular value."""

from __future__ import annotations

from typing import Any, TypeVar

from ...autograd import no_grad
from ...creation import randn
from ...functional.vectors import normalize
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def _weight(module: Any, name: str, op: str) -> Any:
    weight = getattr(module, "_parameters", {}).get(name)
    if weight is None:
        raise ValueError(f"[{op}] expected a module with a parameter {name!r}, got {type(module).__name__}")
    return weight


def _becomes_computed(module: Any, name: str) -> None:
    """The name stands for a plain tensor from now on."""
    del module._parameters[name]


def _hooks(module: Any) -> dict[tuple[str, str], Any]:
    return module.__dict__.setdefault("_computed_weights", {})


# ---- weight norm -----------------------------------------------------------------------------------------------------


def _length(v: Any, dim: int | None) -> Any:
    """Norms over all axes but one."""
    axes = tuple(i for i in range(v.ndim) if dim is None or i != dim % v.ndim)
    return v.square().sum(axes, True).sqrt() if dim is not None else v.square().sum().sqrt()


class _WeightNorm:
    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def __call__(self, module: Any, inputs: Any = None) -> None:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        object.__setattr__(module, self.name, v * (g / _length(v, self.dim)))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """A weight as length times direction: `weight_g` (one number for each index along `dim`, or one in all with None)
    and `weight_v` take the parameter's place, and each call computes weight = g v / |v| (`torch.nn.utils.weight_norm`;
    T. Salimans and D. Kingma, "Weight Normalization", NeurIPS 2016). Returns the module.

    Raises:
        ValueError: for a module without such a parameter.
        IndexError: for a dim that it has not.

    >>> from fastdl import nn
    >>> layer = weight_norm(nn.Linear(4, 3))
    >>> sorted(name for name, _ in layer.named_parameters()), layer.weight_g.shape
    (['bias', 'weight_g', 'weight_v'], (3, 1))
    """
    weight = _weight(module, name, "weight_norm")
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise IndexError(f"[weight_norm] expected dim of an axis of {name!r} with shape {weight.shape}, got {dim}")
    hook = _WeightNorm(name, dim)
    _becomes_computed(module, name)
    module.register_parameter(f"{name}_g", Parameter(_length(weight.detach(), dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach().clone()))
    hook(module)
    _hooks(module)["weight_norm", name] = module.register_forward_pre_hook(hook), hook
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """The weight as a parameter again, with the numbers that it has (`torch.nn.utils.remove_weight_norm`).

    >>> from fastdl import nn
    >>> list(remove_weight_norm(weight_norm(nn.Linear(4, 3)))._parameters)
    ['bias', 'weight']
    """
    return _removed(module, name, "weight_norm", ("_g", "_v"))


def _removed(module: Any, name: str, kind: str, ends: tuple[str, ...]) -> Any:
    found = _hooks(module).pop((kind, name), None)
    if found is None:
        raise ValueError(f"[remove_{kind}] expected a module with {kind} of {name!r}, got {type(module).__name__}")
    handle, hook = found
    with no_grad():
        hook(module)
    handle.remove()
    weight = module.__dict__.pop(name)
    for end in ends:
        (module._parameters if f"{name}{end}" in module._parameters else module._buffers).pop(f"{name}{end}")
    module.register_parameter(name, Parameter(weight.detach()))
    return module


# ---- spectral norm ---------------------------------------------------------------------------------------------------


class _SpectralNorm:
    def __init__(self, name: str, steps: int, eps: float, dim: int) -> None:
        self.name, self.steps, self.eps, self.dim = name, steps, eps, dim

    def matrix(self, weight: Any) -> Any:
        return (weight.movedim(self.dim, 0) if self.dim else weight).reshape(weight.shape[self.dim], -1)

    def __call__(self, module: Any, inputs: Any = None) -> None:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        with no_grad():
            for _ in range(self.steps if module.training else 0):
                v.copy_(normalize(matrix.t() @ u, dim=0, eps=self.eps))
                u.copy_(normalize(matrix @ v, dim=0, eps=self.eps))
        sigma = u.clone() @ (matrix @ v.clone())
        object.__setattr__(module, self.name, weight / sigma)


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """A weight over its largest singular value, which `n_power_iterations` of power iteration in each call in training
    follow (`torch.nn.utils.spectral_norm`; T. Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", ICLR 2018). Returns the module, with `weight_orig` as parameter.

    The weight counts as a matrix with rows along `dim`: 0, or 1 for transposed convolutions.

    Raises:
        ValueError: for a module without such a parameter, or iterations below 1.

    >>> import fastdl
    >>> layer = spectral_norm(fastdl.nn.Linear(4, 3), n_power_iterations=50)
    >>> layer(fastdl.ones(1, 4)).shape, round(fastdl.linalg.svdvals(layer.weight.detach())[0].item(), 3)
    ((1, 3), 1.0)
    """
    weight = _weight(module, name, "spectral_norm")
    if n_power_iterations < 1:
        raise ValueError(f"[spectral_norm] expected n_power_iterations of at least 1, got {n_power_iterations}")
    rows = (1 if type(module).__name__.startswith("ConvTranspose") else 0) if dim is None else dim
    hook = _SpectralNorm(name, n_power_iterations, eps, rows)
    matrix = hook.matrix(weight.detach())
    _becomes_computed(module, name)
    module.register_parameter(f"{name}_orig", weight)
    for end, size in (("u", matrix.shape[0]), ("v", matrix.shape[1])):
        start = randn(size, dtype=weight.dtype, device=weight.device)
        module.register_buffer(f"{name}_{end}", normalize(start, dim=0, eps=eps))
    object.__setattr__(module, name, weight.detach())
    _hooks(module)["spectral_norm", name] = module.register_forward_pre_hook(hook), hook
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """The weight as a parameter again, with the numbers that it has (`torch.nn.utils.remove_spectral_norm`).

    >>> from fastdl import nn
    >>> list(remove_spectral_norm(spectral_norm(nn.Linear(4, 3)))._parameters)
    ['bias', 'weight']
    """
    return _removed(module, name, "spectral_norm", ("_orig", "_u", "_v"))
