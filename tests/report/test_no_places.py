"""Nothing that is published says whose machine it was made on, or where on its disk."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gptexp.report.build import build_report
from gptexp.runs.folders import current_members, read_run_folders
from gptexp.runs.frames import load_frames
from gptexp.runs.packed import LOGS, write_packed
from gptexp.runs.study_runs import select_studies
from gptexp.text import hide_paths
from gptexp.tracking.places import hide_source, publish_variant
from tests.report.synthetic import CORPUS, Run, write_runs

USER = "ottokar"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gptexp run x --corpus /home/me/c.txt --out ~/o", "gptexp run x --corpus c.txt --out o"),
        ("'--corpus=/home/me/my texts/c d.txt' --set lr=1", "'--corpus=c d.txt' --set lr=1"),
        ("/Users/me and /home/me", "~ and ~"),
        (r"C:\Users\me\c.txt", "c.txt"),
        ("file:///home/me/c.txt", "file://~/c.txt"),
        ("../../me/c.txt ./runs /root/c.txt", "c.txt runs c.txt"),
        ("/srv/people/ottokar and /srv/people/ottokar/texts/c.txt", "~ and c.txt"),
        ("/scratch/ottokar", "~"),
        ("https://example.org/home/me", "https://example.org/home/me"),
        ("and/or, 1/2, n/a, data/c.txt, ln V + n/2", "and/or, 1/2, n/a, data/c.txt, ln V + n/2"),
    ],
)
def test_paths_lose_their_folders(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a path the last part stays, of a home `~`; addresses, fractions and relative paths stay whole."""
    monkeypatch.setenv("HOME", f"/srv/people/{USER}")
    assert hide_paths(text) == shown


def test_a_source_with_spaces() -> None:
    """Where a corpus comes from ends with its name, whatever its folders are called."""
    assert hide_source("the file /data/my stuff/ottokar/c d.txt") == "the file c d.txt"
    assert hide_source("the documentation text inside CPython 3.11.7") == "the documentation text inside CPython 3.11.7"


def test_published_variants_stay_apart_and_stay_the_same() -> None:
    """Two files of one name are two variants; a published variant is published as it is."""
    one, other = ({"corpus": f"/home/{user}/c.txt"} for user in ("a", "b"))
    assert publish_variant(one) != publish_variant(other)
    assert publish_variant(publish_variant(one)) == publish_variant(one)
    assert publish_variant({"corpus": "data/c.txt", "n_layer": 2}) == {"corpus": "data/c.txt", "n_layer": 2}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "people" / USER
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USER", USER)
    return folder


def write_studies(home: Path, runs_dir: Path) -> None:
    """Two arms over a corpus in a home folder, and the same study over another file of that name."""
    for place in ("texts of mine", "other"):
        path = str(home / place / "c.txt")
        corpus = {**CORPUS, "name": "c.txt", "source": f"the file {path}", "checksum": place.replace(" ", "")}
        about = {"variant": {"corpus": path}, "corpus": corpus, "question": f"What does {path} teach?"}
        runs = [Run(arm, f"{arm} of {path}", 1, {"max_steps": 20}, 3 + len(place) / 99, **about) for arm in "ab"]
        for run_id in write_runs(runs_dir, runs):
            folder = runs_dir / run_id
            command = f"gptexp run x --corpus '{path}' --runs-dir {runs_dir}"
            (folder / "provenance.jsonl").write_text(json.dumps({"command": command}) + "\n")
            result = json.loads((folder / "result.json").read_text())
            result["outcome_detail"] = f"No space left on device: '{path}'"
            (folder / "result.json").write_text(json.dumps(result))


def read_everything(folder: Path) -> str:
    """Every byte of a folder as text, Parquet unpacked, and the names of its files."""
    texts = []
    for path in sorted(folder.rglob("*.*")):
        texts.append(str(path.relative_to(folder)))
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            texts += [frame.to_csv(), str(frame.attrs)]
        texts.append(path.read_bytes().decode("utf-8", errors="replace"))
    return "\n".join(texts)


def test_no_home_in_page_pack_and_manifest(home: Path, tmp_path: Path) -> None:
    """Neither the home folder nor its owner stands in any byte, and the page of the pack is the page of the runs."""
    runs_dir = home / "runs"
    write_studies(home, runs_dir)
    frames = load_frames(runs_dir)
    run_ids = {run_id for one in select_studies(frames) for run_id in one.run_ids}
    assert len(run_ids) == 4
    folders, _ = read_run_folders(runs_dir, run_ids)
    write_packed(tmp_path / "pack", folders, {name: getattr(frames, name) for name in LOGS}, {})
    for source, name in ((runs_dir, "page"), (tmp_path / "pack", "again")):
        build_report(None, runs_dir=source, out=tmp_path / name)
    for name in ("pack", "page", "again"):
        text = read_everything(tmp_path / name)
        assert USER not in text, name
        assert str(tmp_path) not in text, name
    page = (tmp_path / "page" / "index.html").read_text()
    assert "--corpus c.txt --seeds 1" in page
    assert (tmp_path / "again" / "index.html").read_text() == page


def test_a_mark_only_where_names_clash(home: Path, tmp_path: Path) -> None:
    """A lone corpus goes by its name; of two with the same one each has a mark, from folders and from a pack alike."""
    write_studies(home, tmp_path / "runs")
    folders, _ = read_run_folders(tmp_path / "runs")
    both = {row["variant"]["corpus"] for row in current_members(folders)}
    assert len(both) == 2
    assert all(corpus.startswith("c.txt#") for corpus in both)
    path = str(home / "other" / "c.txt")
    lone = [one for one in folders if one.members and one.members[0]["variant"]["corpus"] == path]
    assert {row["variant"]["corpus"] for row in current_members(lone)} == {"c.txt"}
