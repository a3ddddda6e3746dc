"""Memory for intermediate results that is kept from step to step."""

from __future__ import annotations

import torch
from torch import Tensor


class Scratch:
    """Named buffers, each allocated once: the first touch of new pages costs more than the arithmetic on them."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def take(self, name: str, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised `dtype (rows, columns)`; valid until the next call with the same name and dtype."""
        held = self._buffers.get((name, dtype, device))
        if held is None or held.numel() < rows * columns:
            held = self._buffers[name, dtype, device] = torch.empty(rows * columns, dtype=dtype, device=device)
        return held[: rows * columns].view(rows, columns)
