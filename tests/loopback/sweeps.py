"""Operations that `wandb sweep` and `wandb agent` need: a grid is walked once, whoever asks.

A trial whose run was marked as preemptible and did not end with exit code 0 is handed out again under its id, any other
is not. Source: https://docs.wandb.ai/models/runs/resuming#resume-preemptible-sweeps-runs
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import yaml

from tests.loopback.store import Offence, Store, StoredAgent, StoredSweep, StoredTrial
from tests.loopback.writing import Operation, Variables, describe_project


def upsert_sweep(store: Store, variables: Variables) -> dict[str, Any]:
    entity, project = variables.get("entityName") or store.entity, variables.get("projectName") or "uncategorized"
    name = f"sweep{store.number():03d}"
    config = yaml.safe_load(variables["config"])
    sweep = StoredSweep(entity, project, name, variables["config"], waiting=grid(config))
    store.sweeps[(entity, project, name)] = sweep
    answer = {"name": name, "project": describe_project(entity, project)}
    return {"upsertSweep": {"sweep": answer, "configValidationWarnings": []}}


def grid(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every point of a grid as the agent gets it, {key: {"value": ...}}; nested parameters are nested dicts.

    Raises:
        Offence: the method is no grid.
    """
    if config.get("method") != "grid":
        raise Offence(f"this server walks grids only, not {config.get('method')!r}")
    axes = {name: _values(parameter) for name, parameter in config["parameters"].items()}
    points = itertools.product(*axes.values())
    return [{name: {"value": value} for name, value in zip(axes, point, strict=True)} for point in points]


def _values(parameter: dict[str, Any]) -> list[Any]:
    if "parameters" in parameter:
        inner = {name: _values(content) for name, content in parameter["parameters"].items()}
        return [dict(zip(inner, point, strict=True)) for point in itertools.product(*inner.values())]
    return list(parameter["values"]) if "values" in parameter else [parameter["value"]]


def sweep_with_runs(store: Store, variables: Variables) -> dict[str, Any]:
    sweep = find_sweep(store, variables)
    answer = {
        "id": f"sweep:{sweep.name}",
        "name": sweep.name,
        "method": "grid",
        "state": sweep.state,
        "config": sweep.config,
        "runs": {"edges": []},
    }
    return {"project": {"sweep": answer}}


def find_sweep(store: Store, variables: Variables) -> StoredSweep:
    """Raises:
    Offence: there is no such sweep.
    """
    place = (
        variables.get("entity") or variables.get("entityName") or store.entity,
        variables.get("project") or variables.get("projectName") or "uncategorized",
        variables["sweep"],
    )
    if place not in store.sweeps:
        raise Offence(f"there is no sweep {place}")
    return store.sweeps[place]


def create_agent(store: Store, variables: Variables) -> dict[str, Any]:
    sweep = find_sweep(store, variables)
    agent = StoredAgent(f"agent-{store.number()}", sweep.name, variables["host"])
    store.agents[agent.name] = agent
    return {"createAgent": {"agent": {"id": agent.name}}}


def heartbeat(store: Store, variables: Variables) -> dict[str, Any]:
    """Take the agent's word on its runs, and give it one more, or the exit."""
    agent = store.agents.get(variables["id"])
    if agent is None:
        raise Offence(f"a heartbeat of the unknown agent {variables['id']}")
    agent.last_seen = time.time()
    (sweep,) = [sweep for sweep in store.sweeps.values() if sweep.name == agent.sweep]
    running = json.loads(variables["runState"] or "{}")
    for trial in sweep.trials:
        if trial.agent == agent.name and trial.state == "running" and trial.run_id not in running:
            end_trial(store, sweep, trial)
    commands: list[dict[str, Any]] = [
        {"type": "stop", "run_id": run_id} for run_id in running if run_id in sweep.stop_requests
    ]
    if not running:
        commands.append(next_command(store, sweep, agent))
    return {"agentHeartbeat": {"agent": {"id": agent.name}, "commands": json.dumps(commands)}}


def end_trial(store: Store, sweep: StoredSweep, trial: StoredTrial) -> None:
    """The agent doesn't report a trial any more: what its run says is how it ended."""
    run = store.runs.get((sweep.entity, sweep.project, trial.run_id))
    if run is not None and run.state == "running":
        run.state = "preempted" if run.preempting else "crashed"
    trial.state = run.state if run is not None else "crashed"


def next_command(store: Store, sweep: StoredSweep, agent: StoredAgent) -> dict[str, Any]:
    """The next point of the grid; then what was preempted, under its id; then the exit."""
    if sweep.state != "RUNNING":
        return {"type": "exit"}
    if sweep.waiting:
        trial = StoredTrial(sweep.waiting.pop(0), f"trial{store.number():03d}", agent.name)
        sweep.trials.append(trial)
        return {"type": "run", "run_id": trial.run_id, "program": "", "args": trial.args}
    for trial in sweep.trials:
        if trial.state == "preempted":
            trial.agent, trial.state = agent.name, "running"
            return {"type": "resume", "run_id": trial.run_id, "program": "", "args": trial.args}
    if all(trial.state == "finished" for trial in sweep.trials):
        sweep.state = "FINISHED"
    return {"type": "exit"}


def abandon(store: Store, agent_name: str) -> None:
    """The service has heard nothing of an agent for long: its trials are free again."""
    for sweep in store.sweeps.values():
        for trial in sweep.trials:
            if trial.agent == agent_name and trial.state == "running":
                end_trial(store, sweep, trial)


OPERATIONS: dict[str, Operation] = {
    "UpsertSweep": upsert_sweep,
    "SweepWithRuns": sweep_with_runs,
    "CreateAgent": create_agent,
    "Heartbeat": heartbeat,
}
