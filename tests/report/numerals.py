"""Finds every numeral in what a page says, and looks it up in the frames. It knows nothing of templates or wording.

What is looked up: all text outside code, models' texts, file links and the run appendix, and the titles and
descriptions of figures. A numeral counts as found when some recorded value of the study instance that its element
names, or a mean, extreme, difference, share or perplexity of them, rounds to it.
"""

from __future__ import annotations

import html
import itertools
import math
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pandas as pd
from scipy import optimize, stats

from gptexp.runs.frames import CONFIG_COLUMNS, Frames

NUMERAL = re.compile(r"(?<![\w.\-−#@/])[+−]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?![\w])")
SILENT_TAGS = {"pre", "code", "style", "script", "text", "nav"}
SILENT_CLASSES = {"source", "facts", "config", "summary"}
VOID = {"meta", "link", "br", "path", "use", "rect", "circle", "line", "clippath"}
FIXED = [*range(13), 0.02, 0.5, 6, 25, 50, 0.1, 1, 124, 95, 2309.14322, 2.2, 0.05]
"""Small counts, the constants of formulas and of published rules, the percent of every interval, a paper and its
section, and the p-value that tells apart."""


@dataclass(frozen=True)
class Numeral:
    """A numeral, where it stands, and the study instance that its element names."""

    text: str
    context: str
    study_key: str

    @property
    def value(self) -> float:
        return float(self.text.replace(",", "").replace("−", "-").replace("+", ""))

    @property
    def tolerance(self) -> float:
        """Half a unit of its last digit."""
        mantissa, _, exponent = self.text.partition("e")
        return 0.5000001 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


