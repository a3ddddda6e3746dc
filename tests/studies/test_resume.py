"""A checkpoint counts only with the log that it was saved with, whatever became of either."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gptexp.names import OPTIMIZERS
from gptexp.studies.execute import execute
from gptexp.studies.job import Job
from gptexp.studies.plan import find_status
from gptexp.studies.results import report_failure
from gptexp.tracking.run_dir import RunDir
from gptexp.tracking.run_log import RunLog
from gptexp.tracking.verify import verify_run
from gptexp.training.checkpoint import list_checkpoints
from tests.packages import install_package
from tests.studies.tiny import make_job, read_untimed, run_tiny, write_corpus

CHANGES = {"max_steps": 6, "checkpoint_interval": 2, "eval_interval": 3, "sample_interval": None}

PLAIN_SGD = {"optimizer": "sgd", "beta1": 0.0}
"""It remembers nothing between steps."""


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped after step 5, and what it records when nothing disturbs it."""

    job: Job
    records: list[dict[str, Any]]

    @property
    def run_dir(self) -> RunDir:
        return RunDir(Path(self.job.run_dir))

    def copy(self, to: Path) -> Stopped:
        shutil.copytree(self.run_dir.path, to / self.job.run_id)
        return Stopped(Job(**{**vars(self.job), "run_dir": str(to / self.job.run_id)}), self.records)

    def go_on(self) -> list[str]:
        """Start it again; it has to end with the undisturbed records. Returns what it warned of."""
        warnings: list[str] = []
        assert execute(self.job, [], lambda: False, warnings.append).outcome == "completed"
        assert read_untimed(self.run_dir.path) == self.records
        assert verify_run(self.run_dir).word == "sound"
        return warnings


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    write_corpus(path)
    return path


