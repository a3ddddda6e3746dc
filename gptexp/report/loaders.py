"""What the wrong and the right way to estimate a val loss give, measured with a run's own weights."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gptexp.errors import GptexpError
from gptexp.paths import read_path
from gptexp.report.figures.axes import Axis, make_loss_axis
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.legend import Key
from gptexp.report.figures.marks import DASHED, Line, Look, Mark, fill_dots, rule, style_line
from gptexp.report.figures.plot import Panel, Plot, draw_plot
from gptexp.report.palette import ALERT, MUTED, ArmStyle, style_arm
from gptexp.report.units import find_unit
from gptexp.runs.packed import read_loaders
from gptexp.runs.study_runs import StudyRuns
from gptexp.tracking.packs import is_packed
from gptexp.tracking.run_dir import RunDir
from gptexp.wording import write_loss

if TYPE_CHECKING:
    from gptexp.lesson.val_loss import Measure

VAL_STEPS = 20
MOST_PARAMS = 5e7
"""Larger models take too long on a CPU for a page."""
MOST_NUMBERS = 2**24
"""Hidden numbers of a batch (tokens x width); a page must not take a gigabyte."""
DIGITS = 4
"""Decimals that are kept: the last bits of a sum depend on the processor."""


@dataclass(frozen=True)
class Estimates:
    """Val losses of one run's final weights, nats per token."""

    run_id: str
    step: int
    wrong: float
    right: float
    batches: tuple[float, ...]
    """The loss of each of the first `VAL_STEPS` batches."""
    whole: float
    """As recorded over the whole split; NaN where it isn't."""


def measure_all(studies: Sequence[StudyRuns], runs_dir: Path) -> dict[str, dict[str, Any]]:
    """The estimates of every instance that has weights, as plain data by run id."""
    measured = {}
    for study in studies:
        with contextlib.suppress(NotMeasured):
            estimates = measure_loaders(study, runs_dir)
            measured[estimates.run_id] = {**asdict(estimates), "whole": None}
    return measured


class NotMeasured(Exception):
    """Why there are no estimates, as the end of a sentence."""


def measure_loaders(study: StudyRuns, runs_dir: Path | None) -> Estimates:
    """Both estimates from the last checkpoint of the instance's last arm, first seed.

    Nothing is downloaded, and nothing is written but the cache of tokens.

    Raises:
        NotMeasured: no weights, no text, or a model too large.
    """
    run = study.arms[-1].runs.iloc[0]
    if runs_dir is None:
        raise NotMeasured("these records came without weights")
    if not run["n_params"] <= MOST_PARAMS:
        raise NotMeasured("its model is too large to be evaluated while a page is built")
    if is_packed(runs_dir):
        return _read_packed_estimates(run, runs_dir)

    from gptexp.training.checkpoint import list_checkpoints

    run_dir = RunDir(runs_dir / str(run["run_id"]))
    folders = list_checkpoints(run_dir.checkpoints)
    if not folders:
        raise NotMeasured("its run has kept no weights")
    try:
        return _measure(run, run_dir.read_config(), folders[0])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotMeasured(f"its record is damaged ({error})") from None
    except GptexpError as error:
        raise NotMeasured(f"its text or weights can't be had ({error})") from None


def _read_packed_estimates(run: pd.Series, runs_dir: Path) -> Estimates:
    packed = read_loaders(runs_dir).get(str(run["run_id"]))
    if packed is None:
        raise NotMeasured("these records came without weights")
    whole = float("nan") if run["final_val_loss"] is None else float(run["final_val_loss"])
    try:
        wrong, right, *batches = (float(value) for value in (packed["wrong"], packed["right"], *packed["batches"]))
        return Estimates(str(run["run_id"]), int(packed["step"]), wrong, right, tuple(batches), whole)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise NotMeasured("what was measured with its weights is damaged") from None


def _measure(run: pd.Series, content: dict[str, Any], folder: Path) -> Estimates:
    import torch
    from torch.utils.data import DataLoader

    from gptexp.config import build_config
    from gptexp.lesson.val_loss import Windows, estimate_right, estimate_wrong
    from gptexp.model.size import count_params

    config = build_config(content["config"])
    if config.vocab_size is None or count_params(config) > MOST_PARAMS:
        raise NotMeasured("its model is too large to be evaluated while a page is built")
    if config.batch_size * config.block_size * config.n_embd > MOST_NUMBERS:
        raise NotMeasured("its batches are too large to be evaluated while a page is built")
    tokens = torch.from_numpy(_read_val_tokens(content).astype(np.int64))
    threads = torch.get_num_threads()
    # One thread, so that the order of the sums doesn't depend on the machine.
    torch.set_num_threads(1)
    try:
        measure, step = _load_measure(config, folder)
        loader = DataLoader(Windows(tokens, config.block_size), batch_size=config.batch_size, shuffle=False)
        batches = [measure(x, y) for (x, y), _ in zip(loader, range(VAL_STEPS), strict=False)]
        wrong = estimate_wrong(measure, loader, 2)
        right = estimate_right(measure, loader, VAL_STEPS)
    finally:
        torch.set_num_threads(threads)
    whole = run["final_val_loss"]
    rounded = tuple(round(value, DIGITS) for value in batches)
    return Estimates(
        str(run["run_id"]),
        step,
        round(wrong, DIGITS),
        round(right, DIGITS),
        rounded,
        float("nan") if whole is None else float(whole),
    )


