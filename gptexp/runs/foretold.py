"""Whether the predictions of a study were entered before a run of it began."""

from __future__ import annotations

from typing import Any

from gptexp.runs.folder import RunFolder
from gptexp.studies.prediction import hash_predictions


def tell_when_foretold(folder: RunFolder, member: dict[str, Any]) -> dict[str, str]:
    """`predictions`, `foretold` and `entered_at` of a membership that counts; all empty where it predicts nothing, or
    where the hash of its predictions isn't theirs.

    foretold: before, where they were entered before the run's first process began and stayed; changed, where there were
    some by then, and others at some time; after, where there were none.

    Args:
        member: one of the folder's, the newest of its place.
    """
    text = str(member.get("predictions") or "")
    if not text or member.get("prediction_hash") != hash_predictions(text):
        return {"predictions": "", "foretold": "", "entered_at": ""}
    places = ("study", "scale", "arm", "seed")
    lines = [line for line in folder.members if all(line[place] == member[place] for place in places)]
    lines.sort(key=lambda line: str(line["asked_at"]))
    others = [place for place, line in enumerate(lines) if line.get("predictions") != text]
    # What was entered, taken back and entered again counts from the last time on.
    since = lines[others[-1] + 1 if others else 0 :]
    entered_at = str(since[0]["asked_at"]) if since else str(member["asked_at"])
    begun = folder.started_at
    if begun and entered_at <= begun:
        foretold = "before"
    else:
        had_some = any(line.get("predictions") and str(line["asked_at"]) <= begun for line in lines)
        foretold = "changed" if had_some else "after"
    return {"predictions": text, "foretold": foretold, "entered_at": entered_at}
