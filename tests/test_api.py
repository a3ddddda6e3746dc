"""The Python interface: what notebooks and scripts call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import gptexp
from gptexp.api import KINDS, load_records, load_runs, run_study
from gptexp.errors import GptexpError
from gptexp.runs.packed import LOGS
from tests.report.synthetic import lr_ablation, write_runs
from tests.studies.tiny import SMALLEST


def test_importing_gptexp_imports_no_pandas() -> None:
    """The three functions are looked up when somebody asks for them; another name is none."""
    code = "import sys, gptexp; assert not {'pandas', 'torch'} & sys.modules.keys(); print(gptexp.load_runs.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "load_runs\n"
    assert {"load_records", "load_runs", "run_study"} <= set(dir(gptexp))
    with pytest.raises(AttributeError, match="nothing"):
        _ = gptexp.nothing


def test_runs_and_records_have_their_places_first(tmp_path: Path) -> None:
    """One row per arm and seed with its final loss, and every kind of record with the arm that it belongs to."""
    write_runs(tmp_path, lr_ablation(2))
    runs = load_runs(tmp_path, studies=["lr-ablation"])
    assert list(runs.columns[:7]) == ["study", "scale", "variant", "arm", "label", "seed", "run_id"]
    assert len(runs) == runs[["arm", "seed"]].drop_duplicates().shape[0] == 8
    assert runs["final_val_loss"].notna().all()
    steps = load_records("steps", tmp_path)
    assert list(steps.columns[:8]) == ["study", "scale", "variant", "arm", "label", "seed", "run_id", "step"]
    assert set(steps["run_id"]) == set(runs["run_id"])
    assert steps.groupby("arm")["label"].nunique().eq(1).all()
    assert load_runs(tmp_path, studies=["clipping"]).empty
    assert load_records("evals", tmp_path, scales=["lesson"]).empty
    assert set(KINDS) == set(LOGS)


def test_what_can_not_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    """No such folder, and no such kind."""
    with pytest.raises(GptexpError, match="there is no folder"):
        load_runs(tmp_path / "nowhere")
    with pytest.raises(GptexpError, match="kind 'step'; did you mean steps"):
        load_records("step", tmp_path)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_study_is_trained_once(tmp_path: Path, tiny_corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows come back; asked again nothing is trained; quiet prints nothing."""
    chosen: dict[str, Any] = {"scale": "quick", "seeds": 2, "corpus": str(tiny_corpus), "runs_dir": tmp_path / "runs"}
    overrides = {**SMALLEST, "max_steps": 3}
    first = run_study("lr-ablation", overrides=overrides, quiet=True, **chosen)
    assert capsys.readouterr().out == ""
    assert (first["outcome"] == "completed").all()
    assert first[["arm", "seed"]].drop_duplicates().shape[0] == len(first) == 8
    again = run_study("lr-ablation", overrides=overrides, quiet=True, **chosen)
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"study": "lr-ablatoin"}, "did you mean lr-ablation"),
        ({"scale": "huge"}, "huge"),
        ({"overrides": {"lrr": 1}}, "lrr"),
        ({"overrides": {"seed": 3}}, "seeds=N"),
        ({"overrides": {"corpus": "a"}, "corpus": "b"}, "names 'b'"),
        ({"seeds": 0}, "seeds=0: expected a whole number from 1"),
        ({"jobs": -1}, "jobs=-1: expected a whole number from 1"),
        ({"until_step": 1.5}, "until_step=1.5: expected a whole number from 1"),
    ],
)
def test_what_can_not_be_run_is_one_sentence(tmp_path: Path, asked: dict[str, Any], sentence: str) -> None:
    """Said before anything is trained or written."""
    chosen = {"study": "lr-ablation", "scale": "quick", "runs_dir": tmp_path / "runs", **asked}
    with pytest.raises(GptexpError, match=sentence):
        run_study(**chosen)
    assert not (tmp_path / "runs").exists()
