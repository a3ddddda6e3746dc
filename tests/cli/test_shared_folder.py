"""A folder that several people share: what one makes the others can read, as far as the umask says."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptexp.report.build import build_report
from gptexp.report.check import check_report
from gptexp.studies.execute import execute
from tests.cli.conftest import Call, TinyRuns
from tests.studies.tiny import make_job

NOBODY = 65534
DENIED = "permission denied; ask its owner to let you read it"


@contextlib.contextmanager
def other_user() -> Iterator[None]:
    """Be somebody who owns none of the files. Root reads everything, so root becomes nobody for a while."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@pytest.fixture
def shared(tiny_runs: TinyRuns) -> Iterator[TinyRuns]:
    """Runs in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield tiny_runs.copy(Path(folder) / "runs")


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_everything_that_is_made_has_what_the_umask_leaves(tmp_path: Path, tiny_corpus: Path, umask: int) -> None:
    """Config, result, records, weights, token files, exports: files 0666 and folders 0777, less the umask."""
    before = os.umask(umask)
    try:
        os.environ["GPTEXP_CACHE_DIR"] = str(tmp_path / "cache")
        job = make_job(tmp_path / "runs", tiny_corpus)
        stops = iter([False] * 5)
        execute(job, [], lambda: next(stops, True), pytest.fail)
        kept = list((tmp_path / "runs").rglob("optimizer.safetensors"))
        assert kept
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o666 & ~umask}
        execute(job, [], lambda: False, pytest.fail)
    finally:
        os.umask(before)
    for path in [*(tmp_path / "runs").rglob("*"), *(tmp_path / "cache" / "tokens").rglob("*")]:
        expected = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == expected & ~umask, path


def test_exports_and_packs_have_what_the_umask_leaves(call: Call, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    """The files of a pack and an exported table can be read by everybody, too."""
    before = os.umask(0o022)
    try:
        runs = str(tiny_runs.folder)
        assert call("runs", "pack", "--out", str(tmp_path / "pack"), "--runs-dir", runs).status == 0
        out = str(tmp_path / "table.csv")
        assert call("runs", "export", tiny_runs.char, "--out", out, "--runs-dir", runs).status == 0
    finally:
        os.umask(before)
    made = [*(tmp_path / "pack").iterdir(), tmp_path / "table.csv"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o644}


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "records.jsonl", "members.jsonl", "provenance.jsonl", "."]
)
def test_permission_denied_is_called_that(call: Call, shared: TinyRuns, name: str) -> None:
    """Of a file that only its maker can read, every command says so; nobody's run is called damaged for it."""
    (shared.folder / shared.char / name).chmod(0o700 if name == "." else 0o600)
    runs = ("--runs-dir", str(shared.folder))
    commands = [("runs", "list"), ("runs", "verify"), ("runs", "show", shared.char), ("claims",)]
    for command in commands:
        call(*command, *runs)  # imports what it needs, as a user who may
    for command in commands:
        with other_user():
            reply = call(*command, *runs)
        said = " ".join((reply.out + reply.err).split())
        assert "internal error" not in said
        if command[0] == "runs" and not (command[1] == "list" and name == "records.jsonl"):
            assert DENIED in said, (command, said)
        assert "damaged run" not in said
        assert "is damaged" not in said


def test_a_folder_that_only_its_owner_may_enter(call: Call, shared: TinyRuns) -> None:
    """Each command says of a whole folder of runs, or of a pack, that it may not be read."""
    pack = str(shared.folder.parent / "pack")
    runs = ("--runs-dir", str(shared.folder))
    assert call("runs", "pack", "--out", pack, *runs).status == 0
    for command in (("runs", "list"), ("runs", "verify"), ("runs", "show", shared.char), ("runs", "gc"), ("claims",)):
        call(*command, *runs)
        shared.folder.chmod(0o700)
        with other_user():
            reply = call(*command, *runs)
        shared.folder.chmod(0o755)
        assert reply.status != 0, command
        assert f"can't be listed: {DENIED}" in " ".join(reply.err.split())
    for name in ("steps.parquet", "runs.json"):
        (Path(pack) / name).chmod(0o600)
        with other_user():
            reply = call("claims", "--runs-dir", pack)
        assert f"{name} can't be read: {DENIED}" in " ".join(reply.err.split())


def test_a_read_only_folder_is_listed_checked_and_reported(call: Call, shared: TinyRuns) -> None:
    """Whoever may read a folder of runs, and not write to it, gets its list, its verdict and its page."""
    runs = ("--runs-dir", str(shared.folder))
    out = Path(tempfile.mkdtemp(dir=shared.folder.parent))
    os.chown(out, NOBODY, -1) if os.geteuid() == 0 else None
    build_report("study", runs_dir=shared.folder, out=out / "before")
    shutil.rmtree(out / "before")
    for command in (("runs", "list"), ("runs", "verify"), ("runs", "show", shared.char)):
        call(*command, *runs)
        with other_user():
            assert call(*command, *runs).status == 0
    with other_user():
        build_report("study", runs_dir=shared.folder, out=out / "page")
        assert check_report("study", runs_dir=shared.folder, out=out / "page").problems == []
