"""Arms are what they say: a corpus or a seed of their own counts, and two of them are never one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gptexp.cli.comparison_table import print_comparison
from gptexp.cli.plan_notes import note_plan
from gptexp.cli.plan_table import print_plan
from gptexp.cli.run_pack import pack_command
from gptexp.comparisons.validity import find_limits
from gptexp.errors import GptexpError
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from gptexp.studies.execute import execute
from gptexp.studies.plan import PlannedRun, plan_runs
from gptexp.studies.request import StudyRequest, make_requests
from gptexp.studies.scales import SCALES
from gptexp.studies.study import Arm, Study
from tests.studies.tiny import TINY

Settings = dict[str, Any]


@pytest.fixture
def other_corpus(tiny_corpus: Path) -> Path:
    """Another text, as long as the tiny corpus."""
    path = tiny_corpus.with_name("other.txt")
    path.write_text(tiny_corpus.read_text().replace("Ada", "Zoe"))
    return path


def plan(
    tmp_path: Path,
    *arms: Settings,
    seeds: int = 1,
    overrides: Settings | None = None,
    corpus: Path | None = None,
    **study: Any,
) -> list[PlannedRun]:
    """Plan a study of arms a, b, ... with these settings."""
    made = tuple(Arm(chr(97 + place), f"arm {chr(97 + place)}", settings) for place, settings in enumerate(arms))
    study["settings"] = {**TINY, **study.get("settings", {})}
    request = StudyRequest(
        Study("tiny", "?", "", "", made, **study), SCALES["quick"], seeds, overrides or {}, corpus and str(corpus)
    )
    return plan_runs([request], tmp_path / "runs")


def test_one_arm_is_planned_and_the_study_stays_what_it_is(tmp_path: Path, tiny_corpus: Path) -> None:
    """Of the arms that are named the runs are those of the whole study, entered under the same definition."""
    study = Study("tiny", "?", "", "", tuple(Arm(f"lr-{k}", f"lr {k}", {"lr": 1e-3 * k}) for k in (1, 2, 3)), TINY)
    request = StudyRequest(study, SCALES["quick"], 2, corpus=str(tiny_corpus))
    whole = plan_runs([request], tmp_path / "runs")
    some = plan_runs([replace(request, only=("lr-3", "lr-1"))], tmp_path / "runs")
    assert [(item.arm.name, item.seed) for item in some] == [
        (name, seed) for seed in (1337, 1338) for name in ("lr-1", "lr-3")
    ]
    ids = {(item.arm.name, item.seed): (item.run.run_id, item.member()["definition"]) for item in whole}
    assert all(ids[item.arm.name, item.seed] == (item.run.run_id, item.member()["definition"]) for item in some)


def test_arms_are_chosen_by_name() -> None:
    """Or by label. A name that no study has is refused, and so is a study without any arm of those names."""
    requests = make_requests(["lr-ablation", "clipping"], "quick", None, {}, None, ["constant_6e-4", "no clipping"])
    assert [request.only for request in requests] == [("constant-6e-4",), ("no-clip",)]
    with pytest.raises(GptexpError, match=r"no arm 'constant-5e-4' in lr-ablation; did you mean constant-6e-4"):
        make_requests(["lr-ablation"], "quick", None, {}, None, ["constant-5e-4"])
    with pytest.raises(GptexpError, match="study clipping has none of the arms that --arm names; leave the study out"):
        make_requests(["lr-ablation", "clipping"], "quick", None, {}, None, ["constant-6e-4"])


def names(planned: list[PlannedRun]) -> list[str]:
    return [item.run.content["corpus"]["name"] for item in planned]


def test_an_arm_learns_from_its_own_corpus(tmp_path: Path, tiny_corpus: Path, other_corpus: Path) -> None:
    """Arms over corpora are runs on different texts, and each job loads its own."""
    planned = plan(tmp_path, {"corpus": str(tiny_corpus)}, {"corpus": str(other_corpus)})
    assert names(planned) == ["tiny.txt", "other.txt"]
    assert len({item.run.run_id for item in planned}) == 2
    assert [item.job("test").corpus for item in planned] == [str(tiny_corpus), str(other_corpus)]
    assert any("different texts" in note for note in note_plan(planned))


def test_two_corpora_from_plan_to_pack(tmp_path: Path, tiny_corpus: Path, other_corpus: Path) -> None:
    """Two arms on two texts are two runs, trained on their own; records and packs say which text each of them had."""
    short = {"max_steps": 2, "sample_interval": None, "checkpoint_interval": 100}
    planned = plan(tmp_path, {"corpus": str(tiny_corpus)}, {"corpus": str(other_corpus)}, settings=short)
    for item in planned:
        item.run_dir.append_member(item.member())
        assert execute(item.job("test"), [], lambda: False, pytest.fail).outcome == "completed"
    folder = tmp_path / "runs"
    packed = CliRunner().invoke(pack_command, ["--runs-dir", str(folder), "--out", str(tmp_path / "pack")])
    assert packed.exit_code == 0, packed.output
    for place in (folder, tmp_path / "pack"):
        frames = load_frames(place)
        (study,) = select_studies(frames)
        assert {arm.name: list(arm.runs["corpus_name"]) for arm in study.arms} == {
            "a": ["tiny.txt"],
            "b": ["other.txt"],
        }
        assert study.runs["final_val_loss"].nunique() == 2
        assert find_limits(study)[0].startswith("The runs learn from different texts (arm a: tiny.txt; arm b: ")


def test_a_corpus_of_study_scale_and_command_line(tmp_path: Path, tiny_corpus: Path, other_corpus: Path) -> None:
    """A study's corpus counts, the scale's goes before it, the arm's before both, and --corpus before all."""
    mine, other = {"corpus": str(tiny_corpus)}, {"corpus": str(other_corpus)}
    assert names(plan(tmp_path, {}, settings=mine)) == ["tiny.txt"]
    assert names(plan(tmp_path, {}, settings=mine, scale_settings={"quick": other})) == ["other.txt"]
    assert names(plan(tmp_path, other, settings=mine)) == ["other.txt"]
    assert names(plan(tmp_path, mine, corpus=other_corpus)) == ["other.txt"]


