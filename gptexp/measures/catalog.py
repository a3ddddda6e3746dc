"""Every measure once: what claims judge, sentences quote, tables and lists show, and sweeps improve.

A new measure is one entry here. It can then be claimed and quoted as `arm:name`, and `gptexp runs list --measure name`
shows it; a table shows it where the table's own list names it. Another package brings one as an entry point
(`gptexp.measures`).
"""

from __future__ import annotations

from collections.abc import Callable

from gptexp.errors import GptexpError, shorten
from gptexp.measures.from_log import (
    MIN_STEPS,
    find_largest_spike,
    find_perplexity,
    measure_early_max_norm,
    measure_gpt2_loss,
    measure_late_drift,
    measure_late_fall,
    measure_late_max_norm,
    measure_late_noise,
    measure_lr_error,
    measure_median_norm,
    measure_noise,
    measure_noise_of_part,
    measure_rising_share,
    measure_trend_per_step,
    measure_uniform_guess,
    measure_val_rise,
    predict_initial_loss,
    read_column,
    read_epochs,
    read_first_train_loss,
    read_last_eval,
    read_outlier,
    read_tokens_per_step,
    read_train_loss,
    tell_divergence,
    tell_instability,
)
from gptexp.measures.measure import AT_EVALUATIONS, AT_STEPS, EVENT, FINAL_WINDOW, NATS, Measure
from gptexp.registry import Registry
from gptexp.wording import (
    count_things,
    write_count,
    write_duration,
    write_loss,
    write_number,
    write_percent,
    write_rate,
)

BITS, NORM, SHARE = "bits per byte", "L2 norm", "share"


def _count_seeds(value: float) -> str:
    return count_things(round(value), "seed")


RUN = (
    Measure(
        "last_step", "step", "last step", write=write_count, over_seeds="highest", known_from=0, listed=True,
        of_result=True,
    ),
    Measure(
        "final_train_loss", NATS, "final train loss", note=f"mean of last {FINAL_WINDOW}", over_seeds="interval",
        listed=True, at_the_end=True, diverged_is_high=True, of_result=True,
    ),
    Measure(
        "final_val_loss", NATS, "final val loss", note="whole split", over_seeds="interval",
        listed=True, at_the_end=True, of_whole_split=True, diverged_is_high=True, of_result=True,
    ),
    Measure(
        "final_val_bpb", BITS, "bits per byte",
        listed=True, at_the_end=True, of_whole_split=True, diverged_is_high=True, of_result=True,
    ),
    Measure(
        "best_val_loss", NATS, "best val loss", note="on a fixed subset", listed=True, diverged_is_high=True,
        of_result=True,
    ),
    Measure("best_val_step", "step", "step of the best val loss", write=write_count, listed=True, of_result=True),
    Measure("initial_val_loss", NATS, "initial val loss", known_from=0, listed=True, of_result=True),
    Measure(
        "bigram_loss", NATS, "bigram loss", note="of counted pairs", over_seeds="mean", of_result=True,
    ),
    Measure(
        "diverged_step", "step", "diverged at", write=write_count, over_seeds="each", known_from=0, listed=True,
        of_result=True,
    ),
    Measure(
        "clipped_fraction", SHARE, "clipped", note="of all steps", write=write_percent, over_seeds="mean",
        of_result=True,
    ),
    Measure(
        "max_grad_norm", NORM, "largest gradient norm", note="L2, before clipping", write=write_number,
        over_seeds="highest", of_result=True,
    ),
    Measure(
        "tokens_seen", "tokens", "tokens seen", note="per run", write=write_count, over_seeds="mean",
        known_from=0, of_result=True,
    ),
    Measure(
        "epochs", "passes", "epochs", read_epochs, note="over the corpus", write=write_number, over_seeds="mean",
        known_from=0,
    ),
    Measure(
        "duration_s", "s", "time", note="per run", write=write_duration, over_seeds="mean", known_from=0,
        listed=True, of_result=True,
    ),
    Measure(
        "peak_memory_mib", "MiB", "peak memory", note="MiB", write=write_count, over_seeds="mean", known_from=0,
        of_result=True,
    ),
)  # fmt: skip
"""The numbers of a run's result, each under its name in result.json, and what follows from them at once."""

RECKONED = (
    Measure(
        "perplexity", "tokens", "perplexity", read_column("final_val_loss"), write=write_number, over_seeds="mean",
        through=find_perplexity, of_whole_split=True, diverged_is_high=True,
    ),
    Measure(
        "initial_perplexity", "tokens", "initial perplexity", read_column("initial_val_loss"), write=write_number,
        over_seeds="mean", through=find_perplexity, known_from=0,
    ),
    Measure(
        "val_loss_per_gpt2_token", "nats per GPT-2 token", "final val loss per GPT-2 token", measure_gpt2_loss,
        note="the lesson's unit", of_whole_split=True, diverged_is_high=True,
    ),
    Measure("predicted", NATS, "predicted", predict_initial_loss, note="ln V + n_embd·0.02²/2", known_from=0),
    Measure("uniform", NATS, "uniform guess", measure_uniform_guess, note="ln V", known_from=0),
)  # fmt: skip
"""What follows from a loss, and what a loss is held against."""

