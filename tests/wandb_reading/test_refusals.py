"""What happens when W&B can't be read: patience where it helps, one sentence where it doesn't."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.runs import wandb_api
from tests.cli.conftest import Call, call
from tests.loopback import server as loopback
from tests.loopback.server import LoopbackServer
from tests.loopback.store import Store
from tests.loopback.writing import Operation, Variables
from tests.report.synthetic import lr_ablation, write_run
from tests.wandb_reading.conftest import Account
from tests.wandb_reading.project import mirror_run

__all__ = ["call"]


@pytest.fixture
def mirrored(account: Account, tmp_path: Path) -> str:
    """The id of a run of three pages that is in W&B."""
    run_id = write_run(tmp_path / "runs", lr_ablation(max_steps=2100)[0])
    mirror_run(account.server.store, tmp_path / "runs" / run_id)
    return run_id


def refuse_in_the_middle(monkeypatch: pytest.MonkeyPatch, server: LoopbackServer, n_times: int) -> Callable[[], int]:
    """Answer the second page of a history, then refuse so many requests with 429; returns a counter of pages."""
    answer, pages = loopback.OPERATIONS["HistoryPage"], []

    def page(store: Store, variables: Variables) -> dict[str, object]:
        pages.append(variables["minStep"])
        if len(pages) == 2:
            server.answer_429(n_times)
        return answer(store, variables)

    operation: Operation = page
    monkeypatch.setitem(loopback.OPERATIONS, "HistoryPage", operation)
    return lambda: len(pages)


@pytest.mark.slow
def test_a_rate_limit_is_waited_for_and_no_page_is_asked_twice(
    account: Account, mirrored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four refusals in the middle of a history: the view is told, and the reading goes on with the refused page."""
    count = refuse_in_the_middle(monkeypatch, account.server, 4)
    fetched = account.fetch()
    assert [seconds for seconds, _ in account.view.waits] == [1.0]
    assert "429" in account.view.waits[0][1]
    assert count() == 3
    steps = [json.loads(line) for line in (fetched.folder / mirrored / "records.jsonl").read_text().splitlines()]
    assert sum(record["kind"] == "step" for record in steps) == 2100


@pytest.mark.slow
def test_patience_ends_with_one_sentence(account: Account, mirrored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes on refusing: an error that says so, and no half run in the cache."""
    monkeypatch.setattr(wandb_api, "PATIENCE_S", 1.0)
    refuse_in_the_middle(monkeypatch, account.server, 100)
    with pytest.raises(GptexpError, match=r"refused for 1 s \(HTTP 429.*try again later"):
        account.fetch()
    account.server.too_many = 0
    fetched = account.fetch()
    assert fetched.run_ids == {mirrored}
    assert account.view.rows[mirrored] == (2108, 2108)


def test_requests_that_cannot_be_met_are_one_sentence(
    account: Account, mirrored: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such project, a filter that nothing fits, two places at once, a filter without a place: exit status 2."""
    for words, options in {
        "no W&B project tester/nothing": ["--from", "wandb:tester/nothing"],
        "fit tag zip": ["--from", "wandb:tester/studies", "--tag", "zip"],
        "no place to read from": ["--from", "tester/studies"],
        "two places": ["--from", "wandb:tester/studies", "--runs-dir", "runs"],
        "add --from": ["--group", "a"],
    }.items():
        reply = call("report", *options, "--out", str(tmp_path / "page"))
        (sentence,) = reply.sentences()
        assert reply.status == 2
        assert words in sentence
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WANDB_API_KEY", None, "wandb login"),
        ("WANDB_API_KEY", "f" * 40, "refused the API key"),
        ("WANDB_BASE_URL", "http://127.0.0.1:9", "out of reach"),
    ],
)
def test_who_cannot_log_in_is_told_what_to_do(
    account: Account,
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    words: str,
) -> None:
    """Nobody logged in, a wrong key, no server: one sentence, exit status 2, and never a prompt."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv(variable)
    if value:
        monkeypatch.setenv(variable, value)
    reply = call("report", "--from", "wandb:tester/studies", "--out", str(tmp_path / "page"))
    (sentence,) = reply.sentences()
    assert reply.status == 2
    assert words in sentence
