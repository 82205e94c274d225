"""What a training run recorded."""

from __future__ import annotations

from collections.abc import Iterator


class History:
    """Figures of each epoch, by name: `history["loss"]` is a list with one number an epoch.

    >>> history = History(); history.append(loss=1.0); history.append(loss=0.5); history["loss"]
    [1.0, 0.5]
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}
        self.epochs = 0

    def append(self, **figures: float) -> None:
        """Adds an epoch."""
        for name, value in figures.items():
            self.columns.setdefault(name, [float("nan")] * self.epochs).append(float(value))
        self.epochs += 1
        for column in self.columns.values():
            column.extend([float("nan")] * (self.epochs - len(column)))

    def __getitem__(self, name: str) -> list[float]:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return self.epochs

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {column[-1]:.4g}" for name, column in self.columns.items() if column)
        return f"History({self.epochs} epochs; last: {last})"
