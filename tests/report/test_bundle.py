"""The report's folder is replaced whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gptexp.errors import GptexpError
from gptexp.report import bundle
from gptexp.report.bundle import hash_content, write_bundle


def with_manifest(files: dict[str, str]) -> dict[str, str]:
    """`files` with the manifest that names them."""
    entries = [{"path": path, "sha256": hash_content(content)} for path, content in files.items()]
    return {**files, "manifest.json": json.dumps({"generator": "gptexp", "files": entries})}


FIRST = with_manifest({"index.html": "one", "figures/a.svg": "<svg/>"})
SECOND = with_manifest({"index.html": "two"})


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_report_replaces_the_old_one_and_keeps_foreign_files(tmp_path: Path) -> None:
    """Files of the last report that the new one doesn't have go, a note that somebody put there stays."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)
    (out / "note.txt").write_text("mine")
    write_bundle(out, SECOND)
    assert list_files(tmp_path) == {"out/index.html", "out/manifest.json", "out/note.txt"}
    assert (out / "index.html").read_text() == "two"


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """A folder that holds no report of ours is left as it is, with one sentence."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(GptexpError, match="no gptexp report"):
        write_bundle(tmp_path, FIRST)
    assert list_files(tmp_path) == {"thesis.tex"}
    (tmp_path / "manifest.json").write_text('{"generator": "another", "files": []}')
    with pytest.raises(GptexpError, match="no gptexp report"):
        write_bundle(tmp_path, FIRST)
    with pytest.raises(GptexpError, match="takes a folder"):
        write_bundle(tmp_path / "thesis.tex", FIRST)


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new folder can't be finished, the old page stands untouched and nothing is left beside it."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)

    def fail(fresh: Path, out: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "replace_folder", fail)
    with pytest.raises(GptexpError, match="No space left"):
        write_bundle(out, SECOND)
    assert (out / "index.html").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_what_a_report_wrote_is_deleted(tmp_path: Path) -> None:
    """A manifest that names the user's own file makes it none of ours; what was changed since is not deleted either."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "a.svg").write_text("<svg>mine</svg>")
    manifest = json.loads((out / "manifest.json").read_text())
    hostile = ["notes.txt", "../victim.txt", "/dev/zero", str(tmp_path / "victim.txt")]
    manifest["files"] += [{"path": path, "sha256": "0" * 64} for path in hostile]
    (out / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "victim.txt").write_text("mine")
    write_bundle(out, SECOND)
    assert list_files(tmp_path) == {
        "out/index.html",
        "out/manifest.json",
        "out/notes.txt",
        "out/figures/a.svg",
        "victim.txt",
    }
    assert (out / "notes.txt").read_text() == "mine"


def test_links_and_pipes_in_the_folder(tmp_path: Path) -> None:
    """A link stays a link, even in the place of a page, whose target stays; a pipe is named."""
    out = tmp_path / "out"
    write_bundle(out, FIRST)
    (tmp_path / "victim.txt").write_text("mine")
    (out / "link").symlink_to(tmp_path)
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(tmp_path / "victim.txt")
    write_bundle(out, SECOND)
    assert (out / "link").is_symlink()
    assert (out / "index.html").read_text() == "two"
    assert (tmp_path / "victim.txt").read_text() == "mine"
    os.mkfifo(out / "pipe")
    with pytest.raises(GptexpError, match="is a pipe"):
        write_bundle(out, FIRST)
    (out / "pipe").unlink()
    (out / "manifest.json").unlink()
    (out / "manifest.json").symlink_to("/dev/zero")
    with pytest.raises(GptexpError, match="no gptexp report"):
        write_bundle(out, FIRST)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_everybody_reads_what_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    """A page in a shared folder can be read by those who the umask lets."""
    before = os.umask(umask)
    try:
        write_bundle(tmp_path / "out", FIRST)
    finally:
        os.umask(before)
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask
