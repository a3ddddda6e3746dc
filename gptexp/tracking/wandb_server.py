"""Whether the W&B server can be reached, and whether this process is a trial of a W&B sweep."""

from __future__ import annotations

import os
import threading
from urllib.parse import urlparse

DEFAULT_URL = "https://api.wandb.ai"


def server_url() -> str:
    """The address of the server, without a slash at its end."""
    return (os.environ.get("WANDB_BASE_URL") or DEFAULT_URL).rstrip("/")


def server_name() -> str:
    """The server's host: its address could hold a password."""
    return urlparse(server_url()).hostname or "the server"


def server_place() -> str:
    """The server's host, with its port where the address names one."""
    return urlparse(server_url()).netloc.rpartition("@")[2] or "the server"


def inside_sweep() -> bool:
    """Whether a W&B agent started this process: then one trial is one W&B run, and the agent chose its id."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def why_unreachable(timeout_s: float) -> str | None:
    """Why the server doesn't answer, or None if it does. The limit holds for the name look-up too."""
    answers: list[str | None] = []

    def ask() -> None:
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(f"{server_url()}/healthz", timeout=timeout_s):
                answers.append(None)
        except urllib.error.HTTPError as error:
            # Whatever its status, it is the server that answered; only its own failure counts.
            answers.append(f"HTTP {error.code}" if error.code >= 500 else None)
        except (OSError, ValueError) as error:
            answers.append(str(getattr(error, "reason", error)))
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers[0] if answers else f"no answer within {timeout_s:g} s"
