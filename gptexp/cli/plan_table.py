"""The plan before a run, and the comparison after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gptexp.cli.console import WIDE, make_console, make_table
from gptexp.cli.format import format_duration
from gptexp.cli.options import TO_GO_ON
from gptexp.cli.plan_notes import name_tokens, note_busy, note_plan, note_threads
from gptexp.config import RunConfig
from gptexp.machine import count_cores
from gptexp.studies.estimate import NO_TIME, RunTime, estimate_memory_mib, estimate_time
from gptexp.studies.locate import is_local
from gptexp.studies.plan import PlannedRun
from gptexp.studies.resolve import read_run_tokens
from gptexp.text import tell_apart, visible

MOST_ROWS = 500
"""Runs of a study that a plan lists one by one."""
PART_NAMES = {
    "start_up": "start-up",
    "steps": "steps",
    "evaluations": "evaluations",
    "samples": "samples",
    "final_evaluation": "final evaluation",
}
"""What a run's time goes into, as the plan names it."""


def plan_rows(planned: Sequence[PlannedRun], price: float | None = None) -> list[dict[str, Any]]:
    """One object per planned run, for `--json`.

    Args:
        price: of one device for an hour.
    """
    rows = []
    notes = {study: note_plan(items) for study, items in group_by_study(planned).items()}
    for item in planned:
        config, time = item.run.config, time_left(item)
        rows.append(
            {
                "run_id": item.run.run_id,
                "study": item.request.study.name,
                "study_file": str(item.request.file) if item.request.file else None,
                "arm": item.arm.name,
                "seed": item.seed,
                "scale": item.request.scale.name,
                "status": item.status,
                "why": item.why,
                "from_step": item.from_step,
                "max_steps": config.max_steps,
                "until_step": item.last_step,
                "tokens": config.max_steps * config.tokens_per_step,
                "epochs": item.run.epochs,
                "n_params": item.run.content["n_params"],
                "memory_mib": estimate_memory_mib(config, item.run.content["n_params"]),
                "seconds": time.total,
                "seconds_by_part": asdict(time),
                "device_hours": count_devices(config) * time.total / 3600,
                "price": None if price is None else price * count_devices(config) * time.total / 3600,
                "corpus": item.run.content["corpus"]["name"],
                "corpus_checksum": item.run.content["corpus"]["checksum"],
                "corpus_fallback": item.run.content["corpus"]["fallback"],
                "device": config.device,
                "precision": config.precision,
                "threads": config.n_threads,
                "notes": notes[item.request.study.name],
            }
        )
    return rows


def seconds_left(item: PlannedRun) -> float:
    """Estimated seconds that the rest of a run takes by itself; 0 when it is done."""
    return time_left(item).total


def time_left(item: PlannedRun) -> RunTime:
    """What the rest of a run takes, by what it goes into; nothing when it is done."""
    if item.is_over:
        return NO_TIME
    config = item.run.config
    tokens = read_run_tokens(item.corpus, item.run.content)
    return estimate_time(config, tokens, from_step=item.from_step, until_step=item.until_step)


def count_devices(config: RunConfig) -> int:
    """What a run keeps busy: GPUs, or cores where it has none."""
    return config.world_size * (config.n_threads if config.device == "cpu" else 1)


def write_cost(items: Iterable[PlannedRun], price: float | None) -> str:
    """`3.2 GPU hours, as fast as this machine's; at 2.5 an hour that is 8.00`."""
    hours: dict[str, float] = {}
    for item in items:
        name = "core hours" if item.run.config.device == "cpu" else "GPU hours"
        hours[name] = hours.get(name, 0.0) + count_devices(item.run.config) * seconds_left(item) / 3600
    told = " and ".join(
        f"{count:,.3g} {name}" if count < 100 else f"{count:,.0f} {name}" for name, count in hours.items()
    )
    money = "" if price is None else f"; at {price:g} an hour that is {price * sum(hours.values()):,.2f}"
    return f"{told}, on devices as fast as this machine's{money}"


def write_parts(time: RunTime) -> str:
    """`start-up 6 s, steps 5:20, evaluations 12 s, samples 8 s, final evaluation 3 s`."""
    return ", ".join(f"{PART_NAMES[name]} {format_duration(seconds)}" for name, seconds in asdict(time).items())


