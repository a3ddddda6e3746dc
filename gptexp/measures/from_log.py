"""How measures are read from the records of one run. `RunRecords` has the records; NaN stands where there is no number.

NumPy is imported where it is needed: the catalogue names these functions and has to be there at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from gptexp.measures.curves import Floats
    from gptexp.measures.measure import Read
    from gptexp.runs.run_records import RunRecords

MIN_STEPS = 40
"""Fewer steps don't show how a loss scatters around its trend."""
LATE_SHARE = 0.2
"""The part of training, at its end, that says whether the loss still falls."""
EARLY_SHARE = 0.1
"""The part of training that counts as early."""


def read_column(name: str) -> Read:
    """What the run's row says: its result, its config, its corpus."""
    return lambda run, _: run.number(name)


def find_perplexity(loss: float) -> float:
    """e^loss: `gptexp.measures.curves.perplexity`."""
    from gptexp.measures.curves import perplexity

    return perplexity(loss)


def measure_gpt2_loss(run: RunRecords, _: int | None) -> float:
    """The final val loss per GPT-2 token; NaN on a corpus whose GPT-2 tokens aren't known."""
    from gptexp.data.units import count_per_gpt2_token

    rate = count_per_gpt2_token(str(run.row["corpus_checksum"]), "val", run.number("val_tokens"))
    return math.nan if rate is None else run.number("final_val_loss") * rate


def read_epochs(run: RunRecords, _: int | None) -> float:
    """How often the train split was seen on average."""
    from gptexp.measures.curves import count_epochs

    return count_epochs(run.number("tokens_seen"), run.number("train_tokens"))


def read_tokens_per_step(run: RunRecords, _: int | None) -> float:
    """How many tokens one update is computed from: batch_size · grad_accum_steps · block_size."""
    return math.prod(run.number(name) for name in ("batch_size", "grad_accum_steps", "block_size"))


def predict_initial_loss(run: RunRecords, _: int | None) -> float:
    """What the init predicts: `gptexp.measures.curves.expect_initial_loss`."""
    from gptexp.measures.curves import expect_initial_loss

    vocab_size, n_embd = run.number("vocab_size"), run.number("n_embd")
    if math.isnan(vocab_size) or math.isnan(n_embd) or isinstance(run.row.get("init_from"), str):
        return math.nan
    predicted = expect_initial_loss(int(vocab_size), int(n_embd), str(run.row["init"]))
    return math.nan if predicted is None else predicted


def measure_uniform_guess(run: RunRecords, _: int | None) -> float:
    """ln V: the loss of a uniform guess over the vocabulary."""
    return math.log(run.number("vocab_size"))


def read_train_loss(run: RunRecords, step: int | None) -> float:
    """Mean of the ten train losses up to a step; of an unfinished run too, once it got there."""
    from gptexp.measures.curves import train_loss_at

    return math.nan if step is None else train_loss_at(run.step_numbers, run.train_losses, step)


def read_last_eval(column: str) -> Read:
    """A column of the last evaluation on the fixed subset."""
    return lambda run, _: math.nan if run.evals.empty else float(run.evals[column].iloc[-1])


def read_first_train_loss(run: RunRecords, _: int | None) -> float:
    return float(run.train_losses[0]) if run.begins_at_first_step else math.nan


def measure_median_norm(run: RunRecords, _: int | None) -> float:
    return float(run.steps["grad_norm"].median())


def measure_early_max_norm(run: RunRecords, _: int | None) -> float:
    """Of the first tenth of the planned steps."""
    return float(run.steps.loc[_are_early(run), "grad_norm"].max())


def measure_late_max_norm(run: RunRecords, _: int | None) -> float:
    """Of the steps after the first tenth of the planned ones."""
    return float(run.steps.loc[~_are_early(run), "grad_norm"].max())


def _are_early(run: RunRecords) -> pd.Series:
    return run.steps["step"] <= EARLY_SHARE * run.number("max_steps")


