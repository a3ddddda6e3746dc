"""Numbers in prose: `6e-4`, `50,257`, `~10.8`, `124M`, `124 million`, `30%`, and how precisely they are written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

NUMBER = re.compile(
    r"(?<![\w.])[-−+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-−+]?\d+)?(?:\s?(?P<unit>[kM%]|thousand|million)(?!\w))?",
    re.IGNORECASE,
)
LONGEST = 40
"""Characters of a number; what is longer is a checksum."""
UNITS = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}


@dataclass(frozen=True)
class Number:
    """A number as it is written."""

    text: str
    value: float
    half_unit: float
    """Half a unit of its last digit: what rounding may have changed."""
    start: int
    end: int
    unit: float = 1.0
    """A thousand or a million where that stands behind it; `value` is counted in ones."""

    @property
    def is_telling(self) -> bool:
        """Whether so many digits don't stand in every report by chance: three with decimals, or five."""
        digits = re.sub(r"e.*|[^\d]", "", self.text.lower()).lstrip("0")
        return len(digits) >= (3 if "." in self.text else 5)

    def equals(self, value: float) -> bool:
        """Whether `value`, rounded as this number is, is this number; `124M` is 124 million, and 124 in millions."""
        return math.isfinite(value) and any(
            abs(value - self.value / scale) <= self.half_unit / scale * (1 + 1e-9) for scale in {1.0, self.unit}
        )


def read_numbers(text: str) -> list[Number]:
    """All numbers of a text in their order; one that is too long for a float (a checksum) is none."""
    return [_read(found) for found in NUMBER.finditer(text) if len(found[0]) <= LONGEST and _is_finite(found)]


def _is_finite(found: re.Match[str]) -> bool:
    return math.isfinite(_read(found).value)


def _read(found: re.Match[str]) -> Number:
    written = found[0][: found.start("unit") - found.start()].rstrip() if found["unit"] else found[0]
    plain = written.replace(",", "").replace("−", "-").lower()
    mantissa, _, exponent = plain.partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = UNITS.get((found["unit"] or "").lower(), 1.0)
    scale = float(f"1e{exponent or 0}") * unit
    start, end = found.start(), found.start() + len(written)
    return Number(written, float(mantissa) * scale, 0.5 * 10.0**-decimals * scale, start, end, unit)


def write_like(value: float, number: Number) -> str:
    """`value` with as many digits as `number` is written with, in the same notation."""
    plain = number.text.replace("−", "-").replace("+", "")
    if "e" in plain.lower():
        decimals = len(plain.lower().partition("e")[0].partition(".")[2])
        mantissa, _, exponent = f"{value:.{decimals}e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = len(plain.partition(".")[2])
    scale = 2 * number.half_unit * 10.0**decimals
    return f"{value / scale:{',' if ',' in plain else ''}.{decimals}f}"
