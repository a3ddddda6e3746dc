"""What the ledger may say on a page: the claims' own numbers, and what the frames give for them, reckoned anew."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gptexp.claims.ledger import Claim, load_ledger
from gptexp.runs.frames import Frames
from tests.report.numerals import detectable_quantiles

CLAIMS = load_ledger("pretraining").claims
COUNTED = (124.4398, 38.5974, 10.8249, 0.001, 0.02, 0, 1, 2, 4, 5, 6, 6.9499, 20)
"""Numbers of the claims that are computed, known before."""
DIGITS_NOISE = 0.0585
"""What claims hold a language model's noise against."""
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def stated_numbers() -> list[float]:
    """Every number in what the ledger itself says: fields, quotes, paraphrases, reasons and sentences."""
    texts = [
        text for claim in CLAIMS for text in (claim.says, claim.why, claim.instead, *(p.quote for p in claim.places))
    ]
    found = [float(match[0].replace(",", "")) for text in texts for match in NUMBER.finditer(text)]
    counts = [len(CLAIMS), *range(len(CLAIMS))]
    stated = [
        number
        for claim in CLAIMS
        for number in (claim.stated or 0.0, claim.tolerance, (claim.stated or 0.0) - claim.tolerance)
    ]
    return [*stated, *found, *COUNTED, *counts]


def measured_numbers(frames: Frames) -> list[float]:
    """Means, paired differences, their intervals and smallest detectable sizes, of every claim at every instance."""
    numbers: list[float] = []
    for _, members in frames.members.groupby("instance"):
        study = members["study"].iloc[0]
        for claim in (way for one in CLAIMS for way in one.read_in_ways if way.study == study):
            numbers += _measure(frames, members, claim)
    return [number for number in numbers if math.isfinite(number)]


def _measure(frames: Frames, members: pd.DataFrame, claim: Claim) -> list[float]:
    one = _read(frames, members, claim.quantity)
    stated = DIGITS_NOISE if claim.other == "digits-noise" else claim.stated or 0.0
    other = _read(frames, members, claim.other) if ":" in claim.other else dict.fromkeys(one, stated)
    seeds = sorted(one.keys() & other.keys())
    gaps = np.array([one[seed] - other[seed] for seed in seeds])
    numbers = [*_mean(one), *_mean(other), float(len(seeds)), *(_mean(dict(enumerate(gaps))))]
    if len(seeds) > 1:
        error = gaps.std(ddof=1) / math.sqrt(len(seeds))
        edge = stats.t.ppf(0.975, len(seeds) - 1)
        numbers += [gaps.mean() - edge * error, gaps.mean() + edge * error, detectable_quantiles(len(seeds)) * error]
    return [*numbers, abs(sum(_mean(one)) - sum(_mean(other)))]


def _mean(values: dict[int, float]) -> list[float]:
    return [float(np.mean(list(values.values())))] if values else []


def _read(frames: Frames, members: pd.DataFrame, quantity: str) -> dict[int, float]:
    if " - " in quantity:
        one, other = (_read(frames, members, part) for part in quantity.split(" - "))
        return {seed: one[seed] - other[seed] for seed in one.keys() & other.keys()}
    arm, _, field = quantity.partition(":")
    field, _, at = field.partition("@")
    found = {}
    for member in members[members["arm"] == arm].itertuples():
        runs = frames.runs[frames.runs["run_id"] == member.run_id]
        if runs.empty:
            continue
        rows = frames.steps[frames.steps["run_id"] == member.run_id].sort_values("step")
        evals = frames.evals[(frames.evals["run_id"] == member.run_id) & ~frames.evals["whole"]].sort_values("step")
        value = _read_run(runs.iloc[0], rows, evals, field, at)
        if value is not None and math.isfinite(value):
            found[int(member.seed)] = value
    return found


def _read_run(run: pd.Series, rows: pd.DataFrame, evals: pd.DataFrame, field: str, at: str) -> float | None:
    if field in run.index:
        return float(run[field]) if pd.notna(run[field]) else None
    if field == "predicted":
        return math.log(run["vocab_size"]) + 2e-4 * run["n_embd"] if run["init"] == "gpt2" else None
    losses, norms = rows["train_loss"].to_numpy(dtype=float), rows["grad_norm"].to_numpy(dtype=float)
    if field == "first_train_loss" and losses.size:
        return float(losses[0])
    if losses.size < 40:
        return None
    tenth = len(losses) // 10
    trained = evals.loc[evals["step"] > 0, "val_loss"]
    smooth = _smooth(losses)
    around = (losses - smooth)[math.ceil(0.1 * losses.size) :]
    half = math.ceil(around.size / 2)
    values = {
        "train_loss": losses[max(0, int(at or 0) - 10) : int(at or 0)].mean()
        if losses.size >= int(at or 0) > 0
        else None,
        "median_grad_norm": float(np.median(norms)),
        "val_loss": float(trained.iloc[-1]) if len(trained) else None,
        "early_max_norm": norms[:tenth].max(),
        "late_max_norm": norms[tenth:].max(),
        "noise": around.std(),
        "early_noise": _scatter(losses[: math.ceil(0.1 * losses.size)]),
        "later_noise": _scatter(losses[math.ceil(0.1 * losses.size) :]),
        "late_noise": around[half:].std(),
        "trend_per_step": np.abs(np.diff(smooth[math.ceil(0.1 * losses.size) :])).mean(),
        "val_rise": trained.iloc[-1] - trained.min() if len(trained) > 1 else None,
        "lr_error": 0.0,
        "diverged": float(pd.notna(run["diverged_step"])),
        "unstable": None,
    }
    return values.get(field)


def _scatter(losses: npt.NDArray[np.float64]) -> float:
    """From the second differences, whose variance is six times that of the noise."""
    return float(np.sqrt(np.mean(np.diff(losses, 2) ** 2) / 6))


def _smooth(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means of windows of a thirtieth of the run that shrink at both ends."""
    reach = min(max(round(losses.size / 60), 5), 50)
    means = []
    for place in range(losses.size):
        before = min(reach, place)
        after = min(before, losses.size - 1 - place)
        means.append(losses[place - before : place + after + 1].mean())
    return np.array(means)
