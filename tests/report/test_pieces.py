"""Pieces to paste hold what the figure shows and what its data say, in numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gptexp.report.document import BuiltExhibit
from gptexp.report.exhibits import Content
from gptexp.report.figures.canvas import Drawing
from gptexp.report.make import build_exhibit
from gptexp.report.pieces.wide import write_wide
from gptexp.report.tables import Table
from gptexp.runs.frames import load_frames
from gptexp.runs.study_runs import select_studies
from tests.report.every_exhibit import make_contents
from tests.report.lesson_runs import clipping, lesson_runs
from tests.report.synthetic import Run, write_runs

Made = dict[str, tuple[Content, BuiltExhibit]]
NAMED = {"loss-curves", "lr-schedules", "lr-ladder", "gradient-norm", "norm-distribution", "clip-spike", "scissors"}
"""Figures of which every curve has a name and stands in the data."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Every figure and table of the lesson's studies, two seeds of clipping among them."""
    folder = tmp_path_factory.mktemp("pieces")
    write_runs(folder, [*(run for run in lesson_runs() if run.study != "clipping"), *clipping(seeds=2)])
    found: Made = {}
    for study in select_studies(load_frames(folder)):
        for kind, content in make_contents(study).items():
            slug = f"{study.name}-{kind}"
            if isinstance(content, Drawing | Table):
                found[slug] = content, build_exhibit(slug, content, study.key)
    return found


def read_file(exhibit: BuiltExhibit, ending: str) -> str:
    (text,) = (str(file.content) for file in exhibit.files if file.path == f"pieces/{exhibit.slug}{ending}")
    return text


def read_component(exhibit: BuiltExhibit) -> dict[str, Any]:
    found = re.search(r"^export const (?:figure|table): \w+ = (.*);$", read_file(exhibit, ".tsx"), re.MULTILINE)
    assert found
    component: dict[str, Any] = json.loads(found[1])
    return component


def test_every_point_that_is_read_out_stands_in_the_data(made: Made) -> None:
    """A curve that names a column of the CSV has a point that the column has, at its x, told as the CSV has it."""
    seen = set()
    for slug, (content, exhibit) in made.items():
        if not isinstance(content, Drawing):
            continue
        figure = read_component(exhibit)
        kind = next((kind for kind in NAMED if slug.endswith(kind)), None)
        if kind:
            seen.add(kind)
            assert figure["curves"], slug
            assert all(curve["what"] for curve in figure["curves"]), slug
            # One line that all arms share has no name.
            assert len(figure["curves"]) == 1 or all(curve["name"] for curve in figure["curves"]), slug
        for curve in figure["curves"]:
            column = curve["what"].replace(" ", "_")
            if column in content.data and figure["panels"][curve["panel"]]["yLabel"]:
                known = {float(f"{value:.6g}") for value in content.data[column].dropna()}
                assert known & {point[1] for point in curve["points"]}, (slug, curve["name"])
    assert seen >= NAMED - {"lr-ladder"}


def test_curves_have_the_labels_and_runs_of_their_arms(made: Made) -> None:
    """The legend's names; of one seed the run, of several none."""
    figure = read_component(made["lr-ablation-loss-curves"][1])
    assert {curve["name"] for curve in figure["curves"]} == {
        *("constant 6e-4", "constant 3e-4", "constant 1e-5", "warmup + cosine")
    }
    assert all(re.fullmatch(r"[0-9a-f]{12}", curve["run"]) for curve in figure["curves"])
    several = read_component(made["clipping-loss-curves"][1])
    means = [curve for curve in several["curves"] if curve["what"].endswith("mean")]
    assert {curve["what"] for curve in means} == {"train loss smoothed mean", "val loss mean"}
    assert {curve["run"] for curve in means} == {""}
    assert {curve["what"] for curve in several["curves"] if curve not in means} <= {"train loss smoothed", "val loss"}


def test_arms_of_one_colour_are_told_apart(tmp_path: Path) -> None:
    """Beyond seven arms colours come again, with another dash: then the data name a curve."""
    arms = [Run(f"arm-{n}", f"label {n}", config={"lr": (n + 1) * 1e-4}, floor=3 + 0.1 * n) for n in range(9)]
    write_runs(tmp_path, arms)
    (study,) = select_studies(load_frames(tmp_path))
    content = make_contents(study, "loss-curves")["loss-curves"]
    names = {curve["name"] for curve in read_component(build_exhibit("x", content))["curves"]}
    assert {name[-1] for name in names} == {*"012345678"}
    assert len(names) == 9
    assert sum(name.startswith("arm-") for name in names) == 4


