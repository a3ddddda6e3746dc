"""The W&B server: its address, who is logged in, whether it answers, and whether this process is a trial of a sweep."""

from __future__ import annotations

import contextlib
import netrc
import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from gptexp.advice import advise
from gptexp.errors import GptexpError
from gptexp.paths import read_path

DEFAULT_URL = "https://api.wandb.ai"
QUIET_SETTINGS: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "save_code": False,
    # The stored command line and environment could hold secrets; provenance has what is needed.
    "x_disable_meta": True,
    "x_disable_stats": True,
    # The client would send the machine's name.
    "host": "",
    "init_timeout": 20,
}
"""How every W&B run of ours is opened: it says nothing on the terminal and stores nothing but what is logged."""
REPORT_KEY = "gptexp_report"
"""The config key that marks a W&B run as the log of a report."""
PROBE_S = 2.0
"""How long the server may take to say that it is there."""


def server_url() -> str:
    """The address of the server, without a slash at its end."""
    return (os.environ.get("WANDB_BASE_URL") or DEFAULT_URL).rstrip("/")


def server_name() -> str:
    """The server's host: its address could hold a password."""
    return urlparse(server_url()).hostname or "the server"


def server_place() -> str:
    """The server's host, with its port where the address names one."""
    return urlparse(server_url()).netloc.rpartition("@")[2] or "the server"


def is_logged_in() -> bool:
    """Whether an API key is at hand, in WANDB_API_KEY or the netrc file. The key itself is not looked at."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    # No file, no right to it, or no home to look in: nobody is logged in.
    with contextlib.suppress(OSError, ValueError, netrc.NetrcParseError, GptexpError):
        path = read_path(os.environ.get("NETRC", "~/.netrc"))
        entries = netrc.netrc(path).hosts
        # `wandb login` writes the port of an own server too.
        return server_name() in entries or server_place() in entries
    return False


def inside_sweep() -> bool:
    """Whether a W&B agent started this process: then one trial is one W&B run, and the agent chose its id."""
    return bool(sweep_id())


def sweep_id() -> str:
    """The id of the sweep whose agent started this process; empty where none did."""
    return os.environ.get("WANDB_SWEEP_ID", "")


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


def advise_sync(run_dir: str) -> str:
    """What to do about a mirror that has holes."""
    folder = Path(run_dir)
    return f"W&B lacks a part of this run: {advise(f'gptexp runs sync {folder.name}', folder.parent)} sends it later"
