"""Wrong answers to the exercise on the schedule; each docstring names the mistake."""

from __future__ import annotations

import math


def schedule_to_zero(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """cosine that ends at zero"""
    if step <= warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (last - warmup)))


def schedule_late(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """warmup off by one: the first step has rate 0"""
    if step <= warmup:
        return peak * (step - 1) / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (last - warmup)))


def schedule_early(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """warmup off by one: steps counted from 0"""
    if step <= warmup:
        return peak * (step + 1) / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (last - warmup)))


def schedule_from_start(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """progress counted from the first step"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * step / last))


def schedule_unfinished(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """progress divided by all steps"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / last))


def schedule_whole_cosine(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """cosine from 1 to -1"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * math.cos(math.pi * (step - warmup) / (last - warmup))


def schedule_quarter(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """a quarter of a cosine"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * math.cos(math.pi / 2 * (step - warmup) / (last - warmup))


def schedule_rising(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """1 - cos: it rises"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * 0.5 * (1 - math.cos(math.pi * (step - warmup) / (last - warmup)))


def schedule_without_pi(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """pi left out"""
    if step <= warmup:
        return peak * step / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos((step - warmup) / (last - warmup)))


def schedule_above_peak(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """floor added to the whole peak"""
    if step <= warmup:
        return peak * step / warmup
    return floor + peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (last - warmup)))


def schedule_linear(step: int, peak: float, floor: float, warmup: int, last: int) -> float:
    """a straight line"""
    if step <= warmup:
        return peak * step / warmup
    return peak - (peak - floor) * (step - warmup) / (last - warmup)