class Reader(HTMLParser):
    """Collects the numerals of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[tuple[str, bool, str | None]] = []
        self.found: list[Numeral] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        values = dict(attrs)
        silent = tag in SILENT_TAGS or bool(SILENT_CLASSES & set((values.get("class") or "").split()))
        silent = silent or values.get("id") in ("runs", "studies")
        self.stack.append((tag, silent, values.get("data-instance")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if any(open_tag == tag for open_tag, _, _ in self.stack):
            while self.stack.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if any(silent for _, silent, _ in self.stack):
            return
        study = next((name for _, _, name in reversed(self.stack) if name is not None), "")
        for match in NUMERAL.finditer(data):
            context = " ".join(data[max(0, match.start() - 40) : match.end() + 20].split())
            self.found.append(Numeral(match[0], context, study))


def read_numerals(page: str) -> list[Numeral]:
    reader = Reader()
    reader.feed(page)
    return reader.found


def find_unfounded(
    page: str, frames: Frames, stated: list[float], measured: list[float] | None = None
) -> list[Numeral]:
    """The numerals that nothing recorded explains.

    Args:
        stated: numbers of the lesson's own claims.
        measured: numbers that were measured from weights while the page was made, as its data files hold them.
    """
    extra = measured or []
    pools = {name: np.append(_collect_pool(frames, name), extra) for name in frames.members["instance"].unique()}
    # What names no instance (the claims) may be about any; so may the lesson's stated numbers.
    pools[""] = np.concatenate([*pools.values(), stated, np.subtract.outer(_measured(frames), stated).ravel()])
    return [numeral for numeral in read_numerals(page) if not _is_known(numeral, pools[numeral.study_key])]


def _is_known(numeral: Numeral, pool: np.ndarray) -> bool:
    return bool((np.abs(np.abs(pool) - abs(numeral.value)) <= numeral.tolerance).any())


def _measured(frames: Frames) -> np.ndarray:
    runs = frames.runs[["final_val_loss", "initial_val_loss", "final_train_loss", "max_grad_norm"]]
    means = frames.members.merge(frames.runs, on="run_id").groupby(["instance", "arm"])[list(runs)].mean()
    ends = [
        rows["train_loss"].to_numpy(dtype=float)[max(0, step - 10) : step].mean()
        for _, rows in frames.steps.sort_values("step").groupby("run_id")
        for step in (500, 2000, 5000, 10_000)
        if len(rows) >= step
    ]
    norms = [
        rows.loc[early, "grad_norm"].max()
        for run_id, rows in frames.steps.groupby("run_id")
        for early in _divide_early(rows, frames.runs, str(run_id))
    ]
    ends += [*norms, *_average_norms(frames)]
    values = np.concatenate([runs.to_numpy(dtype=float).ravel(), means.to_numpy(dtype=float).ravel(), ends])
    return values[np.isfinite(values)]


def _divide_early(rows: pd.DataFrame, runs: pd.DataFrame, run_id: str) -> list[pd.Series]:
    """The steps of the first tenth of the planned ones, and the others."""
    early = rows["step"] <= 0.1 * float(runs.set_index("run_id").loc[run_id, "max_steps"])
    return [early, ~early]


def _average_norms(frames: Frames) -> list[float]:
    """The means over the seeds of each arm of its largest norm in the first tenth, and after it."""
    largest: dict[str, list[float]] = {
        str(run_id): [rows.loc[part, "grad_norm"].max() for part in _divide_early(rows, frames.runs, str(run_id))]
        for run_id, rows in frames.steps.groupby("run_id")
    }
    pairs = [
        np.mean([largest[run_id] for run_id in rows["run_id"] if run_id in largest], axis=0)
        for _, rows in frames.members.groupby(["instance", "arm"])
        if any(run_id in largest for run_id in rows["run_id"])
    ]
    return [float(value) for early, late in pairs for value in (early, late, late - early)]


def _collect_pool(frames: Frames, study: str) -> np.ndarray:
    members = frames.members[frames.members["instance"] == study]
    runs = members[["arm", "run_id"]].merge(frames.runs, on="run_id")
    runs["seed"] = runs["seed"].astype(int)
    values: list[float] = [*FIXED, float(len(runs)), *range(len(members) + 1)]
    values += members["seed"].astype(float).tolist()
    arms = [rows for _, rows in runs.groupby("arm")]
    for column in runs.columns.difference(["arm", "run_id"]):
        for rows in arms:
            values += _spread(pd.to_numeric(rows[column], errors="coerce"))
    for column in CONFIG_COLUMNS:
        for value in runs[column]:
            values += [float(v) for v in (value if isinstance(value, list) else [value]) if _is_number(v)]
    means = [rows["final_val_loss"].astype(float).mean() for rows in arms]
    initial = [rows["initial_val_loss"].astype(float).mean() for rows in arms]
    values += [a - b for a in means for b in means] + [a - b for a in initial for b in initial]
    values += [math.exp(min(v, 700)) for v in [*means, *initial] if math.isfinite(v)]
    values += _collect_comparisons(runs, frames.evals) + _collect_ladder(runs) + _collect_times(runs)
    values += [numeral.value for label in members["label"] for numeral in read_numerals(f"<p>{html.escape(label)}</p>")]
    for rows in arms:
        values += [100 * v for v in _spread(rows["clipped_fraction"].astype(float))]
        values += _spread(rows["tokens_seen"].astype(float) / rows["train_tokens"].astype(float))
        vocab, width = float(rows["vocab_size"].iloc[0]), float(rows["n_embd"].iloc[0])
        expected = math.log(vocab) + width * 0.02**2 / 2
        values += [math.log(vocab), expected, *(rows["initial_val_loss"].astype(float) - expected)]
        values.append(float(rows["initial_val_loss"].astype(float).mean() - expected))
    for run_id in runs["run_id"].unique():
        values += _collect_logs(frames, run_id)
    for rows in arms:
        values += _collect_steps(frames.steps[frames.steps["run_id"].isin(rows["run_id"])])
        values += _collect_evals(frames.evals[frames.evals["run_id"].isin(rows["run_id"])])
        values += _collect_falls(frames.steps[frames.steps["run_id"].isin(rows["run_id"])])
        values += _collect_losses_at_steps(frames.steps[frames.steps["run_id"].isin(rows["run_id"])])
    array = np.array(values, dtype=float)
    return array[np.isfinite(array)]


def _collect_losses_at_steps(steps: pd.DataFrame) -> list[float]:
    """Means over an arm's seeds of the ten train losses before chosen steps."""
    values = []
    for step in (100, 300, 500, 1000, 2000, 5000, 10_000, int(steps["step"].max()) if len(steps) else 0):
        before = steps[(steps["step"] > step - 10) & (steps["step"] <= step)]
        values.append(float(before.groupby("run_id")["train_loss"].mean().mean()))
    return values