LOGGED = (
    Measure(
        "train_loss", NATS, "train loss", read_train_loss, note=f"mean of {FINAL_WINDOW} steps", step="must",
        diverged_is_high=True, logged=AT_STEPS,
    ),
    Measure(
        "val_loss", NATS, "val loss", read_last_eval("val_loss"), note="on a fixed subset", diverged_is_high=True,
        logged=AT_EVALUATIONS,
    ),
    Measure(
        "val_bpb", BITS, "val bits per byte", read_last_eval("val_bpb"), note="on a fixed subset",
        diverged_is_high=True, logged=AT_EVALUATIONS,
    ),
    Measure("first_train_loss", NATS, "first train loss", read_first_train_loss, known_from=1),
    Measure("val_rise", NATS, "rise of the val loss", measure_val_rise, note="last above lowest"),
    Measure("noise", NATS, "noise", measure_noise, known_from=MIN_STEPS, of_a_stretch=True),
    Measure("early_noise", NATS, "early noise", measure_noise_of_part("early"), note="first tenth of the steps"),
    Measure("later_noise", NATS, "later noise", measure_noise_of_part("later"), note="after the first tenth"),
    Measure("late_noise", NATS, "late noise", measure_late_noise),
    Measure("late_drift", NATS, "late drift", measure_late_drift),
    Measure(
        "trend_per_step", NATS, "trend per step", measure_trend_per_step, known_from=MIN_STEPS, of_a_stretch=True
    ),
    Measure(
        "rising_share", SHARE, "share of steps at which the train loss rises", measure_rising_share,
        write=write_percent, step="must",
    ),
    Measure("median_grad_norm", NORM, "median gradient norm", measure_median_norm, write=write_number),
    Measure("early_max_norm", NORM, "largest early gradient norm", measure_early_max_norm, write=write_number),
    Measure("late_max_norm", NORM, "largest late gradient norm", measure_late_max_norm, write=write_number),
    Measure("largest_spike", NORM, "largest spike of the gradient", find_largest_spike, write=write_number),
    Measure("outlier_step", "step", "outlier batch at", read_outlier("step"), write=write_count, over_seeds="each"),
    Measure("outlier_loss", NATS, "loss of the outlier batch", read_outlier("train_loss")),
    Measure("loss_before_outlier", NATS, "loss before the outlier batch", read_outlier("train_loss", back=1)),
    Measure("outlier_norm", NORM, "norm of the outlier batch", read_outlier("grad_norm"), write=write_loss),
    Measure("lr_error", SHARE, "error of the learning rate", measure_lr_error, write=write_number, known_from=1),
    Measure("diverged", EVENT, "diverged", tell_divergence, write=write_count, step="may"),
    Measure("unstable", EVENT, "unstable", tell_instability, write=write_count, step="must"),
    Measure("late_fall", NATS, "fall per 100 steps at the end", measure_late_fall),
)  # fmt: skip
"""What is read from the records of steps, evaluations and events."""

SETTINGS = (
    Measure("seeds", "seeds", "seeds", lambda run, _: 1.0, write=_count_seeds, over_seeds="count", known_from=0),
    Measure("vocab_size", "tokens", "vocabulary", note="V, tokens", write=write_count, over_seeds="each", known_from=0),
    Measure("n_embd", "entries", "width", note="n_embd", write=write_count, over_seeds="each", known_from=0),
    Measure("train_tokens", "tokens", "tokens to train on", write=write_count, over_seeds="each", known_from=0),
    Measure("n_params", "parameters", "parameters", write=write_count, over_seeds="each", known_from=0),
    Measure("block_size", "tokens", "window", note="tokens", write=write_count, over_seeds="each", known_from=0),
    Measure(
        "tokens_per_step", "tokens", "tokens a step", read_tokens_per_step, write=write_count, over_seeds="each",
        known_from=0,
    ),
    Measure(
        "eval_interval", "steps", "steps between evaluations", write=write_count, over_seeds="each", known_from=0
    ),
    Measure("max_steps", "steps", "planned steps", write=write_count, over_seeds="each", known_from=0),
    Measure("warmup_steps", "steps", "steps of warmup", write=write_count, over_seeds="each", known_from=0),
    Measure("lr", "per step", "peak learning rate", write=write_rate, over_seeds="each", known_from=0),
    Measure("min_lr", "per step", "final learning rate", write=write_rate, over_seeds="each", known_from=0),
    Measure("grad_clip", NORM, "threshold of clipping", write=write_rate, over_seeds="each", known_from=0),
)  # fmt: skip
"""What a run was asked for."""

MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*RUN, *RECKONED, *LOGGED, *SETTINGS)}
"""Name -> measure, in the order in which lists show them."""
_BY_NAME = Registry("measure", "gptexp.measures", MEASURES, is_factory=False)
"""Those, and the ones of other packages."""
MINUS = " - "


def find_measure(name: str) -> Measure:
    """The measure of that name.

    Raises:
        GptexpError: there is none (near names are listed), or another package has something else under that name.
    """
    measure = _BY_NAME.find(name)
    if not isinstance(measure, Measure) or measure.name != name:
        raise GptexpError(
            f"the measure {name!r} of another package is {shorten(measure)}; expected a Measure of that name"
        )
    return measure


def parse_measure(text: str) -> tuple[Measure, int | None]:
    """The measure and the step of `name` or `name@step`.

    Raises:
        GptexpError: there is no such measure, or the step is wrong for it.
    """
    name, _, step = text.partition("@")
    measure = find_measure(name)
    return measure, measure.read_step(step)


def select(has: Callable[[Measure], bool]) -> list[str]:
    """The names of the measures of which something is true: `select(lambda measure: measure.at_the_end)`."""
    return [measure.name for measure in MEASURES.values() if has(measure)]


def split_quantity(quantity: str) -> list[tuple[str, str]]:
    """`a:lr@3` as [("a", "lr@3")], and `a:x - b:x` as [("a", "x"), ("b", "x")]."""
    parts = [part.partition(":") for part in quantity.split(MINUS) if part]
    return [(arm, measure) for arm, _, measure in parts]
