"""What Weights & Biases takes: how long each text may be, which characters it may have, and how ours are made to fit.

The client checks a part of it (a tag that is too long stops `wandb.init`), the server the rest (a name that is too long
is refused, and with it the run). What is shortened here is whole in the mirror's config, which is what is read back.
Lengths are counted in bytes of UTF-8: nothing says whether the server counts those or characters, and bytes fit both.

Sources: `wandb.sdk.wandb_settings` and `wandb.sdk.artifacts._validators` of the client 0.31 for tags, projects, ids and
artifacts; https://github.com/wandb/wandb/issues/6402 for job types; https://github.com/wandb/wandb/issues/4208 for what
the server says to a tag; https://github.com/NVIDIA-NeMo/Skills/issues/842 for names and groups;
https://docs.wandb.ai/models/track/limits for values.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from typing import Any

from gptexp.text import REPLACEMENT, clean_text

TAG = 64
JOB_TYPE = 64
NAME = 128
"""What a run is called on screen. Its group may be as long."""
GROUP = 128
PROJECT = 128
RUN_ID = 64
"""The server takes 128. The client puts an id into the names of artifacts, which leaves this."""
ARTIFACT = 128
NOTES = 10_000
CAPTION = 10_000
VALUE = 1_000_000
"""A text in a row or in a cell of a table. A row of more than about ten times this is dropped by the client."""

HASH_DIGITS = 8
UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
"""What the name of an artifact, an id or a key can't have."""
UNSAFE_IN_PROJECT = re.compile(f"[/\\\\#?%:\r\n\t{REPLACEMENT}]")
SURROGATE = re.compile("[\ud800-\udfff]")
LABEL_VARIABLES = ("WANDB_TAGS", "WANDB_NAME", "WANDB_NOTES", "WANDB_JOB_TYPE", "WANDB_RUN_GROUP")
"""Environment variables for what we set ourselves. The client stops at one that doesn't fit, needed or not."""


def fit_label(text: str | None, limit: int) -> str | None:
    """A name, group or job type in one line; None where nothing would stand there."""
    line = " ".join(clean_text(text or "").split())
    return _shorten(line, limit, line) or None


def fit_tags(texts: Iterable[str | None]) -> list[str]:
    """Tags, each once, without those that would be empty."""
    return list(dict.fromkeys(tag for text in texts if (tag := fit_label(text, TAG))))


def fit_name(text: str, limit: int = ARTIFACT) -> str:
    """An id, a key or the name of an artifact: two texts have two names, whatever had to go."""
    safe = UNSAFE.sub("-", text)
    if safe == text and 0 < len(safe) <= limit:
        return safe
    return _shorten(safe, limit, text, always=True)


def fit_project(text: str) -> str:
    """The project nearest to the one that was asked for."""
    safe = UNSAFE_IN_PROJECT.sub("-", clean_text(text).strip())
    return _shorten(safe, PROJECT, text)


def fit_key(prefix: str, text: str, run_id: str) -> str:
    """`prefix/text` as the key of a table or picture: the client names an artifact `run-ID-KEY` and a sum after it."""
    return f"{prefix}/{fit_name(text, ARTIFACT - len(f'run-{run_id}-{prefix}/') - HASH_DIGITS)}"


def fit_text(text: str, limit: int) -> str:
    """A long text, cut where it is too long, with a word on it."""
    whole = str(fit_value(text))
    if len(whole.encode()) <= limit:
        return whole
    note = f" … (cut for W&B, {len(text):,} characters)"
    return whole.encode()[: limit - len(note.encode())].decode(errors="ignore") + note


def fit_value(value: Any) -> Any:
    """Values of any depth without halves of surrogate pairs, which no encoding can hold."""
    if isinstance(value, str):
        return SURROGATE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {fit_value(key): fit_value(content) for key, content in value.items()}
    return [fit_value(content) for content in value] if isinstance(value, list | tuple) else value


def mend_environment() -> None:
    """Make this process's environment one that the client takes: without labels, and with a project that can be."""
    for name in LABEL_VARIABLES:
        os.environ.pop(name, None)
    if not os.environ.get("WANDB_SWEEP_ID"):
        # The run id is ours too, but for a trial of a sweep.
        os.environ.pop("WANDB_RUN_ID", None)
    if project := os.environ.get("WANDB_PROJECT"):
        os.environ["WANDB_PROJECT"] = fit_project(project)


def explain_client_error(error: BaseException) -> str:
    """What an error of the client says, in one line: pydantic's are pages, others have a trace behind them."""
    import pydantic

    if isinstance(error, pydantic.ValidationError):
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    else:
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = clean_text(text) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


def _shorten(text: str, limit: int, whole: str, *, always: bool = False) -> str:
    """`text` within the limit, with a hash of `whole` behind what is left of it."""
    encoded = text.encode()
    if len(encoded) <= limit and not always:
        return text
    digits = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    head = encoded[: limit - HASH_DIGITS - 1].decode(errors="ignore").rstrip(" -_.")
    return f"{head}-{digits}" if head else digits