def find_largest_spike(run: RunRecords, _: int | None) -> float:
    """The largest gradient norm among the spikes on natural data; 0 where there is none."""
    from gptexp.measures.spikes import find_natural_spikes

    spikes = find_natural_spikes(run.study, run.steps)
    return math.nan if spikes is None else max((spike.norm for spike in spikes), default=0.0)


def measure_noise(run: RunRecords, _: int | None) -> float:
    """Standard deviation (nats) of the train loss around its smoothed curve, after the first tenth of the steps."""
    import numpy as np

    found = smooth_after_early(run.train_losses)
    return math.nan if found is None else float(np.std(found[0]))


def measure_late_noise(run: RunRecords, _: int | None) -> float:
    """As `measure_noise`, of the second half of these steps."""
    import numpy as np

    found = smooth_after_early(run.train_losses)
    return math.nan if found is None else float(np.std(np.array_split(found[0], 2)[1]))


def measure_noise_of_part(part: Literal["early", "later"]) -> Read:
    """Standard deviation (nats) of the train loss from step to step, in the first tenth of the steps or after it.

    Each loss is held against the mean of its two neighbours. Where the curve is steep, as it is early, that leaves out
    its slope, while a smoothed curve is wide there.

    Source: Gasser, Sroka & Jennen-Steinmetz 1986, Biometrika 73(3), 625-633, equation 1 for steps of equal size.
    """

    def read(run: RunRecords, _: int | None) -> float:
        import numpy as np

        losses = run.train_losses
        if losses.size < MIN_STEPS or not np.isfinite(losses).all():
            return math.nan
        end = math.ceil(EARLY_SHARE * losses.size)
        chosen = losses[:end] if part == "early" else losses[end:]
        beside = chosen[1:-1] - (chosen[:-2] + chosen[2:]) / 2
        return float(np.sqrt(np.mean(beside**2) / 1.5)) if beside.size else math.nan

    return read


def measure_late_drift(run: RunRecords, _: int | None) -> float:
    """By how much the smoothed train loss fell over the steps of `late_noise`."""
    import numpy as np

    found = smooth_after_early(run.train_losses)
    if found is None:
        return math.nan
    late = np.array_split(found[1], 2)[1]
    return float(late[0] - late[-1])


def measure_late_fall(run: RunRecords, _step: int | None) -> float:
    """By how many nats the train loss falls in 100 steps at the end: `fit_late_fall`."""
    found = fit_late_fall(run)
    return math.nan if found is None else found[0]


def fit_late_fall(run: RunRecords) -> tuple[float, float] | None:
    """(nats per 100 steps, its standard error) of the fall of a straight line through the train losses of the last
    fifth of the steps; None of a run with fewer than `MIN_STEPS`, or that broke.

    Source: ordinary least squares; the error takes the batches' losses to scatter independently around the line.
    """
    import numpy as np

    losses = run.train_losses
    size = round(LATE_SHARE * losses.size)
    if losses.size < MIN_STEPS or not np.isfinite(losses[-size:]).all():
        return None
    (slope, _), covariance = np.polyfit(run.step_numbers[-size:], losses[-size:], 1, cov=True)
    return -100 * float(slope), 100 * math.sqrt(covariance[0, 0])


def measure_trend_per_step(run: RunRecords, _: int | None) -> float:
    """By how much the smoothed train loss changes from one step to the next (mean size), after the early steps."""
    import numpy as np

    found = smooth_after_early(run.train_losses)
    return math.nan if found is None else float(np.abs(np.diff(found[1])).mean())


def measure_rising_share(run: RunRecords, step: int | None) -> float:
    """At which share of the steps up to `step` the train loss lies above that of the step before."""
    if step is None or not run.begins_at_first_step or run.last_logged_step < step:
        return math.nan
    return share_rises(run.train_losses[run.step_numbers <= step])


