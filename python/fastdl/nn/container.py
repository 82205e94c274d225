"""Sequential and ModuleList."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class _Indexed(Module):
    """Modules under "0", "1", ...: what Sequential and ModuleList share."""

    def _name_at(self, index: int) -> str:
        n = len(self._modules)
        if not isinstance(index, int):
            raise TypeError(f"[{type(self).__name__}] expected an int or a slice, got {type(index).__name__}")
        if not -n <= index < n:
            raise IndexError(f"[{type(self).__name__}] expected an index in [{-n}, {n - 1}], got {index}")
        return list(self._modules)[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            del self._modules[name]
        if all(name.isdigit() for name in self._modules):
            kept = list(self._modules.values())
            self.__dict__["_modules"] = {str(i): module for i, module in enumerate(kept)}

    def append(self, module: Module) -> Any:
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        if not isinstance(module, Module):
            raise TypeError(f"[{type(self).__name__}] expected a Module, got {type(module).__name__}")
        items = list(self._modules.values())
        items.insert(index, module)
        self.__dict__["_modules"] = {str(i): item for i, item in enumerate(items)}
        return self


class Sequential(_Indexed):
    """Modules that are applied one after another (`torch.nn.Sequential`); an OrderedDict names them.

    >>> import fastdl
    >>> from fastdl import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> net(fastdl.ones(4, 2)).shape, len(net[:2])
    ((4, 1), 2)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], dict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._name_at(index)]

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_Indexed):
    """A list of modules that registers them (`torch.nn.ModuleList`); it has no forward.

    >>> from fastdl import nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), [name for name, _ in layers[1].named_parameters()]
    (3, ['weight', 'bias'])
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[self._name_at(index)]

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours in one line, as PyTorch prints them."""
        if not len(self):
            return f"{self._get_name()}()"
        groups: list[list[Any]] = []  # first, last, text
        for i, module in enumerate(self):
            if groups and groups[-1][2] == repr(module):
                groups[-1][1] = i
            else:
                groups.append([i, i, repr(module)])
        lines = []
        for first, last, shown in groups:
            label = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append(label + shown.replace("\n", "\n  "))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """Modules by name (`torch.nn.ModuleDict`), in the order in which they came; it has no forward.

    >>> from fastdl import nn
    >>> parts = nn.ModuleDict({"encoder": nn.Linear(4, 2), "decoder": nn.Linear(2, 4)})
    >>> list(parts), [name for name, _ in parts.named_parameters()][0], "encoder" in parts
    (['encoder', 'decoder'], 'encoder.weight', True)
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        return self._modules.keys()

    def values(self) -> Any:
        return self._modules.values()

    def items(self) -> Any:
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Takes a module out and returns it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        self._modules.clear()

    def update(self, modules: Any) -> None:
        """Adds modules of a mapping or of pairs; those of the same name are replaced."""
        for key, module in modules.items() if hasattr(modules, "items") else modules:
            self[key] = module
