"""Operations that `wandb.Api` needs to list runs and to scan their whole history.

The sampled histories (RunFullHistory, RunSampledHistory, SampledHistoryPage) are left out on purpose: a report that is
made from a sample is wrong, so asking for one is an offence.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from tests.loopback.store import Offence, Store, StoredRun
from tests.loopback.writing import Operation, Variables

FIELDS = {"name": "name", "group": "group", "jobType": "job_type", "tags": "tags", "state": "state"}
"""What a filter may speak of, and where a run holds it."""


def default_entity(store: Store, _: Variables) -> dict[str, Any]:
    return {"viewer": {"id": "user-1", "entity": store.entity}}


def list_runs(store: Store, variables: Variables) -> dict[str, Any]:
    """One page of a project's runs, oldest first; an unknown project is null, as the service has it.

    Raises:
        Offence: another order than the client's default, or a filter that this server doesn't know.
    """
    place = (variables["entity"], variables["project"])
    if all((run.entity, run.project) != place for run in store.runs.values()):
        return {"project": None}
    if variables.get("order") != "+created_at":
        raise Offence(f"runs are asked for in the order {variables.get('order')!r}")
    wanted = json.loads(variables.get("filters") or "{}")
    found = [run for run in store.runs.values() if (run.entity, run.project) == place and matches(run, wanted)]
    found.sort(key=lambda run: (run.created_at, run.name))
    start = int(variables.get("cursor") or 0)
    end = start + int(variables["perPage"])
    edges = [
        {"node": describe_run(run), "cursor": str(number)}
        for number, run in enumerate(found[start:end], start=start + 1)
    ]
    page = {"endCursor": edges[-1]["cursor"] if edges else None, "hasNextPage": end < len(found)}
    runs = {"edges": edges, "pageInfo": page}
    return {"project": {"internalId": "1", "runCount": len(found), "readOnly": False, "runs": runs}}


def matches(run: StoredRun, wanted: dict[str, Any]) -> bool:
    """Whether a run fits a filter: fields with a value, `$in` or `$regex`, all of which must hold, and `$and`, `$or`.

    Raises:
        Offence: the filter asks for something else.
    """
    return all(_holds(run, key, condition) for key, condition in wanted.items())


def _holds(run: StoredRun, key: str, condition: Any) -> bool:
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(matches(run, part) for part in condition)
    if key not in FIELDS:
        raise Offence(f"a filter on {key!r}")
    held = getattr(run, FIELDS[key])
    values = held if isinstance(held, list) else [held]
    match condition:
        case {"$in": list(choices), **rest} if not rest:
            return any(value in choices for value in values)
        case {"$regex": str(pattern), **rest} if not rest:
            return any(re.search(pattern, value) for value in values)
        case str():
            return condition in values
    raise Offence(f"a filter {key}: {condition!r}")


def describe_run(run: StoredRun) -> dict[str, Any]:
    """All that the client's fragments ask for."""
    return {
        "projectId": "1",
        "id": f"run:{run.entity}:{run.project}:{run.name}",
        "tags": run.tags,
        "name": run.name,
        "displayName": run.display_name or run.name,
        "sweepName": run.sweep,
        "state": run.state,
        "config": json.dumps(run.config),
        "group": run.group,
        "jobType": run.job_type,
        "commit": None,
        "readOnly": False,
        "createdAt": _iso(run.created_at),
        "heartbeatAt": _iso(run.heartbeat_at),
        "description": "",
        "notes": run.notes,
        "systemMetrics": "{}",
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.rows),
        "user": {"name": run.entity, "username": run.entity},
        "historyKeys": describe_keys(run),
    }


def _iso(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def describe_keys(run: StoredRun) -> dict[str, Any]:
    keys = {key: {"typeCounts": []} for row in run.rows for key in row}
    return {"lastStep": run.rows[-1]["_step"] if run.rows else -1, "keys": keys, "sets": []}


def one_run(store: Store, variables: Variables) -> dict[str, Any]:
    run = store.runs.get((variables["entity"], variables["project"], variables["name"]))
    return {"project": {"run": describe_run(run) if run else None}}


def history_keys(store: Store, variables: Variables) -> dict[str, Any]:
    run = store.find_run(variables["entity"], variables["project"], variables["name"])
    return {"project": {"run": {"historyKeys": describe_keys(run)}}}


def parquet_history(store: Store, variables: Variables) -> dict[str, Any]:
    """Nothing has been exported: all rows are live."""
    store.find_run(variables["entity"], variables["project"], variables["runName"])
    return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}


def history_page(store: Store, variables: Variables) -> dict[str, Any]:
    """The rows with minStep <= _step < maxStep.

    Raises:
        Offence: they don't fit on a page, so that the service would leave rows out.
    """
    run = store.find_run(variables["entity"], variables["project"], variables["run"])
    rows = [row for row in run.rows if variables["minStep"] <= row["_step"] < variables["maxStep"]]
    if len(rows) > variables["pageSize"]:
        raise Offence(f"a page of {variables['pageSize']} rows for {len(rows)}")
    return {"project": {"run": {"history": [json.dumps(row) for row in rows]}}}


OPERATIONS: dict[str, Operation] = {
    "GetDefaultEntity": default_entity,
    "Runs": list_runs,
    "Run": one_run,
    "RunHistoryKeys": history_keys,
    "RunParquetHistory": parquet_history,
    "HistoryPage": history_page,
}