ENDS = ["final_val_loss", "final_train_loss", "final_val_bpb", "best_val_loss", "best_val_step", "initial_val_loss"]


def _collect_comparisons(runs: pd.DataFrame, evals: pd.DataFrame) -> list[float]:
    """What seeds come to: means and intervals of completed runs, differences of arms, areas and steps to a loss."""
    completed = runs[runs["outcome"] == "completed"]
    losses = {arm: rows.set_index("seed")["final_val_loss"].astype(float) for arm, rows in completed.groupby("arm")}
    values: list[float] = []
    for _, rows in completed.groupby("arm"):
        values += [end for name in ENDS for end in _interval(rows[name].astype(float))]
    means = [loss.mean() for loss in losses.values()]
    values += [a - b for a in means for b in means] + [math.exp(mean) for mean in means if mean < 700]
    samples = [(one - other).dropna() for one in losses.values() for other in losses.values()]
    samples += _cross(losses) + _cross_schedules(completed)
    for sample in samples:
        values += _interval(sample)
        if len(sample) > 1:
            signs = itertools.product((1, -1), repeat=len(sample))
            sums = np.array([abs(np.dot(sign, sample)) for sign in signs])
            values += [float((sums >= abs(sample.sum()) - 1e-9).mean()), 2 / 2 ** len(sample)]
            error = sample.std(ddof=1) / math.sqrt(len(sample))
            values.append(detectable_quantiles(len(sample)) * error)
            # By Holm a p-value is multiplied by how many comparisons have no smaller one.
            p_value = 2 * stats.t.sf(abs(sample.mean()) / error, len(sample) - 1) if error else 0.0
            values += [min(p_value * above, 1.0) for above in range(1, 30)]
    return values + _collect_speed(runs, evals)


def detectable_quantiles(n: int) -> float:
    """The difference, in standard errors, that a paired t test of `n` at 5% finds with a chance of 80%."""
    edge = stats.t.ppf(0.975, n - 1)
    return float(optimize.brentq(lambda away: stats.nct.cdf(edge, n - 1, away) - 0.2, 0, 2 * edge + 2))


def _cross(losses: dict[str, pd.Series]) -> list[pd.Series]:
    """Half of every sum of two differences, and their difference: main effects and interactions of two by two arms."""
    found = []
    if len(losses) == 4:
        for a, b, c, d in itertools.permutations(losses.values()):
            found += [((a - b) + (c - d)).dropna() / 2, ((a - b) - (c - d)).dropna()]
    return found


def _cross_schedules(completed: pd.DataFrame) -> list[pd.Series]:
    """Of arms that cross warmup with decay: effects averaged over the other factor, and how effects differ."""
    kind = completed["schedule"].map(lambda name: str(name).removeprefix("warmup-"))
    warm = completed["warmup_steps"].astype(float) > 0
    cells = {
        key: rows.set_index("seed")["final_val_loss"].astype(float) for key, rows in completed.groupby([kind, warm])
    }
    kinds = sorted({key[0] for key in cells})
    if len(kinds) < 2 or len(cells) != 2 * len(kinds):
        return []
    warmed = {name: (cells[name, True] - cells[name, False]).dropna() for name in kinds}
    found = [sum(warmed.values()) / len(kinds)]
    for one, other in itertools.permutations(kinds, 2):
        found.append((cells[one, True] - cells[other, True] + cells[one, False] - cells[other, False]).dropna() / 2)
        found.append((warmed[one] - warmed[other]).dropna())
    return found