def test_arms_that_agree_everywhere_get_no_run(tmp_path: Path) -> None:
    """Two arms with the same losses: the legend names the curves, and no run is told that could be the other's."""
    arms = [Run(f"arm-{n}", f"label {n}", config={"lr": (n + 1) * 1e-4}) for n in range(2)]
    write_runs(tmp_path, arms)
    (study,) = select_studies(load_frames(tmp_path))
    study.steps["train_loss"] = 3.0 + 1 / study.steps["step"]
    curves = read_component(build_exhibit("x", make_contents(study, "loss-curves")["loss-curves"]))["curves"]
    train = [curve for curve in curves if curve["what"].startswith("train")]
    assert {curve["name"] for curve in train} == {"label 0", "label 1"}
    assert {curve["run"] for curve in train} == {""}


def test_rows_are_named_by_their_labels(made: Made) -> None:
    """A figure of rows: the label at the row, and what its legend calls the mark."""
    names = {curve["name"] for curve in read_component(made["initial-loss-initial-loss"][1])["curves"]}
    assert {"GPT-2 init", "GPT-2 init, predicted", "GPT-2 init, ln V"} <= names


def test_wide_data_are_the_long_ones(made: Made) -> None:
    """One row per step, one column per arm, each number that of the CSV; of several seeds their mean."""
    content, exhibit = made["clipping-loss-curves"]
    assert isinstance(content, Drawing)
    wide = json.loads(read_file(exhibit, "-wide.json"))
    assert wide["x"] == "step"
    assert {column["key"] for column in wide["columns"]} == {"clip", "no-clip", "clip-outlier", "no-clip-outlier"}
    frame = pd.DataFrame(wide["rows"]["val_loss"]).set_index("step")
    assert frame.index.is_unique
    long = content.data.dropna(subset=["val_loss"])
    assert len(frame) == long["step"].nunique() > 3
    for (step, arm), rows in long.groupby(["step", "arm"]):
        assert len(rows) == 2
        assert frame.loc[step, arm] == pytest.approx(rows["val_loss"].mean(), rel=1e-12)
    single, one = made["lr-ablation-loss-curves"]
    assert isinstance(single, Drawing)
    losses = pd.DataFrame(json.loads(read_file(one, "-wide.json"))["rows"]["train_loss"]).set_index("step")
    for _, row in single.data.dropna(subset=["train_loss"]).iterrows():
        if row["step"] in losses.index:
            assert losses.loc[row["step"], row["arm"]] == row["train_loss"]


def test_a_step_that_not_all_seeds_reached_has_no_mean(made: Made) -> None:
    """A seed that diverged or stopped must not move the mean of its arm."""
    content, _ = made["clipping-loss-curves"]
    assert isinstance(content, Drawing)
    data = content.data.drop(columns=[name for name in content.data if "_mean" in str(name)])
    last = data["step"].max()
    short = data[~((data["arm"] == "clip") & (data["seed"] == 2) & (data["step"] == last))]
    text = write_wide(Drawing("x", "t", "c", "d", short, (), content.draw), [])
    assert text
    rows = json.loads(text)["rows"]["val_loss"]
    assert rows[-1]["step"] == last
    assert rows[-1]["clip"] is None
    assert np.isfinite(rows[-1]["no-clip"])


def test_tables_have_every_cell(made: Made) -> None:
    """Columns, texts, details and marks of the page's table."""
    tables = [(content, exhibit) for content, exhibit in made.values() if isinstance(content, Table)]
    assert len(tables) > 5
    for content, exhibit in tables:
        table = read_component(exhibit)
        assert [column["heading"] for column in table["columns"]] == [column.heading for column in content.columns]
        assert [[(cell["text"], cell["detail"], cell["mark"]) for cell in row] for row in table["rows"]] == [
            [(cell.text, cell.detail, cell.mark) for cell in row] for row in content.rows
        ]


def test_no_text_ends_its_script(made: Made) -> None:
    """A label with markup stays a text, in a component and in an embed."""
    content, _ = made["lr-ablation-results"]
    assert isinstance(content, Table)
    hostile = Table(
        "x", "</script><script>alert(1)</script>", "{1+1}`${2}`", content.columns, content.rows, content.data, ()
    )
    exhibit = build_exhibit("x", hostile)
    assert read_component(exhibit)["title"] == hostile.title
    assert "<script>alert" not in read_file(exhibit, ".tsx")
    assert "<script>alert" not in read_file(exhibit, ".html")
