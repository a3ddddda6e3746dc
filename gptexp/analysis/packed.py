"""Records in a form small enough to commit: one file of runs, and their logs in Parquet.

A packed folder holds `runs.json` (of every run what its folder says beside its log: config, result, provenance,
memberships, and where it is mirrored), `steps.parquet`, `evals.parquet`, `samples.parquet`, `events.parquet`, and
`loaders.json` (val losses that were measured with weights, which are not packed). What reads run folders reads it too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.analysis.run_folders import PACKED as RUNS
from gptexp.analysis.run_folders import RunFolder
from gptexp.errors import GptexpError
from gptexp.files import write_atomic
from gptexp.records import decode_floats, encode_floats
from gptexp.text import hide_paths_in
from gptexp.tracking.places import publish_config, publish_member
from gptexp.tracking.run_dir import RESULT_TEXTS

if TYPE_CHECKING:
    import pandas as pd

LOADERS = "loaders.json"
LOGS = ("steps", "evals", "samples", "events")
FORMAT = 1


def write_packed(
    path: Path,
    folders: Sequence[RunFolder],
    logs: Mapping[str, pd.DataFrame],
    loaders: Mapping[str, dict[str, Any]],
) -> None:
    """Pack runs into a folder, in place of those that it holds. The same records give the same bytes.

    Args:
        logs: the frames of `LOGS`, of these runs only.
        loaders: `gptexp.report.loaders.Estimates` as plain data, by run id.

    Raises:
        DiskError: it could not be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    for name in LOGS:
        data = logs[name].to_parquet(None, engine="pyarrow", compression="zstd", compression_level=12, index=False)
        write_atomic(path / f"{name}.parquet", data)
    write_atomic(path / LOADERS, _write(dict(sorted(loaders.items()))))
    rows = [_describe(folder) for folder in sorted(folders, key=lambda folder: folder.run_id)]
    write_atomic(path / RUNS, _write({"format": FORMAT, "runs": rows}))


def read_packed(path: Path, run_ids: Collection[str] | None = None) -> list[RunFolder]:
    """The runs of a packed folder (or those in `run_ids`), by run id.

    Raises:
        GptexpError: it is damaged, or was packed by a newer gptexp.
    """
    try:
        content = json.loads((path / RUNS).read_bytes())
        if content["format"] != FORMAT:
            raise GptexpError(f"{path} was packed by another gptexp (format {content['format']}); use that one")
        folders = [_restore(path, row) for row in content["runs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from None
    return [folder for folder in folders if run_ids is None or folder.run_id in run_ids]


def read_packed_logs(path: Path, run_ids: Collection[str] | None = None) -> dict[str, pd.DataFrame]:
    """The frames of `LOGS` of a packed folder, of all runs or of those in `run_ids`.

    Raises:
        GptexpError: it is damaged.
    """
    try:
        logs = {name: _read_log(path / f"{name}.parquet") for name in LOGS}
        if run_ids is None:
            return logs
        return {name: log[log["run_id"].isin(list(run_ids))].reset_index(drop=True) for name, log in logs.items()}
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> GptexpError:
    return GptexpError(f"the packed records in {path} are damaged ({error}); get them again")


def read_loaders(path: Path) -> dict[str, dict[str, Any]]:
    """What `write_packed` was given as `loaders`; empty where there is nothing readable."""
    try:
        content = json.loads((path / LOADERS).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_log(path: Path) -> pd.DataFrame:
    """A log with the types that `gptexp.analysis.frames` gives it: texts are objects, None where there is none."""
    import pandas as pd

    log = pd.read_parquet(path, engine="pyarrow")
    for name in log.columns.drop("run_id"):
        if not (pd.api.types.is_numeric_dtype(log[name]) or pd.api.types.is_bool_dtype(log[name])):
            texts = log[name].astype(object)
            log[name] = texts.where(texts.notna(), None)
    return log


def _describe(folder: RunFolder) -> dict[str, Any]:
    row = dataclasses.asdict(folder)
    del row["path"]
    row["result"] = encode_floats(row["result"])
    # What is published says what was done, not where on somebody's disk.
    for name in ("provenance", "problems", "result"):
        row[name] = hide_paths_in(row[name])
    row["members"] = [publish_member(member) for member in row["members"]]
    row["config"] = publish_config(row["config"])
    return row


def _restore(path: Path, row: dict[str, Any]) -> RunFolder:
    result = row["result"]
    row = {**row, "result": decode_floats(result, text=RESULT_TEXTS) if result else None}
    return RunFolder(path=path / row["run_id"], **row)


def _write(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n"
