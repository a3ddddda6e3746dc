"""Study files and scales: each loads, and each runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.runs.listing import list_runs
from gptexp.studies.events import Notice, StepEvent
from gptexp.studies.launchers import LocalLauncher
from gptexp.studies.locate import find_files
from gptexp.studies.plan import plan_runs
from gptexp.studies.request import StudyRequest, make_requests
from gptexp.studies.runner import run_plan
from gptexp.studies.scales import SCALES
from gptexp.studies.study import Arm, Study, load_study
from gptexp.tracking.result import Result
from tests.studies.tiny import SMALLEST

STUDIES = [stem.replace("_", "-") for stem in find_files("experiments")]
SHRUNK = {**SMALLEST, "final_eval": "subset"}


class SilentView:
    """Shows nothing and keeps what went wrong."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def on_event(self, run_id: str, event: StepEvent | Notice) -> None:
        if isinstance(event, Notice):
            self.errors.append(event.message)

    def on_end(self, run_id: str, result: Result | None, error: str | None) -> None:
        if error:
            self.errors.append(error)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_fits_every_scale(name: str, scale: str) -> None:
    """Each arm of each study is a valid config at each scale, and says in its header what a reader must know."""
    study = load_study(name)
    assert study.name == name
    assert study.question
    assert study.hypothesis
    for arm in study.arms:
        study.config(arm, SCALES[scale], 0, {})
    header = find_files("experiments")[name.replace("-", "_")].read_text()
    for word in ("Question", "Hypothesis", "Source", "Command", "Time", "Expect"):
        assert f"\n{word}" in header


def shorten_arms(study: Study) -> Study:
    """Arms of lengths of their own have 1, 2, 3, ... steps in place of hundreds."""
    lengths = sorted({arm.settings["max_steps"] for arm in study.arms if "max_steps" in arm.settings})
    arms = [
        replace(arm, settings={**arm.settings, "max_steps": 1 + lengths.index(arm.settings["max_steps"])})
        if "max_steps" in arm.settings
        else arm
        for arm in study.arms
    ]
    return replace(study, arms=tuple(arms))


def test_every_study_runs_two_steps(tmp_path: Path, tiny_corpus: Path) -> None:
    """All arms of all studies, shrunk to two steps, end with a result; a second time nothing is left to do."""
    requests = []
    for name in STUDIES:
        study = shorten_arms(load_study(name))
        steps = {} if study.settings.get("max_steps") == 0 else {"max_steps": 2, "eval_interval": 1}
        varied = {key for arm in study.arms for key in arm.settings}
        settings = {key: value for key, value in {**SHRUNK, **steps}.items() if key not in varied}
        requests.append(StudyRequest(study, SCALES["quick"], 1, settings, str(tiny_corpus)))
    planned = plan_runs(requests, tmp_path)
    assert {item.status for item in planned} == {"new"}
    view = SilentView()
    results = run_plan(planned, LocalLauncher(1), view, command="test")
    assert view.errors == []
    assert {result.outcome for result in results.values() if result} == {"completed"}
    assert None not in results.values()
    again = plan_runs(requests, tmp_path)
    assert {item.status for item in again} == {"done"}
    shared = {item.run.run_id for item in planned}
    assert len(shared) < len(planned), "arms of two studies with the same config share the run"
    assert len(list(tmp_path.glob("*/result.json"))) == len(shared)


def list_run_ids(name: str, scale: str, folder: Path) -> dict[str, str]:
    """Arm -> run id of its first seed."""
    planned = plan_runs([StudyRequest(load_study(name), SCALES[scale], 1)], folder)
    return {item.arm.name: item.run.run_id for item in planned}


