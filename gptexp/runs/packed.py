"""Records in a form small enough to commit: one file of runs, and their logs in Parquet.

A packed folder holds `runs.json` (of every run what its folder says beside its log: config, result, provenance,
memberships, and where it is mirrored), `steps.parquet`, `evals.parquet`, `samples.parquet`, `events.parquet`,
`metrics.parquet` where a run recorded any, and `loaders.json` (val losses that were measured with weights, which are
not packed). What reads run folders reads it too. Columns and files that only a newer gptexp knows are passed over.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptexp.errors import GptexpError
from gptexp.identity import canonical_json
from gptexp.records import DEFAULTS, METRICS, decode_floats, encode_floats
from gptexp.runs.folder import RunFolder
from gptexp.runs.logs import RECORD_COLUMNS, TEXT_COLUMNS
from gptexp.runs.metric_rows import check_frame, join_frames
from gptexp.runs.pack_files import damaged_pack, dump, open_pack, write_pack
from gptexp.text import clean_text, clean_value, hide_paths_in
from gptexp.tracking.members import is_member
from gptexp.tracking.places import publish_config, publish_member
from gptexp.tracking.result import DONE, RESULT_TEXTS
from gptexp.tracking.run_dir import RUN_ID

if TYPE_CHECKING:
    import pandas as pd

LOADERS = "loaders.json"
LOGS = ("steps", "evals", "samples", "events", METRICS)
"""The frames of records."""
FORMAT = 1
MOST_ROWS = 10_000_000
"""Of a log: what a few hundred megabytes of memory hold."""
PARQUET_ERRORS = (OSError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError, MemoryError)
"""What reading a damaged Parquet file raises."""


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
        GptexpError: it could not be written, or is too large.
    """
    parts = {LOADERS: dump(dict(sorted(loaders.items()))).encode()}
    for name in LOGS:
        if name == METRICS and logs[name].empty:
            continue
        if len(logs[name]) > MOST_ROWS:
            raise GptexpError(f"{len(logs[name]):,} rows of {name}, and {MOST_ROWS:,} are the most; pack fewer studies")
        parts[f"{name}.parquet"] = logs[name].to_parquet(
            None, engine="pyarrow", compression="zstd", compression_level=12, index=False, write_page_checksum=True
        )
    rows = [_describe(folder) for folder in sorted(folders, key=lambda folder: folder.run_id)]
    write_pack(path, parts, {"format": FORMAT, "runs": rows})