@pytest.fixture(scope="module")
def original(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    folder = tmp_path_factory.mktemp("runs")
    _, records = run_tiny(folder / "calm", corpus, **CHANGES)
    job = make_job(folder / "stopped", corpus, **CHANGES)
    asked = iter([False] * 4 + [True])
    assert execute(job, [], lambda: next(asked, False), pytest.fail).last_step == 5
    return Stopped(job, records)


@pytest.fixture
def stopped(original: Stopped, tmp_path: Path) -> Stopped:
    return original.copy(tmp_path)


@pytest.mark.parametrize("changes", [*({"optimizer": name} for name in OPTIMIZERS.names()), PLAIN_SGD], ids=str)
def test_every_optimizer_goes_on_to_the_bit(corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Stopped after step 5 and started again, a run ends with the records and the weights of an undisturbed one."""
    job = make_job(tmp_path / "calm", corpus, **CHANGES, **changes)
    asked = iter([False] * 4 + [True])
    stopped = Job(**{**vars(job), "run_dir": str(tmp_path / "stopped" / job.run_id)})
    assert execute(job, [], lambda: False, pytest.fail).outcome == "completed"
    assert execute(stopped, [], lambda: next(asked, False), pytest.fail).last_step == 5
    assert execute(stopped, [], lambda: False, pytest.fail).outcome == "completed"
    assert read_untimed(Path(stopped.run_dir)) == read_untimed(Path(job.run_dir))
    calm, again = (list_checkpoints(RunDir(Path(each.run_dir)).checkpoints)[0] for each in (job, stopped))
    assert (again / "model.safetensors").read_bytes() == (calm / "model.safetensors").read_bytes()


def test_an_optimizer_of_another_package_trains_and_goes_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of model and config is enough: the engine sets its rate, clips, saves its memory and goes on."""
    source = (
        "import torch\ndef build(model, config):\n    return torch.optim.RMSprop(model.parameters(), lr=config.lr)\n"
    )
    entries = "[gptexp.optimizers]\nrmsprop = slow_steps_of_a_test:build\n"
    install_package(tmp_path, "slow-steps", entries, {"slow_steps_of_a_test": source})
    monkeypatch.syspath_prepend(tmp_path)
    test_every_optimizer_goes_on_to_the_bit(corpus, tmp_path, {"optimizer": "rmsprop"})


def edit_state(change: Callable[[dict[str, Any]], Any]) -> Callable[[RunDir], None]:
    """Change the newest checkpoint's state.json, its checksum taken away: an older gptexp could have written it."""

    def damage(run_dir: RunDir) -> None:
        path = list_checkpoints(run_dir.checkpoints)[0] / "state.json"
        content = json.loads(path.read_text())
        content.pop("seal")
        change(content)
        path.write_text(json.dumps(content))

    return damage


def old_size(n_bytes: object) -> Callable[[RunDir], None]:
    return edit_state(lambda content: content.update(state={"records_bytes": n_bytes}))


def cut_middle(run_dir: RunDir) -> None:
    lines = run_dir.records.read_bytes().splitlines(keepends=True)
    run_dir.records.write_bytes(b"".join(lines[:3] + lines[4:]))


def flip(run_dir: RunDir) -> None:
    data = bytearray(run_dir.records.read_bytes())
    place = data.index(b'"train_loss": ') + 16
    data[place] = ord("1") if data[place] != ord("1") else ord("2")
    run_dir.records.write_bytes(data)


def overwrite(run_dir: RunDir, what: bytes) -> None:
    data = run_dir.records.read_bytes()
    run_dir.records.write_bytes(data[: len(data) // 2] + what)


DAMAGES: dict[str, Callable[[RunDir], None]] = {
    "lost log": lambda run_dir: run_dir.records.unlink(),
    "empty log": lambda run_dir: run_dir.records.write_bytes(b""),
    "half a log": lambda run_dir: overwrite(run_dir, b""),
    "NULs behind half a log": lambda run_dir: overwrite(run_dir, b"\0" * 5000),
    "a line less": cut_middle,
    "a flipped digit": flip,
    "records_bytes too small": old_size(700),
    "records_bytes huge": old_size(900_000_000_000),
    "records_bytes negative": old_size(-1),
    "records_bytes no number": old_size("many"),
    "records_bytes true": old_size(True),
    "records_bytes missing": edit_state(lambda content: content.update(state={})),
    "no state": edit_state(lambda content: content.pop("state")),
    "another step": edit_state(lambda content: content.update(step=3)),
    "step is text": edit_state(lambda content: content.update(step="5")),
    "no checksums": edit_state(lambda content: content.pop("checksums")),
    "other files": edit_state(lambda content: content["checksums"].update({"../../config.json": "0" * 64})),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_weights_are_never_gone_on_from_with_another_log(stopped: Stopped, damage: Callable[[RunDir], None]) -> None:
    """Whatever is damaged, the run ends with the records of an undisturbed one, and says from where it went on."""
    damage(stopped.run_dir)
    (warning,) = stopped.go_on()
    assert "step-00000005 can't be gone on from" in warning
    assert "training goes on from step" in warning


def test_a_renamed_checkpoint_is_another_step(stopped: Stopped) -> None:
    """Its folder's name, its state and the records have to say the same step."""
    newest = list_checkpoints(stopped.run_dir.checkpoints)[0]
    newest.rename(newest.with_name("step-00000006"))
    (warning,) = stopped.go_on()
    assert "it is of step 5" in warning


@pytest.mark.parametrize("name", ["step-foo", "step-", "step-0x10", "step-1e3", "step-٣"])
def test_folders_of_other_names_are_no_checkpoints(stopped: Stopped, name: str) -> None:
    """Something that merely begins like a checkpoint stops nothing and stays."""
    (stopped.run_dir.checkpoints / name).mkdir()
    assert stopped.go_on() == []
    assert (stopped.run_dir.checkpoints / name).is_dir()


def test_checkpoints_without_the_checksum_of_their_log_are_gone_on_from(stopped: Stopped) -> None:
    """Those of older versions name the size of the log alone; what can be checked of them is."""
    for path in list_checkpoints(stopped.run_dir.checkpoints):
        state = path / "state.json"
        content = json.loads(state.read_text())
        content.pop("seal")
        content["state"] = {"records_bytes": content["state"]["records"]["n_bytes"]}
        state.write_text(json.dumps(content))
    assert stopped.go_on() == []


def test_no_checkpoint_is_left_that_the_records_do_not_reach(stopped: Stopped) -> None:
    """After starting again, a second interruption goes on from a checkpoint of the new records, not an older one's."""
    stopped.run_dir.records.unlink()
    asked = iter([False] * 2 + [True])
    result = execute(stopped.job, [], lambda: next(asked, False), lambda message: None)
    assert result.last_step == 3
    assert [path.name for path in list_checkpoints(stopped.run_dir.checkpoints)] == ["step-00000003", "step-00000002"]
    assert stopped.go_on() == []


def test_the_plan_knows_from_where_a_run_goes_on(stopped: Stopped) -> None:
    """What the plan says is what the run does."""
    assert find_status(stopped.run_dir, 6)[2] == 5
    stopped.run_dir.records.unlink()
    assert find_status(stopped.run_dir, 6)[2] == 0


@pytest.mark.parametrize("keep_bytes", [-1, 4, 6, 10**12])
def test_a_log_is_never_cut_to_what_it_does_not_hold(tmp_path: Path, keep_bytes: int) -> None:
    """Beyond the end, below zero, in the middle of a line: refused, and the file is as it was."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"{...}")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"no .* bytes of whole lines"):
        RunLog(path, keep_bytes=keep_bytes)
    assert path.read_bytes() == before


def test_a_run_that_goes_on_has_no_result_meanwhile(stopped: Stopped) -> None:
    """Its old `interrupted` would speak of other records; the seconds that it took are kept."""
    first = stopped.run_dir.read_result()
    seen = []

    def look() -> bool:
        seen.append(stopped.run_dir.read_result())
        return False

    second = execute(stopped.job, [], look, lambda message: None)
    assert seen == [None]
    assert first is not None
    assert second.duration_s > first.duration_s


def test_a_result_that_counts_is_not_overwritten_with_a_failure(stopped: Stopped) -> None:
    """A worker that dies after its result.json has not failed, whatever its parent was told."""
    done = execute(stopped.job, [], lambda: False, lambda message: None)
    assert report_failure(stopped.job, "its process was killed") == done
    assert stopped.run_dir.read_result() == done


def test_a_done_run_with_a_damaged_result_needs_no_training(stopped: Stopped) -> None:
    """The weights of its last step are enough to write the same result again."""
    done = execute(stopped.job, [], lambda: False, lambda message: None)
    path = stopped.run_dir.path / "result.json"
    path.write_text(path.read_text().replace('"best_val_step": ', '"best_val_step": 1'))
    assert not stopped.run_dir.is_done()
    assert find_status(stopped.run_dir, 6)[::2] == ("damaged", 6)
    again = execute(stopped.job, [], lambda: False, pytest.fail)
    assert again.final_val_loss == done.final_val_loss
    assert read_untimed(stopped.run_dir.path) == stopped.records
