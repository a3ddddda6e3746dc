"""How long the service lets each text be, and what it refuses. As strict as the strictest report of it.

Lengths are bytes of UTF-8. A label that doesn't fit is an offence: gptexp makes labels fit before it sends them.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.loopback.store import Offence

LABELS = {"displayName": 128, "groupName": 128, "jobType": 64, "project": 128, "name": 128, "notes": 65_535}
"""Variables of UpsertBucket; `name` is the run's id."""
ARTIFACT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
ARTIFACT_TYPE = re.compile(r"[^/:]{1,128}")
IN_NO_PROJECT = set("/\\#?%:\r\n")
IN_NO_ID = set(":;,#?/'")
VALUE = 1_000_000
CONFIG = 10_000_000


def check_run(variables: dict[str, Any]) -> None:
    """Raises:
    Offence: a label, tag, id, project or the config of a run that the service would refuse.
    """
    for name, limit in LABELS.items():
        text = variables.get(name)
        if text is not None:
            _check_length(name, text, limit)
    for tag in variables.get("tags") or []:
        _check_length("tag", tag, 64)
        if not tag.strip():
            raise Offence("an empty tag")
    if IN_NO_PROJECT & set(variables.get("project") or ""):
        raise Offence(f"the project {variables['project']!r}")
    run_id = variables.get("name") or ""
    if not run_id.strip() or run_id != run_id.strip() or IN_NO_ID & set(run_id):
        raise Offence(f"the run id {run_id!r}")
    if len((variables.get("config") or "").encode()) > CONFIG:
        raise Offence("a config of more than 10 MB")


def _check_length(what: str, text: str, limit: int) -> None:
    if not 0 < len(text.encode()) <= limit:
        raise Offence(f"{what} of {len(text.encode())} bytes, not 1 to {limit}: {text[:80]!r}")
    if what != "notes" and re.search(r"[\x00-\x1f\x7f]", text):
        raise Offence(f"a control character in {what} {text[:80]!r}")


def check_artifact(given: dict[str, Any]) -> None:
    """Raises:
    Offence: a name, type or alias of an artifact that the service would refuse.
    """
    if not ARTIFACT_NAME.fullmatch(given["artifactCollectionName"]):
        raise Offence(f"the artifact name {given['artifactCollectionName']!r}")
    if not ARTIFACT_TYPE.fullmatch(given["artifactTypeName"]):
        raise Offence(f"the artifact type {given['artifactTypeName']!r}")
    if any(re.search("[/:]", alias["alias"]) for alias in given.get("aliases") or []):
        raise Offence(f"the aliases {given['aliases']}")
    if len(json.loads(given.get("metadata") or "{}")) > 100:
        raise Offence("more than 100 metadata keys")


def check_row(line: str) -> None:
    """Raises:
    Offence: a value of more than a megabyte, or a key that is too long.
    """
    for key, value in json.loads(line).items():
        if len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) > VALUE + 100:
            raise Offence(f"a value of more than 1 MB for {key}")
        if len(key.encode()) > 128:
            raise Offence(f"the key {key!r}")