def test_studies_share_the_runs_that_they_have_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one study has trained the next one doesn't train again: the headers that say so are right."""
    rates = list_run_ids("lesson-rates", "lesson", tmp_path)
    ablation = list_run_ids("lr-ablation", "lesson", tmp_path)
    assert ablation.items() <= rates.items()
    clipping = list_run_ids("clipping", "lesson", tmp_path)
    assert (clipping["clip"], clipping["no-clip"]) == (rates["constant-6e-4"], rates["constant-6e-4-no-clip"])
    spikes, decay = (list_run_ids(name, "char", tmp_path) for name in ("natural-spikes", "warmup-by-decay"))
    assert (spikes["cold-clip"], spikes["warm-clip"]) == (decay["cosine"], decay["warmup-cosine"])
    crossed, ladder = (list_run_ids(name, "char", tmp_path) for name in ("lr-warmup-clip", "lr-ladder"))
    for rate in ("3e-4", "1e-3", "3e-3", "1e-2", "3e-2"):
        assert crossed[f"warm-clip-{rate}"] == ladder[f"warmup-{rate}"]
        assert crossed[f"cold-clip-{rate}"] == ladder[f"cold-{rate}"]
    assert spikes["cold-no-clip"] == crossed["cold-no-clip-1e-3"]


@pytest.mark.parametrize(("scale", "train_tokens"), [("char", 1_003_854), ("quick", 301_966), ("laptop", 301_966)])
def test_overfitting_trains_thirty_epochs_at_every_scale(scale: str, train_tokens: int) -> None:
    """Over TinyShakespeare, with an evaluation at the end of each epoch; the lesson's scale too, rounded to steps."""
    study = load_study("overfitting")
    for name in (scale, "lesson"):
        config = study.config(study.arms[0], SCALES[name], 1, {})
        tokens = train_tokens if name == scale else 301_966
        assert config.max_steps * config.tokens_per_step / tokens == pytest.approx(30, rel=0.005)
        assert config.max_steps == 30 * config.eval_interval


def test_arms_are_paired(tiny_corpus: Path, tmp_path: Path) -> None:
    """Seed k is the same for every arm, and --seeds N adds seeds without changing the first ones."""
    study = load_study("lr-ablation")

    def plan(seeds: int) -> dict[tuple[str, int], str]:
        request = StudyRequest(study, SCALES["quick"], seeds, SHRUNK, str(tiny_corpus))
        return {(item.arm.name, item.seed): item.run.run_id for item in plan_runs([request], tmp_path)}

    assert plan(1).items() <= plan(3).items()
    assert len(set(plan(3).values())) == 12


def test_an_unknown_study_or_scale_names_near_ones() -> None:
    """A typo is answered with what was probably meant."""
    with pytest.raises(GptexpError, match="did you mean lr-ablation"):
        load_study("lr-ablaton")


