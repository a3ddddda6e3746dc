"""The W&B client as we begin runs with it: quietly, and without labels where those are what is refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from gptexp.mirrors.wandb_limits import explain_client_error, fit_project, mend_environment
from gptexp.mirrors.wandb_server import PROBE_S, why_unreachable

DEFAULT_PROJECT = "gptexp"


def choose_project(warn: Callable[[str], None] = lambda message: None) -> str:
    """The project that WANDB_PROJECT names, or the nearest to it that there can be."""
    asked = os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT
    project = fit_project(asked)
    if project != asked:
        warn(f"W&B can have no project {asked!r}, so {project!r} is the one")
    return project


def begin_run(arguments: dict[str, Any], labels: dict[str, Any], warn: Callable[[str], None]) -> Any:
    """`wandb.init`; once more without labels where it was refused with them.

    Args:
        arguments: what `wandb.init` needs.
        labels: what it may do without.

    Raises:
        Exception: of many types, when the client or the server does not take the run either way.
    """
    try:
        return _initialise({**arguments, **labels})
    except Exception as error:
        if arguments["mode"] == "online" and why_unreachable(PROBE_S) is not None:
            raise
        reason = explain_client_error(error)
    run = _initialise({**arguments, "name": arguments["id"]})
    warn(f"W&B did not take the name, group and tags of this run ({reason}); its mirror goes without them")
    return run


def _initialise(arguments: dict[str, Any]) -> Any:
    import wandb

    logging.getLogger("wandb").setLevel(logging.ERROR)
    mend_environment()
    try:
        # Logging an artifact asks the server something first: not for minutes, if it doesn't answer.
        wandb.setup(wandb.Settings(silent=True, x_graphql_retry_max=1, x_graphql_timeout_seconds=5))
        # The client writes into the settings that it is given.
        return wandb.init(**{**arguments, "settings": arguments["settings"].model_copy()})
    except Exception:
        # The client's service holds on to the id of a run that it couldn't open.
        wandb.teardown(exit_code=1)
        raise
