"""Numbers and counts as words, the same everywhere on the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

ABSENT = "–"
ONE_SEED = "One seed: a direction, no interval."
"""Stands where there is no number."""


def write_loss(value: float) -> str:
    """Three decimals; large losses get fewer."""
    if not math.isfinite(value):
        return write_special(value)
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"


def write_gap(value: float) -> str:
    """A difference of losses from a lower one: `+0.206`, with a fourth decimal where three would show nothing."""
    if not math.isfinite(value):
        return write_special(value)
    return f"+{value:.4f}" if 0 < value < 0.0005 else f"+{write_loss(value)}"


def write_number(value: float, digits: int = 3) -> str:
    """`digits` significant digits, without an exponent between 1e-4 and 1e6."""
    if not math.isfinite(value):
        return write_special(value)
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0) if value else 0
    return f"{value:,.{decimals}f}"


def write_special(value: float) -> str:
    """NaN as a dash (nothing was measured), infinities by their sign."""
    return ABSENT if math.isnan(value) else ("∞" if value > 0 else "−∞")


def write_change(value: float) -> str:
    """A difference with its sign, four decimals: `+0.0115`, `−0.2640`."""
    if not math.isfinite(value):
        return write_special(value)
    return f"{value:+.4f}".replace("-", "−") if abs(value) >= 0.00005 else f"{0:.4f}"


def write_interval(low: float, high: float, write: Callable[[float], str] = write_loss) -> str:
    """`[1.871, 1.897]`; empty where there is none."""
    return f"[{write(low)}, {write(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def write_bounds(low: float | None, high: float | None, write: Callable[[float], str] = write_loss) -> str:
    """`[1.871, 1.897]`, or a dash where there is no interval."""
    return ABSENT if low is None or high is None else write_interval(low, high, write)


def write_chance(value: float) -> str:
    """A p-value: three significant digits."""
    return write_special(value) if not math.isfinite(value) else f"{value:.3g}" if value >= 1e-4 else "< 1e-4"


def write_count(value: float) -> str:
    """A whole number with thousands separators."""
    return f"{round(value):,}" if math.isfinite(value) else write_special(value)


def write_percent(fraction: float) -> str:
    """A fraction in percent; one decimal where it isn't 0 or 100."""
    if not math.isfinite(fraction):
        return write_special(fraction)
    return f"{100 * fraction:.0f}%" if fraction in (0, 1) else f"{100 * fraction:.1f}%"


def write_rate(value: float) -> str:
    """A learning rate: 6e-4, 3.5e-5, 1e-2."""
    text = f"{value:.3g}" if value == 0 or value >= 0.1 else f"{value:.2e}"
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def write_duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return write_special(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def count_things(number: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {'studies' if noun == 'study' else noun + 's'}"


def join_words(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def write_range(values: Sequence[float]) -> str:
    """`mean (min–max)` of the finite values in three decimals, just the value where there is one."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ABSENT
    mean, low, high = (write_loss(value) for value in (sum(finite) / len(finite), min(finite), max(finite)))
    return mean if low == high else f"{mean} ({low}–{high})"