def print_plan(
    planned: Sequence[PlannedRun],
    workers: int,
    *,
    scale_named: bool = True,
    is_elsewhere: bool = False,
    price: float | None = None,
    to_go_on: str = TO_GO_ON,
) -> None:
    """The plan for people: what, on what, at which cost.

    Args:
        workers: runs at once.
        is_elsewhere: other machines do the work, and nobody knows here how many there are.
        price: of one device (a GPU, or a core) for an hour.
        to_go_on: how the same command goes on with runs that are stopped on their way.
    """
    console = make_console(piped_width=WIDE)
    console.print(write_basis(planned[0], scale_named=scale_named))
    config = planned[0].run.config
    parameters = write_span(item.run.content["n_params"] for item in planned)
    memory = write_span(round(estimate_memory_mib(item.run.config, item.run.content["n_params"])) for item in planned)
    console.print(f"Model: {parameters} parameters, {write_hardware(config)}, about {memory} MiB a run.")
    print_corpora(console, planned)
    with console.status("Timing a few steps on this machine"):
        for item in planned:
            seconds_left(item)
    for study, items in group_by_study(planned).items():
        request = items[0].request
        console.print(Text.assemble("\n", (study, "bold"), f": {request.study.question}"))
        if (file := request.file) and is_local(file):
            console.print(f"A study of this folder: {file}", style="bold", soft_wrap=True)
        for note in note_plan(items):
            console.print(f"Note: {note}", style="yellow", soft_wrap=True)
        console.print(_plan_table(console, items))
    waiting = {item.run.run_id: item for item in planned if not item.is_over}
    console.print()
    ends = [item.until_step for item in planned if item.until_step is not None]
    until = f"step{'s' * (len(set(ends)) > 1)} {write_span(ends)}" if ends else ""
    what = "forks" if planned[0].is_parent else "runs"
    if not waiting:
        console.print(f"All {what} {f'have got to {until}, or are done' if until else 'are done'}; nothing to train.")
        return
    if until and any(item.last_step < item.run.config.max_steps for item in waiting.values()):
        console.print(f"Up to {until} only: the {what} stay resumable, and the same command {to_go_on} goes on.")
    times = [time_left(item) for item in waiting.values()]
    if is_elsewhere:
        longest = format_duration(max(time.total for time in times))
        console.print(f"{len(waiting)} to train, at most {workers} at once: about {longest} for the longest.")
    else:
        total = estimate_wall_seconds([time.total for time in times], workers)
        console.print(f"{len(waiting)} to train, {workers} at once: about {format_duration(total)}.")
    if is_elsewhere or price is not None:
        console.print(f"Device hours: {write_cost(waiting.values(), price)}.", soft_wrap=True)
    console.print(f"One after the other: {write_parts(sum(times, NO_TIME))}.", soft_wrap=True)
    notes = [note_threads([item.run.config for item in waiting.values()], workers, count_cores()), note_busy()]
    for note in notes if not is_elsewhere else ():
        if note:
            console.print(f"Note: {note}", style="yellow", soft_wrap=True)


def write_basis(first: PlannedRun, *, scale_named: bool) -> Text:
    """What all runs of a plan have in common: a scale, or a parent, and what is changed."""
    changed = ", ".join(f"{key}={value}" for key, value in first.request.overrides.items())
    if first.is_parent:
        return Text.assemble(
            "Forks of run ", (first.run.run_id, "bold"), f": its settings; changed: {changed or 'nothing'}."
        )
    scale = first.request.scale
    why = "" if scale_named else " (--scale left out: lesson where there is a CUDA GPU, else quick)"
    described = f"{why}: {scale.description}{f'; changed: {changed}' if changed else ''}."
    return Text.assemble("Scale ", (scale.name, "bold"), described)


def write_hardware(config: RunConfig) -> str:
    """`bf16 on cpu with 2 threads`."""
    many = f" with {config.n_threads} threads" if config.device == "cpu" and config.n_threads > 1 else ""
    return f"{config.precision} on {config.device}{many}"


