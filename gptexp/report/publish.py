"""A report's bundle as a W&B run: its figures and tables to look at, all of its files as an artifact."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gptexp.errors import GptexpError
from gptexp.files import LARGEST_PART, is_file, make_folder, read_bytes
from gptexp.mirrors.wandb_limits import (
    CAPTION,
    NAME,
    RUN_ID,
    VALUE,
    explain_client_error,
    fit_key,
    fit_label,
    fit_name,
    fit_tags,
    fit_text,
    fit_value,
    mend_environment,
)
from gptexp.mirrors.wandb_server import PROBE_S, QUIET_SETTINGS, REPORT_KEY, server_name, why_unreachable
from gptexp.report.bundle import MANIFEST, hash_content

ARTIFACT_TYPE = "report"
PATIENCE_S = 120.0
"""How long sending the bundle may take."""


def log_report(
    bundle: Path, mode: Literal["online", "offline"], *, entity: str | None, project: str, folder: Path
) -> str | None:
    """Log a written bundle to a W&B run of its own, of job type `report`.

    The run's id follows from the manifest: the same bundle is the same W&B run, logged once however often it is sent.
    `figures/<name>` are images with their alt text as caption, `tables/<name>` are W&B tables, and the artifact
    `report-<name>` holds every file. The config names the runs that the bundle stands on.

    Args:
        folder: where the W&B client keeps its files; an offline run stays there until `wandb sync`.

    Returns:
        The address of the W&B run; None offline.

    Raises:
        GptexpError: the server doesn't answer, doesn't take the report, or takes too long; the bundle stays as it is.
    """
    manifest = read_bytes(bundle / MANIFEST, bundle).decode()
    content = json.loads(manifest)
    name = content["report"]
    if mode == "online" and (reason := why_unreachable(PROBE_S)) is not None:
        raise GptexpError(
            f"{server_name()} is out of reach ({reason}), so the report was not sent; it lies in {bundle}: try again "
            f"later, or keep it for `wandb sync` with --to-wandb --wandb offline"
        )
    make_folder(folder)
    with _client_errors(bundle):
        run = _open_run(content, hash_content(manifest), mode, entity, project, folder)
        try:
            # A step of its own: when the same bundle comes again, W&B drops the row that it has.
            run.log({**_read_figures(bundle, content, run.id), **_read_tables(bundle, content, run.id)}, step=0)
            run.log_artifact(_pack(bundle, name, content))
        finally:
            run.finish()
        return str(run.url) if mode == "online" and run.url else None


@contextlib.contextmanager
def _client_errors(bundle: Path) -> Iterator[None]:
    """Raises:
    GptexpError: instead of what the client raises.
    """
    import wandb

    try:
        yield
    except (wandb.Error, TimeoutError, ValueError, OSError) as error:
        reason = explain_client_error(error)
        raise GptexpError(f"W&B did not take the report ({reason}); it lies in {bundle}, whole") from None


def _open_run(content: dict[str, Any], checksum: str, mode: str, entity: str | None, project: str, folder: Path) -> Any:
    import wandb

    name = content["report"]
    about = {
        "report": name,
        "manifest_sha256": checksum,
        "studies": [study["instance"] for study in content["studies"]],
        "run_ids": sorted(content["runs"]),
    }
    mend_environment()
    settings = {**QUIET_SETTINGS, "finish_timeout": PATIENCE_S, "finish_timeout_raises": True, "reinit": "create_new"}
    return wandb.init(
        entity=entity,
        project=project,
        id=f"{fit_name(f'report-{name}', RUN_ID - 13)}-{checksum[:12]}",
        name=fit_label(f"report {name}", NAME),
        job_type=ARTIFACT_TYPE,
        tags=fit_tags(["report", name]),
        config={REPORT_KEY: fit_value(about)},
        dir=str(folder),
        mode=mode,  # type: ignore[arg-type]
        resume="allow",
        settings=wandb.Settings(**settings),
    )


def _read_figures(bundle: Path, content: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Every PNG of the bundle with its alt text."""
    import wandb

    figures = {}
    for path in _list_files(bundle, content, ".png"):
        alt = path.with_suffix(".txt")
        caption = read_bytes(alt, bundle).decode().strip() if is_file(alt, bundle) else path.stem
        figures[fit_key("figures", path.stem, run_id)] = wandb.Image(str(path), caption=fit_text(caption, CAPTION))
    return figures


def _read_tables(bundle: Path, content: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Every table of the bundle, its cells as text: what a W&B table shows is what the page shows."""
    import wandb

    tables = {}
    for path in _list_files(bundle, content, ".csv"):
        if path.parent.name == "tables":
            frame = pd.read_csv(
                io.BytesIO(read_bytes(path, bundle, limit=LARGEST_PART)), dtype=str, keep_default_na=False
            )
            frame = frame.map(lambda cell: fit_text(cell, VALUE))
            tables[fit_key("tables", path.stem, run_id)] = wandb.Table(columns=list(frame.columns), dataframe=frame)
    return tables


def _list_files(bundle: Path, content: dict[str, Any], suffix: str) -> list[Path]:
    """Those that are files inside the bundle: the client follows whatever it is given."""
    paths = [bundle / file["path"] for file in content["files"] if file["path"].endswith(suffix)]
    return [path for path in paths if is_file(path, bundle)]


def _pack(bundle: Path, name: str, content: dict[str, Any]) -> Any:
    """The artifact with the files that the manifest lists, and the manifest; nothing else that lies in the folder."""
    import wandb

    studies = [study["instance"] for study in content["studies"]]
    artifact = wandb.Artifact(fit_name(f"report-{name}"), type=ARTIFACT_TYPE, metadata={"studies": fit_value(studies)})
    for path in [bundle / MANIFEST, *_list_files(bundle, content, "")]:
        artifact.add_file(str(path), name=path.relative_to(bundle).as_posix())
    return artifact
