"""The mirror in trackio: a dashboard on this machine, without an account. The run directory stays the truth.

What lies where in a trackio project:

name     study, arm, seed and the run id, by which a run is found again
config   the resolved RunConfig, flat; `gptexp` beside it holds what else config.json has, and `provenance`
rows     one per record, with the names of `gptexp.mirrors.wandb_rows`; the last one has every field of result.json
         under `result/`, and the table `samples` of all texts

`trackio show` opens the dashboard, while runs train and afterwards. The data lies in TRACKIO_DIR.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gptexp.errors import GptexpError
from gptexp.measures.ends import list_unsaid
from gptexp.mirrors.protocol import BackgroundTracker, RunInfo, Tracker, TrackerSettings
from gptexp.mirrors.wandb_labels import make_labels
from gptexp.mirrors.wandb_limits import fit_value
from gptexp.mirrors.wandb_rows import make_row
from gptexp.records import Record, SampleRecord
from gptexp.text import hide_paths_in
from gptexp.tracking.places import publish_config
from gptexp.tracking.result import Result
from gptexp.tracking.run_dir import RunDir

DEFAULT_PROJECT = "gptexp"
PATIENCE_S = 30.0
"""How long a finished run waits for its mirror: trackio itself gives up after that."""
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_WEBHOOK_URL")
"""Environment variables by which trackio would send runs away from this machine."""


@dataclass(frozen=True)
class TrackioSettings(TrackerSettings):
    """How the runs of a command are mirrored to trackio."""

    project: str = DEFAULT_PROJECT

    @property
    def wants_every_run(self) -> bool:
        return False

    def find_lacking(self, over: Mapping[str, RunDir], noted: Collection[str]) -> frozenset[str]:
        """Those whose rows don't end with the result that the run folder holds."""
        import_trackio()
        held = read_ends(self.project, over)
        results = {run_id: run_dir.read_result() for run_id, run_dir in over.items()}
        return frozenset(
            run_id for run_id, result in results.items() if result and held.get(run_id) != result.finished_at
        )

    def build(self, run_dir: str, warn: Callable[[str], None]) -> BackgroundTracker:
        late = f"trackio did not take all of this run within {PATIENCE_S:g} s; the same command sends it again"
        return BackgroundTracker(TrackioTracker(self.project), patience_s=lambda: PATIENCE_S, late=late)


def choose_settings(options: Mapping[str, Any]) -> TrackioSettings:
    """Trackio, which no option of the command line is about; TRACKIO_PROJECT names another project than gptexp.

    Raises:
        GptexpError: it is not installed.
    """
    if importlib.util.find_spec("trackio") is None:
        raise GptexpError("the tracker trackio is not installed; install it with `pip install 'gptexp[trackio]'`")
    return TrackioSettings(os.environ.get("TRACKIO_PROJECT") or DEFAULT_PROJECT)


class TrackioTracker(Tracker):
    """Mirrors one run. A run that goes on is written anew from its records, so there are neither holes nor doubles."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._samples: list[SampleRecord] = []
        self._run: Any = None
        self._max_steps: int | None = None

    def start(self, info: RunInfo) -> None:
        trackio = import_trackio()
        if (mirror := list_mirrors(self._project).get(info.run_id)) is not None:
            mirror.delete()
        about = {"run_id": info.run_id, **publish_config(info.about), "provenance": hide_paths_in(info.provenance)}
        labels = make_labels(info)
        self._max_steps = info.config["max_steps"]
        with quiet():
            self._run = trackio.init(
                project=self._project,
                name=f"{labels['name']} {info.run_id}",
                group=labels["group"],
                config=fit_value({**info.config, "gptexp": about}),
                resume="never",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        for record in info.earlier:
            self.log(record)

    def log(self, record: Record) -> None:
        row = make_row(record)
        self._run.log(row, step=row.pop("step"))
        if isinstance(record, SampleRecord):
            self._samples.append(record)

    def finish(self, result: Result) -> None:
        import trackio

        told = fit_value(dataclasses.asdict(result))
        # As in W&B: a run without an end has no final loss.
        unsaid = list_unsaid(result.outcome, result.last_step, self._max_steps)
        fields = {f"result/{name}": value for name, value in told.items() if value is not None and name not in unsaid}
        if self._samples:
            fields["samples"] = trackio.Table(data=fit_value([dataclasses.asdict(sample) for sample in self._samples]))
        self._run.log(fields, step=result.last_step)
        with quiet():
            self._run.finish()


def import_trackio() -> Any:
    """The library, kept to this machine: it asks no hub who we are and sends nothing anywhere."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    import trackio

    return trackio


def list_mirrors(project: str) -> dict[str, Any]:
    """Run id -> trackio's own handle of the run that mirrors it."""
    import trackio

    # There may be no such project yet.
    with contextlib.suppress(ValueError):
        return {run.name.rpartition(" ")[2]: run for run in trackio.Api().runs(project)}
    return {}


def read_ends(project: str, run_ids: Collection[str]) -> dict[str, str]:
    """Run id -> the `finished_at` of the result that its rows end with; runs without such an end are left out."""
    from trackio.sqlite_storage import SQLiteStorage

    ends = {}
    for run_id, run in list_mirrors(project).items():
        if run_id in run_ids:
            rows = SQLiteStorage.get_logs(project, run.name, run_id=run.id)
            if rows and (end := rows[-1].get("result/finished_at")):
                ends[run_id] = str(end)
    return ends


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing of trackio's own lines on standard output: a view, or JSON, may stand there."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