def write_span(numbers: Iterable[int]) -> str:
    """`1,234`, or `1,234 to 2,345` where there are several."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def print_corpora(console: Console, planned: Sequence[PlannedRun]) -> None:
    """Which texts the runs learn from, and in which tokens, a line each."""
    names = name_corpora(planned)
    for content in {name_tokens(item): item.run.content for item in planned}.values():
        _print_corpus(console, content, names[content["corpus"]["checksum"]])


def name_corpora(planned: Sequence[PlannedRun]) -> dict[str, str]:
    """Checksum -> name of every corpus of a plan, no two of them alike."""
    corpora = [item.run.content["corpus"] for item in planned]
    return tell_apart((corpus["checksum"], corpus["name"]) for corpus in corpora)


def _print_corpus(console: Console, content: Mapping[str, Any], name: str) -> None:
    """Which text it is; loudly when it is not the one that the lesson uses."""
    corpus, tokenizer = content["corpus"], content["tokenizer"]["name"]
    if corpus["fallback"]:
        loud = (
            "TinyShakespeare is neither on this machine nor reachable: the corpus is python-docs, the documentation "
            "inside Python."
        )
        rest = (
            " Every record and figure names it. For Shakespeare, put tinyshakespeare.txt into a folder and name that "
            "folder in GPTEXP_DATA_DIR."
        )
        console.print(Text.assemble((loud, "bold yellow"), rest))
    console.print(
        f"Corpus: {name}, {corpus['train_tokens']:,} train and {corpus['val_tokens']:,} val tokens ({tokenizer})."
    )


def group_by_study(planned: Sequence[PlannedRun]) -> dict[str, list[PlannedRun]]:
    """The plan's runs by study, in the order in which they were asked for."""
    groups: dict[str, list[PlannedRun]] = {}
    for item in planned:
        groups.setdefault(item.request.study.name, []).append(item)
    return groups


def estimate_wall_seconds(seconds: Sequence[float], workers: int) -> float:
    """How long `workers` need for runs of these lengths, each taking the next one when it is free."""
    ends = [0.0] * workers
    for length in seconds:
        ends[ends.index(min(ends))] += length
    return max(ends)


def new_table(console: Console, left: Sequence[str], right: Sequence[str], last: str) -> Table:
    """A table of runs: their names, which give way where it is narrow, their numbers, and what became of them."""
    table = make_table(console)
    for name in left:
        table.add_column(name, min_width=8, overflow="fold")
    for name in right:
        # A heading of several words may take several lines where it is narrow.
        table.add_column(name, justify="right", no_wrap=" " not in name)
    table.add_column(last, overflow="fold")
    return table


def _plan_table(console: Console, planned: Sequence[PlannedRun]) -> Table:
    corpora = name_corpora(planned)
    left = ("arm", "corpus") if len(corpora) > 1 else ("arm",)
    if len(planned) > MOST_ROWS:
        return _arm_table(console, planned)
    table = new_table(console, left, ("seed", "steps", "tokens", "epochs", "time", "run"), "state")
    for item in planned:
        names = [item.arm.label, corpora[item.run.content["corpus"]["checksum"]]][: len(left)]
        table.add_row(
            *(visible(name) for name in names),
            str(item.seed),
            _write_steps(item),
            f"{item.run.config.max_steps * item.run.config.tokens_per_step:,}",
            f"{item.run.epochs:.2f}",
            format_duration(seconds_left(item)) if not item.is_over else "–",
            item.run.run_id,
            "new" if item.status == "new" else visible(f"{item.status}: {item.why}"),
        )
    return table


def _arm_table(console: Console, planned: Sequence[PlannedRun]) -> Table:
    """A row for each arm, of a plan with more runs than anybody reads."""
    table = new_table(console, ("arm",), ("seeds", "steps", "time, together"), "state")
    arms: dict[str, list[PlannedRun]] = {}
    for item in planned:
        arms.setdefault(item.arm.name, []).append(item)
    for items in arms.values():
        states = Counter(item.status for item in items)
        table.add_row(
            visible(items[0].arm.label),
            f"{len(items):,}",
            _write_steps(items[0]),
            format_duration(sum(seconds_left(item) for item in items)),
            ", ".join(f"{count:,} {state}" for state, count in states.items()),
        )
    return table


def _write_steps(item: PlannedRun) -> str:
    """`10,000`, or `600 of 10,000` where no more are asked for."""
    whole = item.run.config.max_steps
    return f"{whole:,}" if item.last_step == whole else f"{item.last_step:,} of {whole:,}"
