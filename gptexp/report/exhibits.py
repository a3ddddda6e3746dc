"""The exhibits that a report file can name: every kind of figure, table, samples and code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptexp.claims.judge import Judgement
from gptexp.lesson.compare import LOOPS, Part
from gptexp.registry import Registry
from gptexp.report.break_table import first_breaks
from gptexp.report.claim_tables import tabulate_claims, tabulate_transfer
from gptexp.report.code import CodeShown, compare_functions
from gptexp.report.decision_table import decisions_table
from gptexp.report.difference_table import differences_table
from gptexp.report.figures.canvas import Drawing
from gptexp.report.figures.clip_spike import clip_spike, natural_spikes
from gptexp.report.figures.depth import depth_over_time
from gptexp.report.figures.final_losses import final_val_losses
from gptexp.report.figures.grad_norm import gradient_norms
from gptexp.report.figures.initial_loss import initial_losses
from gptexp.report.figures.ladder import lr_ladder
from gptexp.report.figures.losses import loss_curves
from gptexp.report.figures.norm_distribution import norm_distribution
from gptexp.report.figures.phases import explain_schedule
from gptexp.report.figures.pinned import pinned_samples
from gptexp.report.figures.schedules import lr_schedules
from gptexp.report.figures.scissors import scissors
from gptexp.report.figures.smoothings import three_smoothings
from gptexp.report.fork_table import forks_table
from gptexp.report.ladder_table import ladder_table
from gptexp.report.limits import Shown, show_some_arms
from gptexp.report.loaders import NotMeasured, draw_estimates, measure_loaders
from gptexp.report.samples import SampleGrid, collect_samples
from gptexp.report.speed_table import speed_table
from gptexp.report.spike_forks import spike_forks_table
from gptexp.report.spike_table import natural_spikes_table, norms_at_spike
from gptexp.report.step_table import losses_at_steps
from gptexp.report.sweep_points import points_table
from gptexp.report.tables import Table, initial_table, results_table, training_table
from gptexp.report.trace_table import trace_sentence
from gptexp.runs.study_runs import StudyRuns

Content = Drawing | Table | SampleGrid | CodeShown


@dataclass(frozen=True)
class Source:
    """What an exhibit is made from."""

    study: StudyRuns | None = None
    """The study instance whose runs it shows; None for what needs none."""
    runs_dir: Path | None = None
    """Where the weights of runs lie."""
    judgements: Sequence[Judgement] = ()
    """The report's claims."""
    forks: Sequence[StudyRuns] = ()
    """The studies of forks of its runs."""

    def take_study(self) -> StudyRuns:
        """The study instance.

        Raises:
            NoStudy: the report names none.
        """
        if self.study is None:
            raise NoStudy
        return self.study


class NoStudy(Exception):
    """An exhibit of this kind shows a study."""


class NothingToShow(Exception):
    """Why there is nothing to show, as a sentence."""


Maker = Callable[[Source], Content | None]


def of_study(make: Callable[[StudyRuns], Content | None]) -> Maker:
    """A kind that shows one study instance; `make` returns None where that has no data for it."""
    return lambda source: make(source.take_study())


def of_arms(make: Callable[[StudyRuns], Shown | None]) -> Maker:
    """A kind that shows every arm of a study by itself: of very many arms some."""
    return of_study(show_some_arms(make))


def of_code(*sides: tuple[str, str, str], align: bool = False, part: Part = "all") -> Maker:
    """Functions beside each other, each a (title, module, function)."""
    return lambda _: compare_functions("", "", "", sides, align=align, part=part)


def draw_loaders(source: Source) -> Drawing:
    """What the wrong and the right val-loss loop report, measured with a run's weights.

    Raises:
        NothingToShow: it can't be measured.
    """
    study = source.take_study()
    try:
        return draw_estimates(study, measure_loaders(study, source.runs_dir))
    except NotMeasured as reason:
        raise NothingToShow(f"What the two loops report was not measured: {reason}.") from None


EXHIBITS: dict[str, Maker] = {
    "results": of_study(results_table),
    "differences": of_study(differences_table),
    "decisions": of_study(decisions_table),
    "points": of_study(points_table),
    "speed": of_study(speed_table),
    "lr-sensitivity": of_study(ladder_table),
    "lr-ladder": of_study(lr_ladder),
    "initial-loss-table": of_study(initial_table),
    "initial-loss": of_arms(initial_losses),
    "loss-curves": of_arms(loss_curves),
    "final-val-loss": of_arms(final_val_losses),
    "losses-at-steps": of_arms(losses_at_steps),
    "lr-schedules": of_arms(lr_schedules),
    "schedule-explained": of_study(explain_schedule),
    "gradient-norm": of_arms(gradient_norms),
    "natural-spikes": of_arms(natural_spikes),
    "natural-spikes-table": of_study(natural_spikes_table),
    "forks": of_study(forks_table),
    "spike-forks": lambda source: spike_forks_table(source.take_study(), source.forks),
    "clip-spike": of_arms(clip_spike),
    "norms-at-spike": of_arms(norms_at_spike),
    "depth-over-time": of_arms(depth_over_time),
    "first-breaks": of_study(first_breaks),
    "norm-distribution": of_arms(norm_distribution),
    "pinned-samples": of_study(pinned_samples),
    "scissors": of_study(scissors),
    "three-smoothings": of_study(three_smoothings),
    "training": of_study(training_table),
    "samples": of_arms(collect_samples),
    "loops": of_code(
        ("The loop you know", *LOOPS[0]),
        ("The GPT loop", *LOOPS[1]),
        align=True,
        part="loop",
    ),
    "whole-loop": of_code(("The whole loop", "lesson/whole_loop.py", "train_and_watch"), part="loop"),
    "schedule-by-hand": of_code(("By hand", "lesson/schedule.py", "learning_rate")),
    "schedule-of-torch": of_code(("With torch's schedulers", "lesson/schedule.py", "make_scheduler"), part="body"),
    "val-loss-loops": of_code(
        ("Wrong: a new iterator for every batch", "lesson/val_loss.py", "estimate_wrong"),
        ("Right: one iterator, batch after batch", "lesson/val_loss.py", "estimate_right"),
        align=True,
    ),
    "loader-estimates": draw_loaders,
    "trace": lambda _: trace_sentence(),
    "claims": lambda source: tabulate_claims(source.judgements) if source.judgements else None,
    "transfer": lambda source: tabulate_transfer(source.judgements),
}
"""By their names in a report file. A new kind is a function that makes one, and a line here."""
_KINDS = Registry("exhibit", "gptexp.exhibits", EXHIBITS)
"""Those, and the ones of other packages."""


def find_exhibit(kind: str) -> Maker:
    """The maker of a kind.

    Raises:
        GptexpError: there is none.
    """
    return _KINDS.find(kind)