def read_packed(path: Path, run_ids: Collection[str] | None = None) -> list[RunFolder]:
    """The runs of a packed folder (or those in `run_ids`), by run id.

    Raises:
        GptexpError: it is damaged, or was packed by a newer gptexp.
    """
    content = open_pack(path).content
    try:
        if content["format"] != FORMAT:
            raise GptexpError(f"{path} was packed by another gptexp (format {content['format']}); use that one")
        folders = [_restore(path, row) for row in content["runs"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_pack(path, error) from None
    return [folder for folder in folders if run_ids is None or folder.run_id in run_ids]


def read_packed_logs(path: Path, run_ids: Collection[str] | None = None) -> dict[str, pd.DataFrame]:
    """The frames of `LOGS` of a packed folder, of all runs or of those in `run_ids`.

    Raises:
        GptexpError: it is damaged.
    """
    pack = open_pack(path)
    logs = {}
    for name in LOGS:
        if name == METRICS and not pack.has(f"{name}.parquet"):
            logs[name] = join_frames([])
            continue
        data = pack.read(f"{name}.parquet")
        try:
            frame = _read_frame(data)
            logs[name] = check_frame(frame) if name == METRICS else _check_log(frame, name.removesuffix("s"))
        except PARQUET_ERRORS as error:
            raise damaged_pack(path, f"{name}.parquet: {' '.join(str(error).split())[:200]}") from None
    if run_ids is None:
        return logs
    return {name: log[log["run_id"].isin(list(run_ids))].reset_index(drop=True) for name, log in logs.items()}


def read_loaders(path: Path) -> dict[str, dict[str, Any]]:
    """What `write_packed` was given as `loaders`.

    Raises:
        GptexpError: the pack is damaged.
    """
    try:
        content = json.loads(open_pack(path).read(LOADERS))
    except (ValueError, RecursionError):
        raise damaged_pack(path, f"{LOADERS}: not JSON") from None
    return content if isinstance(content, dict) else {}


@dataclasses.dataclass(frozen=True)
class Joined:
    """Runs that join those of a packed folder."""

    packing: tuple[list[RunFolder], dict[str, pd.DataFrame], dict[str, dict[str, Any]]]
    """What `write_packed` takes after the path."""
    n_added: int
    n_replaced: int
    """Runs that the packed folder held, and that got further since."""
    n_kept: int
    """Runs that the packed folder held, and that stay as they are there."""


def join_packed(
    path: Path, folders: Sequence[RunFolder], logs: Mapping[str, pd.DataFrame], loaders: Mapping[str, dict[str, Any]]
) -> Joined:
    """These runs beside those that a packed folder holds.

    Of a run that is in both the one that came to its end counts, and of two that didn't the longer one. Else the packed
    one stays: pages cite it, and the same run has other last digits on another machine. Whoever asked for either asked
    for it.

    Args:
        logs, loaders: as for `write_packed`.

    Raises:
        GptexpError: the packed folder is damaged.
    """
    import pandas as pd

    held, new = {folder.run_id: folder for folder in read_packed(path)}, {folder.run_id: folder for folder in folders}
    held_logs = read_packed_logs(path)
    reached, held_reached = _find_reached(new, logs["steps"]), _find_reached(held, held_logs["steps"])
    kept = {run_id for run_id in held if run_id not in new or reached[run_id] <= held_reached[run_id]}
    chosen = {**held, **{run_id: folder for run_id, folder in new.items() if run_id not in kept}}
    in_both = held.keys() & new.keys()
    for run_id in in_both:
        members = [publish_member(member) for one in (held, new) for member in one[run_id].members]
        distinct = {canonical_json(member): member for member in members}
        chosen[run_id] = dataclasses.replace(chosen[run_id], members=list(distinct.values()))
    both = {}
    for name in LOGS:
        old, added = held_logs[name], logs[name]
        parts = [old[old["run_id"].isin(kept)], added[~added["run_id"].isin(kept)]]
        # An empty log knows no types of its columns.
        joined = pd.concat([part for part in parts if len(part)] or parts[1:])
        both[name] = joined.sort_values("run_id", kind="stable", ignore_index=True)
    estimates = {run_id: found for run_id, found in read_loaders(path).items() if run_id in kept}
    estimates |= {run_id: found for run_id, found in loaders.items() if run_id not in kept}
    return Joined(
        (list(chosen.values()), both, estimates),
        n_added=len(new.keys() - in_both),
        n_replaced=len(in_both - kept),
        n_kept=len(in_both & kept),
    )


def _find_reached(folders: Mapping[str, RunFolder], steps: pd.DataFrame) -> dict[str, float]:
    """Run id -> how far it got: infinity if it came to its end (completed or diverged), else its last recorded step."""
    last = steps.groupby("run_id")["step"].max().to_dict()
    return {
        run_id: math.inf if (folder.result or {}).get("outcome") in DONE else float(last.get(run_id, 0))
        for run_id, folder in folders.items()
    }


def _read_frame(data: bytes) -> pd.DataFrame:
    """Raises: `PARQUET_ERRORS`."""
    import pandas as pd
    import pyarrow.parquet as pq

    # A page of a single value that is repeated takes a few bytes, whatever it unpacks to.
    rows = pq.ParquetFile(io.BytesIO(data)).metadata.num_rows
    if rows > MOST_ROWS:
        raise ValueError(f"{rows:,} rows, and {MOST_ROWS:,} are the most")
    return pd.read_parquet(io.BytesIO(data), engine="pyarrow", page_checksum_verification=True)


def _check_log(log: pd.DataFrame, kind: str) -> pd.DataFrame:
    """A log with the types that `gptexp.runs.frames` gives it: texts are objects, None where there is none.

    Raises: `PARQUET_ERRORS`.
    """
    import pandas as pd

    # What was added to records after they were packed.
    log = log.assign(**{name: value for name, value in DEFAULTS[kind].items() if name not in log.columns})
    columns = RECORD_COLUMNS[kind]
    if missing := {"run_id", *columns} - set(log.columns):
        raise ValueError(f"it has no column {min(missing)}")
    log = log[["run_id", *columns]]
    for name in columns:
        is_number = pd.api.types.is_numeric_dtype(log[name]) or pd.api.types.is_bool_dtype(log[name])
        if is_number == (name in TEXT_COLUMNS) and log[name].notna().any():
            raise ValueError(f"its column {name} holds {log[name].dtype}")
        if not is_number:
            texts = log[name].astype(object)
            clean = [clean_text(text) if isinstance(text, str) else None for text in texts]
            log[name] = pd.Series(clean, dtype=object, index=log.index)
    return log


def _describe(folder: RunFolder) -> dict[str, Any]:
    row = dataclasses.asdict(folder)
    del row["path"], row["log_sum"]
    row["result"] = encode_floats(row["result"])
    # What is published says what was done, not where on somebody's disk.
    for name in ("provenance", "problems", "result"):
        row[name] = hide_paths_in(row[name])
    row["members"] = [publish_member(member) for member in row["members"]]
    row["config"] = publish_config(row["config"])
    return row


def _restore(path: Path, row: dict[str, Any]) -> RunFolder:
    vocabulary, row = row["config"].get("tokenizer"), clean_value(row)
    row["config"] |= {"tokenizer": vocabulary} if isinstance(vocabulary, dict) else {}
    row["result"] = decode_floats(row["result"], text=RESULT_TEXTS) if row["result"] else None
    row["members"] = [member for member in row["members"] if is_member(member)]
    if not RUN_ID.fullmatch(row["run_id"]):
        raise ValueError(f"{str(row['run_id'])[:20]!r} is no run id")
    return RunFolder(path=path / row["run_id"], **row)
