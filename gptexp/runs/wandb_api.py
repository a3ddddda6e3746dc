"""The W&B client, as far as reading needs it: the runs of a project and their whole histories, with patience.

The client repeats a request that was refused (rate limit, server error) a few times by itself, heeding Retry-After.
What is refused after that is tried again here, later and later, while the reader is told.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gptexp.errors import GptexpError
from gptexp.files import make_folder
from gptexp.mirrors.wandb import is_logged_in
from gptexp.mirrors.wandb_limits import explain_client_error, mend_environment
from gptexp.mirrors.wandb_server import server_name, why_unreachable

PAGE_RUNS = 50
PAGE_ROWS = 1000
"""Rows per request: what the client's own `scan_history` takes."""
PATIENCE_S = 180.0
"""How long to go on after the first refusal."""
LONGEST_PAUSE_S = 60.0
"""Between two attempts; the pauses start at a second and double."""
PROBE_S = 10.0
"""How long the server may take to say that it is there."""
PASSING = re.compile(
    r"\b(?:429|50[0-9])\b|giving up after|timed? ?out|did not respond|connection re(?:fused|set)", re.I
)
"""What errors say that may be gone a little later."""
TIMEOUT_S = 300
"""How long one answer may take, the client's own attempts among it."""

ANOTHER_KEY = "`wandb login --relogin` stores another one; WANDB_API_KEY, where it is set, comes first"
"""What to do about a key that is refused."""

Answer = TypeVar("Answer")


class View(Protocol):
    """Shows how the reading goes."""

    def on_listed(self, n_runs: int) -> None:
        """So many runs are listed by now."""

    def on_rows(self, run_id: str, done: int, of: int) -> None:
        """So many rows of a run's history have come."""

    def on_wait(self, seconds: float, reason: str) -> None:
        """The server refused; the next attempt is in so many seconds."""


class Reader:
    """Reads one project. Every method raises GptexpError, one sentence, when W&B refuses for good."""

    def __init__(self, entity: str | None, project: str, view: View) -> None:
        """Raises:
        GptexpError: nobody is logged in, the server is out of reach, or it refuses the key.
        """
        if not is_logged_in():
            raise GptexpError(
                "reading from W&B needs an account, and nobody is logged in: run `wandb login`, or set WANDB_API_KEY"
            )
        if (reason := why_unreachable(PROBE_S)) is not None:
            raise GptexpError(f"the W&B server {server_name()} is out of reach ({reason}); try again later")
        self._view = view
        self._project = project
        self._api = self._ask(_log_in)
        self.entity = entity or self._ask(lambda: str(self._api.default_entity))

    def find_runs(self, filters: dict[str, Any]) -> list[Any]:
        """The project's runs that fit the filters, with config and summary, oldest first."""
        runs = self._api.runs(f"{self.entity}/{self._project}", filters=filters, per_page=PAGE_RUNS, lazy=False)
        found: list[Any] = []
        while True:
            try:
                found.append(self._ask(lambda: runs[len(found)]))
            except IndexError:
                return found
            self._view.on_listed(len(found))

    def scan_history(self, run: Any, run_id: str, min_step: int, of: int) -> Iterator[dict[str, Any]]:
        """Every row from `_step` `min_step` on. A failure in the middle goes on where it was.

        Args:
            of: how many rows are expected, for the view.
        """
        scan = self._ask(lambda: run.scan_history(page_size=PAGE_ROWS, min_step=min_step))
        done = 0
        # A scan that failed hasn't moved: the next attempt asks for the same page.
        while (row := self._ask(lambda: next(scan, None))) is not None:
            done += 1
            self._view.on_rows(run_id, done, of)
            yield row

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """What `call` returns, after as many attempts as it takes.

        Raises:
            GptexpError: it failed for good, or for too long. IndexError: `call` raised it.
        """
        failing_since: float | None = None
        for attempt in itertools.count():
            try:
                return call()
            except (IndexError, GptexpError):
                raise
            except Exception as error:
                # Of many types: the client's own, and those of the libraries below it.
                reason = _shorten(error)
            if not PASSING.search(reason):
                raise GptexpError(self._explain(reason))
            failing_since = failing_since or time.monotonic()
            if time.monotonic() - failing_since > PATIENCE_S:
                break
            pause = min(LONGEST_PAUSE_S, 2.0**attempt)
            self._view.on_wait(pause, reason)
            time.sleep(pause)
        raise GptexpError(
            f"{server_name()} refused for {PATIENCE_S:g} s ({reason}); the runs that came are kept, so try again later"
        )

    def _explain(self, reason: str) -> str:
        if "could not find project" in reason.lower():
            place = f"{self.entity}/{self._project}"
            return f"there is no W&B project {place} on {server_name()}, or you may not see it; check its name"
        if re.search(r"\b40[13]\b|credentials|authenticat|permission", reason, re.IGNORECASE):
            return f"{server_name()} refused the API key ({reason}); {ANOTHER_KEY}"
        return f"W&B can't be read: {reason}"


def name_account() -> str:
    """The entity that the API key at hand belongs to, asked once, without patience.

    Raises:
        GptexpError: the server refused the key, or could not say; the sentence holds no key.
    """
    try:
        return str(_log_in().default_entity)
    except Exception as error:
        raise GptexpError(f"{server_name()}: {_shorten(error)}") from None


def _log_in() -> Any:
    """The client, which asks the server whose key it has.

    Raises:
        Exception: of many types.
    """
    import wandb

    # It reports what it tries again, and answers that came too late, on a terminal where nobody can do anything.
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    mend_environment()
    quiet = wandb.Settings(
        silent=True,
        # The client's own patience is half an hour, and it says nothing all the while.
        x_graphql_retry_max=2,
        x_graphql_retry_wait_min_seconds=1,
        x_graphql_retry_wait_max_seconds=30,
    )
    wandb.setup(quiet)
    return wandb.Api(timeout=TIMEOUT_S)


def _shorten(error: Exception) -> str:
    """An error in one line; of a request that the client repeated, what the server said to it."""
    is_form = type(error).__name__ == "ValidationError"
    text = explain_client_error(error) if is_form else " ".join(str(error).split()) or type(error).__name__
    text = text.rpartition("while retrying: ")[2]
    return text if len(text) <= 160 else f"{text[:160]}…"


@contextlib.contextmanager
def client_folder(path: Path) -> Iterator[None]:
    """Let the client make its folders below `path`: it makes one for every run that it lists, its name quoted."""
    before = os.environ.get("WANDB_DIR")
    make_folder(path)
    os.environ["WANDB_DIR"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["WANDB_DIR"]
        else:
            os.environ["WANDB_DIR"] = before