def _collect_speed(runs: pd.DataFrame, evals: pd.DataFrame) -> list[float]:
    """Areas under val losses up to every step, over a span of steps, and the steps at which each loss was reached."""
    curves = {run_id: _subset(evals, run_id) for run_id in runs["run_id"]}
    values: list[float] = []
    for last in {curve["step"].iloc[-1] for curve in curves.values() if len(curve) > 1}:
        areas = {}
        for run_id, curve in curves.items():
            own = curve[curve["step"] <= last]
            if len(own) > 1 and own["step"].iloc[-1] == last:
                areas[run_id] = np.trapezoid(own["val_loss"], own["step"]) / (last - own["step"].iloc[0])
        completed = runs[runs["outcome"] == "completed"]
        by_arm = [rows["run_id"].map(areas).dropna() for _, rows in completed.groupby("arm")]
        values += [end for sample in by_arm for end in _interval(sample)]
        values += [a.mean() - b.mean() for a in by_arm for b in by_arm if len(a) and len(b)]
    targets = {curve["val_loss"].min() for curve in curves.values() if len(curve)}
    for target in targets:
        for _, rows in runs.groupby("arm"):
            reached = [curves[run_id][curves[run_id]["val_loss"] <= target]["step"] for run_id in rows["run_id"]]
            values += [float(np.mean([steps.iloc[0] for steps in reached if len(steps)] or [0]))]
    return values


def _collect_falls(steps: pd.DataFrame) -> list[float]:
    """How much a line through the last fifth of an arm's train losses falls in 100 steps, on average over its runs."""
    falls = []
    for _, rows in steps.groupby("run_id"):
        last = rows.sort_values("step")[-round(0.2 * len(rows)) :]
        if len(rows) >= 40 and np.isfinite(last["train_loss"]).all():
            falls.append(-100 * stats.linregress(last["step"], last["train_loss"]).slope)
    return [*falls, float(np.mean(falls))] if falls else []


def _collect_ladder(runs: pd.DataFrame) -> list[float]:
    """LR sensitivity of every half of the arms, by whether they warm up, seed by seed: against its own best loss, and
    against the best of both, over all rates and over those from each rate on.
    """
    if runs["lr"].nunique() < 4:
        return []
    first = runs["initial_val_loss"].astype(float).mean()
    found: list[float] = []
    samples = []
    capped = runs["final_val_loss"].astype(float).where(runs["outcome"] == "completed", first).clip(upper=first)
    best = capped.groupby(runs["seed"]).min()
    for _, series in runs.groupby(runs["warmup_steps"].astype(float) > 0):
        by_seed = {}
        for seed, rows in series.groupby("seed"):
            losses = rows["final_val_loss"].astype(float).where(rows["outcome"] == "completed", first).clip(upper=first)
            by_seed[seed] = losses.mean() - losses.min()
        samples.append(pd.Series(by_seed))
        found += _interval(samples[-1])
        for lowest in sorted(series["lr"].unique()):
            upper = capped[series.index[series["lr"] >= lowest]]
            samples.append(upper.groupby(runs["seed"]).mean() - best)
            found += _interval(samples[-1])
    return found + [end for sample in samples for other in samples for end in _interval((sample - other).dropna())]


def _collect_times(runs: pd.DataFrame) -> list[float]:
    """What the training took: tokens per second, and mean times in minutes and seconds."""
    values: list[float] = []
    for _, rows in runs.groupby("arm"):
        seconds = rows["duration_s"].astype(float).mean()
        if math.isfinite(seconds) and seconds > 0:
            values += [rows["tokens_seen"].astype(float).mean() / seconds, *divmod(round(seconds), 60)]
    return values


def _subset(evals: pd.DataFrame, run_id: str) -> pd.DataFrame:
    own = evals[(evals["run_id"] == run_id) & np.isfinite(evals["val_loss"])]
    return own[~own["whole"]].sort_values("step") if (~own["whole"]).any() else own


def _interval(sample: pd.Series) -> list[float]:
    """Mean and both ends of Student's interval of 95%; just the mean of one value."""
    sample = sample[np.isfinite(sample)]
    if len(sample) < 2:
        return sample.tolist()
    half = stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))
    return [sample.mean(), sample.mean() - half, sample.mean() + half]


def _spread(column: pd.Series) -> list[float]:
    finite = column[np.isfinite(column.astype(float))]
    return [*finite, finite.mean(), finite.min(), finite.max()] if len(finite) else []