def test_a_corpus_that_is_not_there_is_an_error(tmp_path: Path, tiny_corpus: Path) -> None:
    """An arm whose text can't be read stops the study before anything is trained."""
    with pytest.raises(GptexpError, match=r"gone\.txt"):
        plan(tmp_path, {"corpus": str(tiny_corpus)}, {"corpus": "gone.txt"})


def test_a_corpus_for_all_takes_away_what_sets_arms_apart(
    tmp_path: Path, tiny_corpus: Path, other_corpus: Path
) -> None:
    """--corpus on a study over corpora is refused as --set lr is on a study of learning rates."""
    arms: list[Settings] = [{"corpus": str(tiny_corpus)}, {"corpus": str(other_corpus)}]
    with pytest.raises(GptexpError, match="setting corpus would make the arms 'a' and 'b' of study 'tiny' the same"):
        plan(tmp_path, *arms, corpus=tiny_corpus)


def test_a_seed_of_an_arm_is_its_first(tmp_path: Path, tiny_corpus: Path) -> None:
    """An arm starts at its own seed, --seeds counts on from there, and the plan says that pairs are lost."""
    planned = plan(tmp_path, {"seed": 5, "lr": 1e-3}, {"lr": 2e-3}, seeds=2, corpus=tiny_corpus)
    assert [(item.arm.name, item.seed, item.run.config.seed) for item in planned] == [
        ("a", 5, 5),
        ("b", 1337, 1337),
        ("a", 6, 6),
        ("b", 1338, 1338),
    ]
    assert [item.member()["seed"] for item in planned] == [5, 1337, 6, 1338]
    assert any("only runs of the same seed are paired" in note for note in note_plan(planned))
    assert plan(tmp_path, {}, settings={"seed": 7}, corpus=tiny_corpus)[0].seed == 7