def test_a_study_file_with_a_mistake_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, line and error of a broken study; the user's own folder comes before the one that ships."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.py").write_text("x = 1\nSTUDY = undefined_name\n")
    (tmp_path / "experiments" / "lr_ablation.py").write_text(
        "from gptexp.studies.study import Arm, Study\nSTUDY = Study('lr-ablation', 'mine?', '', '', (Arm('a', 'a'),))\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GptexpError, match=r"mine.py, line 2: NameError"):
        load_study("mine")
    assert load_study("lr-ablation").question == "mine?"


def test_arms_need_distinct_names() -> None:
    """Two arms of one name could not be told apart in any table."""
    with pytest.raises(GptexpError, match="distinct names"):
        Study("x", "?", "", "", (Arm("a", "one"), Arm("a", "two")))


def test_an_edit_that_is_taken_back_counts_again(tmp_path: Path, tiny_corpus: Path) -> None:
    """A study edited from A to B and back to A is A again in every list, although all its runs were done before."""

    def ask(lr: float) -> list[str]:
        study = Study("edited", "?", "", "", (Arm("a", "a", {"lr": lr}),), settings={**SHRUNK, "max_steps": 1})
        planned = plan_runs([StudyRequest(study, SCALES["quick"], 1, {}, str(tiny_corpus))], tmp_path)
        run_plan(planned, LocalLauncher(1), SilentView(), command="test")
        return [item.run.run_id for item in planned]

    def listed() -> list[str]:
        return [row["run_id"] for row in list_runs(tmp_path, "edited")]

    first, second = ask(1e-3), ask(2e-3)
    assert listed() == second
    assert ask(1e-3) == first
    assert listed() == first
    lines = (tmp_path / first[0] / "members.jsonl").read_text().count("\n")
    ask(1e-3)
    assert (tmp_path / first[0] / "members.jsonl").read_text().count("\n") == lines


def test_what_sets_arms_apart_is_not_overridden(tmp_path: Path, tiny_corpus: Path) -> None:
    """--set lr=... on a study of learning rates would make its arms one run and its page a lie: refused by name."""
    request = StudyRequest(load_study("lr-ablation"), SCALES["quick"], 1, {**SHRUNK, "lr": 0.1}, str(tiny_corpus))
    with pytest.raises(GptexpError, match="setting lr would make the arms 'constant-6e-4' and 'constant-3e-4'"):
        plan_runs([request], tmp_path)


def test_a_typo_in_an_arm_names_the_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown field in a study file is found with study, arm and near names; a name that isn't the file's too."""
    (tmp_path / "experiments").mkdir()
    text = "from gptexp.studies.study import Arm, Study\nSTUDY = Study('{}', '?', '', '', (Arm('a', 'a', {}),))\n"
    (tmp_path / "experiments" / "heads.py").write_text(text.format("heads", "{'n_layr': 2}"))
    (tmp_path / "experiments" / "other.py").write_text(text.format("my heads", "{}"))
    monkeypatch.chdir(tmp_path)
    study = load_study("heads")
    with pytest.raises(
        GptexpError, match=r"study 'heads', arm 'a': 'n_layr' is not a config field; did you mean n_layer"
    ):
        study.config(study.arms[0], SCALES["quick"], 0, {})
    with pytest.raises(GptexpError, match="a study has the name of its file: 'other'"):
        load_study("other")


def test_a_file_may_be_named_as_its_study_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`my-study.py` is the study my-study, hides a shipped file of that name, and beside `my_study.py` it is one too
    many."""
    (tmp_path / "experiments").mkdir()
    text = "from gptexp.studies.study import Arm, Study\nSTUDY = Study('{}', 'mine?', '', '', (Arm('a', 'a'),))\n"
    (tmp_path / "experiments" / "my-study.py").write_text(text.format("my-study"))
    (tmp_path / "experiments" / "lr-ablation.py").write_text(text.format("lr-ablation"))
    monkeypatch.chdir(tmp_path)
    assert [load_study(name).name for name in ("my-study", "my_study")] == ["my-study"] * 2
    assert load_study("lr-ablation").question == "mine?"
    requests = make_requests(["my-study", "my_study"], "quick", None, {}, None)
    assert [request.study.name for request in requests] == ["my-study"], "asked for twice, planned once"
    (tmp_path / "experiments" / "my_study.py").write_text(text.format("my-study"))
    with pytest.raises(GptexpError, match=r"my-study\.py and .*my_study\.py are two files of the study 'my-study'"):
        load_study("my-study")


def test_a_corpus_is_named_once() -> None:
    """--corpus and --set corpus that say two things are refused, not settled by a rule that nobody sees."""
    with pytest.raises(GptexpError, match=r"--corpus names 'a' and --set corpus names 'b'"):
        make_requests(["lr-ablation"], "quick", None, {"corpus": "b"}, "a")
    (request,) = make_requests(["lr-ablation"], "quick", None, {"corpus": "a"}, "a")
    assert (request.corpus, dict(request.overrides)) == ("a", {})


def test_the_seeds_of_a_study_are_its_own() -> None:
    """--set seed=... is refused with the two ways that there are, never dropped."""
    with pytest.raises(GptexpError, match=r"use --seeds N .* or gptexp train seed="):
        make_requests(["lr-ablation"], "quick", None, {"seed": 5}, None)
