"""Numbers as the terminal shows them."""

from __future__ import annotations

import math


def format_duration(seconds: float | None) -> str:
    """`45 s`, `3:20`, `1:02:03`; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_loss(loss: float | None) -> str:
    """Three decimals; a dash for None, the word for what is not finite."""
    return "–" if loss is None else f"{loss:.3f}"


def format_lr(lr: float | None) -> str:
    """`6.0e-04`; a dash for None."""
    return "–" if lr is None else f"{lr:.1e}"