def test_an_arms_seed_is_part_of_its_study(tmp_path: Path, tiny_corpus: Path) -> None:
    """An edited seed of an arm makes another definition; that of a study without any stays as it was."""

    def define(*arms: Settings) -> str:
        return str(plan(tmp_path, *arms, corpus=tiny_corpus)[0].member()["definition"])

    assert define({"seed": 5}) != define({"seed": 6}) != define({})
    assert define({"n_layer": 1}) == "f9960c72b4bd", "or runs drop out of their studies"


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"schedule": "constant", "warmup_steps": 1}, {"schedule": "constant", "warmup_steps": 3}, "warmup_steps (1 a"),
        ({"schedule": "constant", "min_lr": 0.0}, {"schedule": "constant"}, "min_lr (0.0 and None"),
        ({"decay_steps": 2}, {"decay_steps": 3}, "decay_steps (2 and 3, since schedule=warmup-cosine has None"),
        ({"checkpoint_interval": 1}, {"checkpoint_interval": 2}, "checkpoint_interval (1 and 2"),
        ({"device": "auto"}, {"device": "cpu"}, "device ('auto' and 'cpu', since it comes to 'cpu'"),
        ({"min_lr": None}, {"min_lr": 3e-4}, "min_lr (None and 0.0003"),
        ({"corpus": "copy.txt"}, {"corpus": "tiny.txt"}, "corpus ('copy.txt' and 'tiny.txt', the same text"),
        ({"seed": 4}, {"seed": 5}, "seed (4 and 5, and with that many seeds each they meet"),
        ({"lr": 1e-3}, {"lr": 0.001}, "their settings are the same"),
        ({"outlier_at": 0.5}, {"outlier_at": 0.51}, "outlier_at (0.5 and 0.51, the same step of max_steps="),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_two_arms_are_never_one_run(
    tmp_path: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch, first: Settings, second: Settings, named: str
) -> None:
    """Refused before anything is trained: the fields in which the arms were meant to differ, and why they don't."""
    monkeypatch.chdir(tiny_corpus.parent)
    Path("copy.txt").write_bytes(tiny_corpus.read_bytes())
    with pytest.raises(GptexpError, match="the arms 'a' and 'b' of study 'tiny' are the same run") as caught:
        plan(tmp_path, first, second, seeds=2, settings={"corpus": "tiny.txt"})
    assert named in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_setting_that_decides_nothing_is_named(tmp_path: Path, tiny_corpus: Path) -> None:
    """An arm's warmup under a constant rate is said to be idle; what another arm uses is not."""
    arms: list[Settings] = [{"schedule": "constant", "warmup_steps": 3}, {"min_lr": 1e-4}]
    notes = note_plan(plan(tmp_path, *arms, settings={"decay_steps": 2}, corpus=tiny_corpus))
    assert notes == [
        "decay_steps=2 decides nothing, since schedule=constant has None there",
        "arm 'a': warmup_steps=3 decides nothing, since schedule=constant has 0 there",
    ]
    assert (
        note_plan(plan(tmp_path, {"schedule": "constant"}, {}, settings={"warmup_steps": 2}, corpus=tiny_corpus)) == []
    )


def test_arms_that_only_record_other_things_are_named(tmp_path: Path, tiny_corpus: Path) -> None:
    """Their losses are the same by construction; an arm that trains otherwise is none of them."""
    arms: list[Settings] = [{"sample_tokens": 3}, {"eval_steps": 1}, {"lr": 1e-4}]
    (windows,) = note_plan(plan(tmp_path, *arms, settings={"final_eval": "subset"}, corpus=tiny_corpus))
    assert windows.startswith("the arms are evaluated on different val windows")
    planned = plan(tmp_path, *arms, seeds=2, settings={"final_eval": "whole"}, corpus=tiny_corpus)
    assert [note for note in note_plan(planned) if note != windows] == [
        "the arms 'a', 'b' train alike and end at the same loss: they differ in eval_steps, sample_tokens, which "
        "decides only what is recorded"
    ]


