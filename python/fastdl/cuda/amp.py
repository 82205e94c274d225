"""Mixed precision under PyTorch's older address: `from fastdl.cuda.amp import autocast, GradScaler`."""

from __future__ import annotations

from typing import Any

from .. import amp
from ..amp import GradScaler

__all__ = ["GradScaler", "autocast"]


def autocast(enabled: bool = True, dtype: Any = None) -> Any:
    """`fastdl.autocast` on the GPU (`torch.cuda.amp.autocast`)."""
    return amp.autocast("cuda", dtype=dtype, enabled=enabled)