def _collect_logs(frames: Frames, run_id: str) -> list[float]:
    """A run's samples, evaluations and events, and its losses before and at chosen steps."""
    samples = frames.samples[frames.samples["run_id"] == run_id]
    evals = frames.evals[frames.evals["run_id"] == run_id]
    steps = frames.steps[frames.steps["run_id"] == run_id].sort_values("step")
    values = [*samples["step"], *samples["threshold"], *samples["train_loss"], *np.exp(samples["train_loss"])]
    values += [*evals["step"], *evals["val_loss"], *evals["val_bpb"]]
    if steps.empty:
        return values
    losses = steps["train_loss"].to_numpy(dtype=float)
    values += [losses[0], *steps["lr"].iloc[[0, -1]], steps["lr"].max(), steps["step"].iloc[steps["lr"].argmax()]]
    values += [*steps["step"].iloc[[0, -1]], 1 + np.flatnonzero(steps["lr"] == steps["lr"].max())[-1]]
    for step in (100, 300, 500, 1000, 2000, 5000, 10_000, int(steps["step"].max())):
        if step <= steps["step"].max():
            values += [float(step), float(losses[max(0, step - 10) : step].mean())]
    events = frames.events[frames.events["run_id"] == run_id]
    for step in events.loc[events["name"] == "outlier-batch", "step"]:
        near = steps[(steps["step"] - step).abs() <= 2]
        values += [float(step), *near["grad_norm"], *near["train_loss"]]
        around = steps[((steps["step"] - step).abs() <= 12) & (steps["step"] != step)]
        values.append(float(around["grad_norm"].median()))
    for window in (2 * (losses.size // 60) + 1, *range(5, 206, 2)):
        smooth = _smooth(losses, window)
        half = losses.size // 2
        values += [float(window), float(np.nanstd((losses - smooth)[half:])), float(smooth[half] - smooth[-1])]
        # Of the steps after the first tenth, the second half.
        later = smooth[math.ceil(losses.size / 10) :]
        late = later[math.ceil(later.size / 2) :]
        values += [float(np.nanstd(losses[-late.size :] - late)), float(late[0] - late[-1])]
        later = smooth[steps["step"].to_numpy() > steps["step"].max() / 10]
        values += [float(np.abs(np.diff(later)).mean()), float(evals["val_loss"].iloc[-1:].sum() - smooth[-1])]
        subset = evals[~evals["whole"]]
        values.append(float(subset["val_loss"].iloc[-1:].sum() - smooth[-1]))
    raw = losses[steps["step"].to_numpy() > steps["step"].max() / 10]
    return [*values, float(np.abs(np.diff(raw)).mean())]


def _smooth(losses: np.ndarray, window: int) -> np.ndarray:
    """Means of shrinking windows around each value, written anew."""
    size = losses.size
    reach = np.minimum(window // 2, np.arange(size))
    return np.array([losses[i - r : min(i + min(r, size - 1 - i), size - 1) + 1].mean() for i, r in enumerate(reach)])


def _collect_steps(steps: pd.DataFrame) -> list[float]:
    """An arm's gradient norms and clipped steps."""
    norms = steps["grad_norm"].to_numpy(dtype=float)
    norms = norms[np.isfinite(norms) & (norms > 0)]
    if not norms.size:
        return []
    clipped = float(steps["clipped"].sum())
    values = [*np.percentile(norms, [5, 50, 95]), norms.max(), clipped, float(len(steps)), 100 * clipped / len(steps)]
    firsts = steps.sort_values("step").groupby("run_id")["train_loss"].first()
    lasts = steps[steps["step"] == steps["step"].max()]
    return [*values, firsts.mean(), *lasts["step"], 100 * float((norms > 1.0).mean())]


def _collect_evals(evals: pd.DataFrame) -> list[float]:
    trained = evals[(evals["step"] > 0) & ~evals["whole"]].sort_values("step")
    if trained.empty:
        return []
    by_run = trained.groupby("run_id")["val_loss"]
    means = trained.groupby("step")["val_loss"].mean()
    return [*means, float((by_run.last() - by_run.min()).mean())]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(float(value))
