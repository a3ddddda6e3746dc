"""Whether a published report still follows from its records."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptexp.advice import advise
from gptexp.errors import GptexpError
from gptexp.files import LARGEST_PART, explain, read_bytes
from gptexp.processes import ALONE, Processes
from gptexp.report.build import make_report
from gptexp.report.bundle import MANIFEST, hash_content
from gptexp.report.document import BuiltReport
from gptexp.report.provenance import describe_makers
from gptexp.text import quote_words


@dataclass(frozen=True)
class CheckedReport:
    """A published report held against its records."""

    problems: list[str]
    """What no longer follows from them, one sentence each; none where all of it follows."""
    fresh: BuiltReport | None
    """The report made anew; None where it can't be."""


def check_report(
    name: str,
    *,
    runs_dir: Path,
    out: Path,
    studies: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    run_ids: Collection[str] | None = None,
    processes: Processes = ALONE,
) -> CheckedReport:
    """Hold the report in the folder `out` against the records under `runs_dir`.

    The report is made anew in memory and compared file by file. Where neither studies nor scales are named, those count
    that the published one was made with. The other arguments are those of `make_report`.

    Raises:
        GptexpError: `out` holds no such report, or it can't be made anew.
    """
    manifest = _read_manifest(out, name, runs_dir)
    chosen = manifest.get("selection") or {}
    if studies is None and scales is None:
        studies, scales = chosen.get("studies"), chosen.get("scales")
    try:
        report = make_report(
            name, runs_dir=runs_dir, studies=studies, scales=scales, run_ids=run_ids, processes=processes
        )
    except GptexpError as error:
        return CheckedReport([f"it can't be made anew: {error}"], None)
    fresh = report.files
    published = {str(entry["path"]): str(entry["sha256"]) for entry in manifest["files"]}
    problems = [problem for path, digest in sorted(published.items()) if (problem := _check_file(out, path, digest))]
    changed = [
        path for path, content in fresh.items() if path in published and hash_content(content) != published[path]
    ]
    # The page and the texts first: they say more than a picture.
    problems += [f"{path} would be another from today's records" for path in sorted(changed)]
    problems += [f"{path} is no longer part of it" for path in sorted(published.keys() - fresh.keys())]
    problems += [f"{path} is missing from it" for path in sorted(fresh.keys() - published.keys() - {MANIFEST})]
    if not problems and hash_content(fresh[MANIFEST]) != hash_content(read_bytes(out / MANIFEST, out)):
        problems.append(f"{MANIFEST} would be another from today's records")
    return CheckedReport([*_compare_makers(manifest), *problems] if problems else [], report)


def _check_file(out: Path, path: str, digest: str) -> str | None:
    try:
        content = read_bytes(out / path, out, limit=LARGEST_PART)
    except FileNotFoundError:
        return f"{path} is gone"
    except OSError as error:
        return f"{path} can't be read: {explain(error)}"
    return None if hash_content(content) == digest else f"{path} was changed after it was published"


def _compare_makers(manifest: dict[str, Any]) -> list[str]:
    """A sentence for every package of another version than the published report was made with."""
    return [
        f"it was made with {package} {manifest.get(package)}, and this is {package} {version}"
        for package, version in describe_makers().items()
        if manifest.get(package) != version
    ]


def _read_manifest(out: Path, name: str, runs_dir: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(read_bytes(out / MANIFEST, out))
        made = manifest["report"]
        known = [(entry["path"], entry["sha256"]) for entry in manifest["files"]]
    except PermissionError as error:
        raise GptexpError(f"{out / MANIFEST} can't be read: {explain(error)}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        command = advise(quote_words(["gptexp", "report", name, "--out", str(out)]), runs_dir)
        raise GptexpError(f"{out} holds no published report to check; {command} makes one") from None
    if made != name or not known:
        raise GptexpError(f"{out} holds the report {made!r}, not {name!r}; name its folder with --out")
    return dict(manifest)