def test_two_texts_of_one_name_are_told_apart(
    tmp_path: Path, tiny_corpus: Path, other_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the plan and in the table at the end, as on the page: with the first digits of their checksums."""
    folders = [tmp_path / name / "text.txt" for name in ("x", "y")]
    for path, text in zip(folders, (tiny_corpus, other_corpus), strict=True):
        path.parent.mkdir()
        path.write_text(text.read_text())
    planned = plan(tmp_path, *({"corpus": str(path)} for path in folders))
    names = [f"text.txt ({item.run.content['corpus']['checksum'][:8]})" for item in planned]
    print_plan(planned, 1)
    shown = capsys.readouterr().out
    assert [shown.count(name) for name in names] == [2, 2]
    print_comparison(planned, {})
    shown = capsys.readouterr().out
    assert [shown.count(name) for name in names] == [1, 1]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Arm(3, "a"), "name=3: expected text in quotes, found of type int"),
        (lambda: Arm("", "a"), "name='' is empty"),
        (lambda: Arm("a", " \n"), "label=' \\n' is empty"),
        (lambda: Arm("a", None), "label=None: expected text"),
        (lambda: Arm("a", "a", [("lr", 1)]), "settings=[('lr', 1)]: expected a mapping"),
        (lambda: Arm("a", "a", {"lr": {1}}), "lr={1} is of type set"),
        (lambda: Arm("a", "a", {"corpus": Path("x.txt")}), "is of type PosixPath, expected text"),
        (lambda: Arm("a", "a", {3: 1}), "3 is of type int, expected the name of a config field"),
        (lambda: Study("s", "?", "", "", Arm("a", "a")), "expected a tuple of Arm"),
        (lambda: Study("s", "?", "", "", ()), "needs arms"),
        (lambda: Study("s", "?", "", "", (Arm("a", "x y"), Arm("b", " x  y"))), "'a' and 'b' are both labelled"),
        (lambda: Study("", "?", "", "", (Arm("a", "a"),)), "name='' is empty"),
        (lambda: Study("s", None, "", "", (Arm("a", "a"),)), "question=None"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), seeds=0), "seeds=0: expected a whole number from 1"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), seeds=True), "seeds=True: expected a whole number"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), first_seed=-1), "first_seed=-1: expected a whole number"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), settings=[("lr", 1)]), "settings=[('lr', 1)]"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), scale_settings={"quick": 3}), "scale_settings of quick=3"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), scale_settings=3), "scale_settings=3"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), scale_settings={3: {}}), "unknown scales ['3']"),
        (lambda: Study("s", "?", "", "", (Arm("a", "a"),), {"seed": 2}, first_seed=3), "first seed twice"),
    ],
)
def test_a_study_file_is_checked_as_it_is_loaded(make: Any, named: str) -> None:
    """A value of the wrong type or out of its range is one sentence that names place and value."""
    with pytest.raises(GptexpError) as caught:
        make()
    assert named in str(caught.value)


def test_a_study_takes_a_list_of_arms_and_cleans_texts() -> None:
    """A list is as good as a tuple; control characters and surrogates never get into the records."""
    study = Study("s", "wh\x1by?", "", "", [Arm("a\nb", "l\udce9")])
    assert study.arms == (Arm("a\\nb", "l\ufffd"),)
    assert study.question == "wh\ufffdy?"


def test_arms_that_are_evaluated_on_other_windows_are_said_to_be(tmp_path: Path, tiny_corpus: Path) -> None:
    """Their lowest val losses are over other text; arms that only train on other batches need no word."""
    windows = plan(tmp_path, {"eval_steps": 1}, {"eval_steps": 2}, corpus=tiny_corpus)
    assert [note for note in note_plan(windows) if "different val windows" in note] != []
    context = plan(tmp_path, {"block_size": 8}, {"block_size": 16}, corpus=tiny_corpus)
    assert [note for note in note_plan(context) if "different val windows" in note] != []
    batches = plan(tmp_path, {"batch_size": 1}, {"batch_size": 8}, corpus=tiny_corpus)
    assert note_plan(batches) == []