def share_rises(losses: Floats) -> float:
    """The share of neighbours of which the later one is higher: near 0 of a smooth falling curve, half of pure noise.

    Args:
        losses: float64, one per step, nats per token.
    """
    import numpy as np

    return float(np.mean(np.diff(losses) > 0)) if losses.size > 1 else math.nan


def smooth_after_early(losses: Floats) -> tuple[Floats, Floats] | None:
    """(train loss minus its smoothed curve, that curve), float64 (n,) each, after the first tenth of the steps; None of
    a run that is too short or broke.

    Args:
        losses: float64, one per step, nats per token.
    """
    import numpy as np

    from gptexp.measures.curves import centred_mean, choose_smoothing_window

    if losses.size < MIN_STEPS or not np.isfinite(losses).all():
        return None
    smooth = centred_mean(losses, choose_smoothing_window(losses.size))
    after = slice(math.ceil(EARLY_SHARE * losses.size), None)
    return (losses - smooth)[after], smooth[after]


def measure_val_rise(run: RunRecords, _: int | None) -> float:
    """How far the last val loss lies above the lowest, on the same windows."""
    losses = run.evals.loc[run.evals["step"] > 0, "val_loss"]
    return float(losses.iloc[-1] - losses.min()) if len(losses) > 1 else math.nan


def measure_lr_error(run: RunRecords, _: int | None) -> float:
    """The largest distance of a recorded learning rate from the planned one, as a share of the peak.

    NaN where the schedule is of a package that isn't installed here.
    """
    import pandas as pd

    from gptexp.config import revive_config
    from gptexp.names import SCHEDULES

    names = ("lr", "min_lr", "schedule", "max_steps", "warmup_steps", "decay_steps")
    config = revive_config({name: run.row[name] for name in names if not pd.isna(run.row[name])})
    if config.schedule not in SCHEDULES:
        return math.nan
    rate, rows = SCHEDULES.find(config.schedule).rate, run.steps
    errors = [abs(lr - rate(int(step), config)) for step, lr in zip(rows["step"], rows["lr"], strict=True)]
    return max(errors) / config.lr if errors else math.nan


def tell_divergence(run: RunRecords, step: int | None) -> float:
    """Whether a loss or gradient stopped being finite, by a step where one is named."""
    return _happened_by(run, step, run.diverged_at)


def tell_instability(run: RunRecords, step: int | None) -> float:
    """Whether the loss spiked, rose above its first value (the published rules of the flags) or stopped being finite,
    by a step. The rise counts from step 2 on, where a spike, which needs 25 steps before it, can't be seen yet.
    """
    from gptexp.training.flags import find_rise, find_spike

    losses = run.train_losses.tolist()
    # Only a log from step 1 on says where the loss was at first.
    rise = find_rise(losses, run.made_steps) if run.begins_at_first_step else None
    # The log of a fork begins behind its fork, and the finders count from its first line.
    found = [float(run.step_numbers[at["step"] - 1]) for at in (find_spike(losses), rise) if at]
    found += [run.diverged_at] if run.diverged_at else []
    return _happened_by(run, step, min(found) if found else None)


def _happened_by(run: RunRecords, step: int | None, at: float | None) -> float:
    """1 where an event lies at or before a step, 0 where the run got that far without; NaN where it can't tell."""
    if at is not None and (step is None or at <= step):
        return 1.0
    done = run.has_all_steps if step is None else run.last_step >= step
    return 0.0 if done else math.nan


def read_outlier(column: str, back: int = 0) -> Read:
    """What was recorded at the first batch that was made to be an outlier, or so many steps before it."""

    def read(run: RunRecords, _: int | None) -> float:
        logged = run.step_numbers.tolist()
        if run.outlier_step not in logged or run.outlier_step - 1 not in logged:
            return math.nan
        return float(run.steps[column].iloc[logged.index(run.outlier_step - back)])

    return read
