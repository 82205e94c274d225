"""Module: parameters, buffers and sub-modules under names, and the function that they make."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from .. import backends, dtypes
from ..autograd import no_grad
from ..tensor import Tensor
from .hooks import Hooked
from .parameter import Parameter
from .state import IncompatibleKeys, load_into

T = TypeVar("T", bound="Module")

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class NamedModule(NamedTuple):
    name: str
    module: Module


class Module(Hooked):
    """Base class of all layers and networks (`torch.nn.Module`).

    Assigning a Parameter or a Module as an attribute registers it; calling the module calls `forward`.

    >>> import fastdl
    >>> from fastdl import nn
    >>> class Double(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(fastdl.tensor([2.0]))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> net = Double()
    >>> net(fastdl.ones(2)).tolist(), [name for name, _ in net.named_parameters()]
    ([2.0, 2.0], ['scale'])
    """

    training: bool
    ignored_keys: tuple[str, ...] = ()  # names in state dicts that a kind of module does without

    def __init__(self) -> None:
        fields = self.__dict__  # past __setattr__, which looks into these registries
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_modules"] = {}
        fields["_transient"] = set()  # names of buffers that are not saved
        fields["_forward_hooks"] = []
        fields["_forward_pre_hooks"] = []
        fields["_backward_hooks"] = []

    # ---- registering -------------------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        self._check_name(name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"[register_parameter] expected a Parameter or None for {name}, got {type(param).__name__}")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that belongs to the module and is not trained; saved with it if `persistent`."""
        self._check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"[register_buffer] expected a Tensor or None for {name}, got {type(tensor).__name__}")
        if name not in self._buffers and hasattr(self, name):
            raise KeyError(f"[register_buffer] expected a new name, got {name!r}, which the module has already")
        self._buffers[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        self._check_name(name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"[add_module] expected a Module or None for {name}, got {type(module).__name__}")
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"[{type(self).__name__}] expected super().__init__() first, got {name!r} before it")
        if not isinstance(name, str):
            raise TypeError(f"[{type(self).__name__}] expected a name of type str, got {type(name).__name__}")
        if name == "" or "." in name:
            raise KeyError(f"[{type(self).__name__}] expected a name without '.', got {name!r}")
        if hasattr(self, name) and not any(name in self.__dict__[registry] for registry in _REGISTRIES):
            raise KeyError(f"[{type(self).__name__}] expected a free name, got {name!r}, which is an attribute")

    def __setattr__(self, name: str, value: Any) -> None:
        registry = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if registry is None:
            self._set_plain(name, value)
            return
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"[{type(self).__name__}] expected super().__init__() first, got {name!r} before it")
        self.__dict__.pop(name, None)
        for other in _REGISTRIES:
            if other != registry:
                self.__dict__[other].pop(name, None)
        self.__dict__[registry][name] = value

    def _set_plain(self, name: str, value: Any) -> None:
        """Anything but a Parameter or Module: a registered name stays what it is or becomes None."""
        for registry, kind in zip(_REGISTRIES, ("Parameter", "Tensor", "Module"), strict=True):
            names = self.__dict__.get(registry, ())
            if name not in names:
                continue
            if value is not None and not (registry == "_buffers" and isinstance(value, Tensor)):
                got = type(value).__name__
                raise TypeError(f"[{type(self).__name__}] expected a {kind} or None for {name}, got {got}")
            names[name] = value
            return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__
        for registry in _REGISTRIES:
            if registry in held and name in held[registry]:
                return held[registry][name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                self._transient.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__()}
        return sorted(names.union(*(self.__dict__[registry] for registry in _REGISTRIES)))

    # ---- walking -----------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[NamedModule]:
        """This module and all inside it, each once if `remove_duplicate`, with dotted names."""
        memo = set() if memo is None else memo
        if remove_duplicate and id(self) in memo:
            return
        memo.add(id(self))
        yield NamedModule(prefix, self)
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def _named(self, registry: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, value in module.__dict__[registry].items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Names and parameters, each parameter once."""
        return self._named("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name, "" for this one."""
        module = self
        for name in target.split(".") if target else []:
            inner = module._modules.get(name)
            if inner is None:
                raise AttributeError(f"[get_submodule] expected a module named {target!r}, got none")
            module = inner
        return module

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name."""
        path, _, name = target.rpartition(".")
        buffer = self.get_submodule(path)._buffers.get(name)
        if buffer is None:
            raise AttributeError(f"[get_buffer] expected a buffer named {target!r}, got none")
        return buffer

    def set_submodule(self, target: str, module: Module) -> None:
        """Puts a module under a dotted name, in the place of another."""
        path, _, name = target.rpartition(".")
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Parameter:
        path, _, name = target.rpartition(".")
        param = self.get_submodule(path)._parameters.get(name)
        if param is None:
            raise AttributeError(f"[get_parameter] expected a parameter named {target!r}, got none")
        return param

    # ---- state -------------------------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, sharing memory (PyTorch's keys); themselves with `keep_vars`."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for registry in (self._parameters, self._buffers):
            for name, value in registry.items():
                if value is not None and not (registry is self._buffers and name in self._transient):
                    state[prefix + name] = value if keep_vars else value.detach()
        for name, module in self._modules.items():
            if module is not None:
                state.update(module.state_dict(f"{prefix}{name}.", keep_vars))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copies values into parameters and buffers by name; devices and dtypes stay those of the module.

        Raises RuntimeError, with PyTorch's text, for sizes that differ and, if `strict`, for keys that are missing or
        unexpected. Nothing has changed then.
        """
        ignored = {f"{name}.{key}".lstrip(".") for name, module in self.named_modules() for key in module.ignored_keys}
        return load_into(type(self).__name__, self.state_dict(), state_dict, strict, ignored)

    def train(self: T, mode: bool = True) -> T:
        """Training mode on or off, here and inside; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError(f"[train] expected mode of type bool, got {type(mode).__name__}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: T) -> T:
        """`train(False)`."""
        return self.train(False)

    def apply(self: T, fn: Callable[[Module], Any]) -> T:
        """Calls `fn` on every module inside and then on this one; returns the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters."""
        for param in self.parameters():
            if set_to_none or param.grad is None:
                param.grad = None
            else:
                param.grad.zero_()

    # ---- device and dtype --------------------------------------------------------------------------------------------

    def to(self: T, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> T:
        """Moves parameters and buffers to a device or a floating dtype, in place; returns the module.

        >>> import fastdl
        >>> fastdl.nn.Linear(2, 1).to(fastdl.float64).weight.dtype
        fastdl.float64
        """
        for a in args:
            if isinstance(a, Tensor):
                dtype, device = a.dtype, a.device
            elif isinstance(a, str) and a.partition(":")[0] in backends.NAMES:
                device = a
            else:
                dtype = a
        if dtype is not None and not dtypes.as_dtype(dtype, "to").is_floating_point:
            raise TypeError(f"[to] expected dtype float32 or float64 for a module, got {dtype!r}")

        def moved(t: Tensor) -> Tensor:  # integer buffers, such as counters, keep their dtype
            return t.detach().to(dtype=dtype if t.is_floating_point() else None, device=device)

        return self._apply(moved)

    def _apply(self: T, fn: Callable[[Tensor], Tensor]) -> T:
        with no_grad():
            for module in self.modules():
                for param in module._parameters.values():
                    if param is not None:
                        grad = param.grad
                        param.data = fn(param)
                        param.grad = None if grad is None else fn(grad)
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = fn(buffer)
        return self

    def cpu(self: T) -> T:
        return self.to(device="cpu")

    def cuda(self: T, device: Any = None) -> T:
        return self.to(device=device or "cuda")

    def float(self: T) -> T:
        return self.to(dtype=dtypes.float32)

    def double(self: T) -> T:
        return self.to(dtype=dtypes.float64)

    # ---- printing ----------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        inner = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        if not inner and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + inner) + "\n)"