def _load_measure(config: Any, folder: Path) -> tuple[Measure, int]:
    """The loss of a batch under the checkpoint's weights, and the checkpoint's step."""
    import torch
    from torch import Tensor

    from gptexp.training.checkpoint import DamagedCheckpoint
    from gptexp.training.weights import load_model

    try:
        model, step = load_model(config, folder)
    except DamagedCheckpoint as error:
        raise NotMeasured(f"its weights are damaged ({error})") from None
    model.eval()

    def measure(x: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            return model.loss(x, y).item()

    return measure, step


def _read_val_tokens(content: dict[str, Any]) -> np.ndarray:
    """uint16 (N,) val tokens of the run's own corpus: from the cache, by their checksums, else of a corpus that comes
    with gptexp. The record may be a stranger's: a path that it names is never opened.

    Raises:
        NotMeasured: the corpus is not at hand, or is another text today.
    """
    from gptexp.data.batches import find_cached, load_tokens
    from gptexp.data.corpus import TINYSHAKESPEARE_FILES, cache_dir, load_corpus
    from gptexp.names import CORPORA

    corpus, about = content["corpus"], content["tokenizer"]
    name, checksum = str(corpus["name"]), str(corpus["checksum"])
    cached = find_cached(checksum, str(about["name"]), str(about["checksum"]))
    if cached is not None:
        return np.asarray(cached[1])
    if name not in CORPORA:
        raise NotMeasured(f"the tokens of its corpus {name} are not in the cache of this machine")
    folders = [cache_dir(), *([read_path(named)] if (named := os.environ.get("GPTEXP_DATA_DIR")) else [])]
    at_hand = any((folder / file).is_file() for folder in folders for file in TINYSHAKESPEARE_FILES)
    if name == "tinyshakespeare" and not at_hand:
        raise NotMeasured("TinyShakespeare is not on this machine (GPTEXP_DATA_DIR names a folder that holds it)")
    found = load_corpus(name)
    if found.checksum != checksum:
        raise NotMeasured(f"the corpus {name} is another text than the run's")
    return np.asarray(load_tokens(found, str(about["name"])).val)


def draw_estimates(study: StudyRuns, estimates: Estimates) -> Drawing:
    """The batches' losses with the two estimates that come of them."""
    arm = study.arms[-1]
    rows = [(number, loss) for number, loss in enumerate(estimates.batches, 1)]
    data = pd.DataFrame(rows, columns=["batch", "val_loss"]).assign(
        wrong=estimates.wrong, right=estimates.right, whole_split=estimates.whole, run_id=estimates.run_id
    )
    low, high = min(estimates.batches), max(estimates.batches)
    return Drawing(
        name="loader-estimates",
        title="The val loss that each loop reports",
        caption=f"{arm.label} at step {estimates.step:,}, val batches in the order of the loader. The wrong loop "
        "evaluates the first batch over and over; the right one takes the next each time.",
        description=f"The wrong loop reports {write_loss(estimates.wrong)}, the right one "
        f"{write_loss(estimates.right)} over {len(estimates.batches)} batches, from "
        f"{write_loss(low)} to {write_loss(high)}. The whole split: {write_loss(estimates.whole)}.",
        data=data,
        run_ids=(estimates.run_id,),
        draw=partial(draw_plot, _plot(style_arm(arm.index), estimates, find_unit(arm.runs, "val").nats)),
    )


def _plot(style: ArmStyle, estimates: Estimates, nats: str) -> Plot:
    wrong = Look(ALERT, 2, DASHED)
    keys = [
        Key("one val batch", Look(MUTED, dash="none", marker="o")),
        Key(f"wrong loop: {write_loss(estimates.wrong)}", wrong),
        Key(f"right loop: {write_loss(estimates.right)}", style_line(style, 2.2)),
    ]
    x = np.arange(1, len(estimates.batches) + 1)
    marks: list[Mark] = [
        rule(estimates.wrong, wrong, z=3),
        rule(estimates.right, Look(style.colour, 2.2), z=3),
        Line(x, estimates.batches, fill_dots(MUTED), z=4),
        Line(x[:1], estimates.batches[:1], fill_dots(ALERT, size=10), z=5),
    ]
    losses = make_loss_axis([*estimates.batches, estimates.wrong, estimates.right], 0.05, nats)
    batches = Axis(0.4, len(x) + 0.6, "val batch", ticks=6, leads=None, whole=True)
    return Plot([Panel(marks, batches, losses)], keys, height=(210, 210))
