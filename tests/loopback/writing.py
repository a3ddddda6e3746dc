"""Operations that `wandb.init`, `log`, `finish`, artifacts and `wandb sync` need."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.loopback.limits import check_artifact, check_row, check_run
from tests.loopback.store import Offence, Refusal, Store, StoredArtifact, StoredRun

Variables = dict[str, Any]
Operation = Callable[[Store, Variables], dict[str, Any]]


def viewer(store: Store, _: Variables) -> dict[str, Any]:
    user = {"id": "user-1", "entity": store.entity, "username": store.entity, "email": "", "flags": "{}"}
    return {"viewer": {**user, "name": store.entity, "admin": False, "teams": {"edges": []}}}


def server_features(_: Store, __: Variables) -> dict[str, Any]:
    return {"serverInfo": {"features": []}}


def organization(_: Store, __: Variables) -> dict[str, Any]:
    return {"entity": {"organization": {"coreWeaveOrganizationId": ""}}}


def upsert_bucket(store: Store, variables: Variables) -> dict[str, Any]:
    """Open a run, or change what is known about it.

    Raises:
        Refusal: labels, where this server takes none.
    """
    name = variables.get("name")
    if not name:
        raise Offence("UpsertBucket without a run id")
    check_run(variables)
    if store.refuses_labels and variables.get("tags"):
        raise Refusal(f"invalid tag '{variables['tags'][0]}'")
    place = (variables.get("entity") or store.entity, variables.get("project") or "uncategorized", name)
    inserted = place not in store.runs
    run = store.runs.setdefault(place, StoredRun(*place))
    if run.state != "running" or inserted:
        run.state, run.exit_code, run.preempting = "running", None, False
        run.starts += 1
    if variables.get("config"):
        run.config = json.loads(variables["config"])
    if variables.get("summaryMetrics"):
        run.summary = json.loads(variables["summaryMetrics"])
    for field, key in (
        ("display_name", "displayName"),
        ("group", "groupName"),
        ("job_type", "jobType"),
        ("notes", "notes"),
        ("tags", "tags"),
        ("sweep", "sweep"),
    ):
        if variables.get(key) is not None:
            setattr(run, field, variables[key])
    return {"upsertBucket": {"bucket": describe_bucket(run), "inserted": inserted}}


def describe_bucket(run: StoredRun) -> dict[str, Any]:
    return {
        "id": f"run:{run.entity}:{run.project}:{run.name}",
        "name": run.name,
        "displayName": run.display_name or run.name,
        "description": "",
        "config": json.dumps(run.config),
        "sweepName": run.sweep,
        "project": describe_project(run.entity, run.project),
        "historyLineCount": len(run.rows),
    }


def describe_project(entity: str, project: str) -> dict[str, Any]:
    return {"id": f"project:{project}", "name": project, "entity": {"id": f"entity:{entity}", "name": entity}}


def resume_status(store: Store, variables: Variables) -> dict[str, Any]:
    entity, project = variables.get("entity") or store.entity, variables.get("project") or "uncategorized"
    run = store.runs.get((entity, project, variables["name"]))
    bucket = None
    if run is not None:
        bucket = {
            "id": f"run:{entity}:{project}:{run.name}",
            "name": run.name,
            "displayName": run.display_name,
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0,
            "historyLineCount": len(run.rows),
            "eventsLineCount": len(run.events),
            "historyTail": json.dumps([json.dumps(row) for row in run.rows[-1:]]),
            "eventsTail": json.dumps(run.events[-1:]),
            "config": json.dumps(run.config),
            "tags": run.tags,
            "notes": run.notes,
            # Without "t" the client holds the run for one that never started.
            "wandbConfig": json.dumps({"t": 1}),
        }
    return {"model": {**describe_project(entity, project), "bucket": bucket}}


def create_run_files(store: Store, variables: Variables) -> dict[str, Any]:
    run = store.find_run(variables.get("entity"), variables.get("project"), variables["run"])
    files = [
        {"name": name, "uploadUrl": f"{store.base_url}/upload/run/{quote('/'.join(run.place))}/{quote(name)}"}
        for name in variables["files"]
    ]
    return {"createRunFiles": {"runID": run.name, "uploadHeaders": [], "files": files}}


def take_stream(store: Store, entity: str, project: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """One post to a run's file stream.

    Raises:
        Offence: an unknown run or file, or rows that don't fit.
    """
    run = store.find_run(entity, project, name)
    for file, chunk in (body.get("files") or {}).items():
        match file:
            case "wandb-history.jsonl":
                for line in chunk["content"]:
                    check_row(line)
                run.add_rows(chunk["offset"], chunk["content"])
            case "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
            case "wandb-events.jsonl" | "output.log":
                run.events += chunk["content"] if file == "wandb-events.jsonl" else []
            case _:
                raise Offence(f"run {name}: unknown stream {file!r}")
    run.preempting |= bool(body.get("preempting"))
    if body.get("complete"):
        run.exit_code = int(body.get("exitcode") or 0)
        run.state = "finished" if not run.exit_code else ("preempted" if run.preempting else "failed")
    return {"exitcode": None, "limits": {}, "stopped": run.stop_requested}


def digest_algorithm(_: Store, __: Variables) -> dict[str, Any]:
    return {"project": {"artifactType": None}}


def xxhash_enabled(_: Store, __: Variables) -> dict[str, Any]:
    return {"entity": {"xxhashDigestsEnabled": False}}


def create_artifact(store: Store, variables: Variables) -> dict[str, Any]:
    given = variables["input"]
    check_artifact(given)
    place = (given["entityName"], given["projectName"], given["artifactTypeName"], given["artifactCollectionName"])
    same = [item for item in _versions(store, place[3]) if item.digest == given["digest"]]
    if same:
        artifact = same[-1]
    else:
        aliases = [alias["alias"] for alias in given.get("aliases") or []]
        artifact = StoredArtifact(
            f"artifact-{store.number()}", *place, given["digest"], given.get("runName"), aliases, given.get("metadata")
        )
        artifact.description = given.get("description")
        store.artifacts[artifact.id] = artifact
    committed = [item for item in _versions(store, place[3]) if item.state == "COMMITTED"]
    latest = {"id": committed[-1].id} if committed else None
    answer = {"id": artifact.id, "state": artifact.state, "artifactSequence": {"latestArtifact": latest}}
    return {"createArtifact": {"artifact": answer}}


def artifact_type(store: Store, variables: Variables) -> dict[str, Any]:
    versions = _versions(store, variables["name"].partition(":")[0])
    found = {"artifactType": {"name": versions[-1].type}} if versions else None
    return {"project": {"artifact": found}}


def _versions(store: Store, collection: str) -> list[StoredArtifact]:
    return [item for item in store.artifacts.values() if item.collection == collection]


def create_manifest(store: Store, variables: Variables) -> dict[str, Any]:
    return {"createArtifactManifest": {"artifactManifest": _manifest(store, variables["artifactID"])}}


def update_manifest(store: Store, variables: Variables) -> dict[str, Any]:
    artifact_id = variables["artifactManifestID"].removeprefix("manifest:")
    return {"updateArtifactManifest": {"artifactManifest": _manifest(store, artifact_id)}}


def _manifest(store: Store, artifact_id: str) -> dict[str, Any]:
    if artifact_id not in store.artifacts:
        raise Offence(f"a manifest for the unknown artifact {artifact_id}")
    url = f"{store.base_url}/upload/manifest/{artifact_id}"
    return {
        "id": f"manifest:{artifact_id}",
        "file": {"id": f"file:{artifact_id}", "uploadUrl": url, "uploadHeaders": []},
    }


def create_artifact_files(store: Store, variables: Variables) -> dict[str, Any]:
    edges = []
    for spec in variables["input"]["artifactFiles"]:
        path = f"artifact/{spec['artifactID']}/{spec['name']}"
        node = {
            "storagePath": path,
            "uploadUrl": f"{store.base_url}/upload/{quote(path)}",
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": spec["artifactID"]},
        }
        edges.append({"node": node})
    return {"createArtifactFiles": {"files": {"edges": edges}}}


def commit_artifact(store: Store, variables: Variables) -> dict[str, Any]:
    """Commit a version; every file that its manifest lists must have come, with that content.

    Raises:
        Offence: a file is missing, or no manifest came.
    """
    artifact = store.artifacts[variables["artifactID"]]
    if not artifact.manifest:
        raise Offence(f"artifact {artifact.collection} is committed without a manifest")
    for name, entry in artifact.manifest["contents"].items():
        if "ref" not in entry and f"artifact/{artifact.id}/{name}" not in store.uploads:
            raise Offence(f"artifact {artifact.collection} is committed without its file {name}")
    artifact.state = "COMMITTED"
    return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}


def take_upload(store: Store, path: str, data: bytes) -> None:
    """A file put to an address that this server gave out.

    Raises:
        Offence: it gave out no such address.
    """
    kind, _, rest = path.partition("/")
    store.uploads[path] = data
    if kind == "manifest" and rest in store.artifacts:
        store.artifacts[rest].manifest = json.loads(data)
    elif kind == "run":
        entity, project, name, file = rest.split("/", 3)
        store.find_run(entity, project, name).files[file] = data
    elif kind != "artifact":
        raise Offence(f"an upload to {path}, which was never given out")


def read_key(header: str) -> str:
    """The API key of a basic Authorization header; empty where there is none."""
    kind, _, encoded = header.partition(" ")
    return base64.b64decode(encoded).decode().partition(":")[2] if kind == "Basic" else ""


OPERATIONS: dict[str, Operation] = {
    "Viewer": viewer,
    "ServerFeaturesQuery": server_features,
    "OrganizationCoreWeaveOrganizationID": organization,
    "UpsertBucket": upsert_bucket,
    "RunResumeStatus": resume_status,
    "CreateRunFiles": create_run_files,
    "FetchArtifactDigestAlgorithm": digest_algorithm,
    "XXHashDigestsEnabled": xxhash_enabled,
    "CreateArtifact": create_artifact,
    "ArtifactType": artifact_type,
    "CreateArtifactManifest": create_manifest,
    "UpdateArtifactManifest": update_manifest,
    "CreateArtifactFiles": create_artifact_files,
    "CommitArtifact": commit_artifact,
}
