"""The one way to the files of run folders, bundles and packs."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gptexp.files import (
    DiskError,
    ForeignFile,
    append_bytes,
    check_sha256,
    exists,
    explain,
    is_file,
    is_folder,
    list_folder,
    list_tree,
    lock_file,
    make_folder,
    open_path,
    read_bytes,
    read_user_file,
    remove_file,
    remove_tree,
    rename,
    usual_mode,
    write_atomic,
    write_new,
)


def make_socket(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


SPECIAL: dict[str, Callable[[Path], object]] = {
    "link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "socket": make_socket,
    "folder": Path.mkdir,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box").mkdir()
    return Path("box")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", SPECIAL)
def test_only_regular_files_are_opened(folder: Path, kind: str) -> None:
    """Links, pipes, sockets and folders in a file's place are refused at once, by reads and by writes."""
    path = folder / "file"
    SPECIAL[kind](path)
    with pytest.raises(ForeignFile, match="it is a"):
        read_bytes(path)
    with pytest.raises(ForeignFile, match="it is a"):
        check_sha256(path, "")
    with pytest.raises(DiskError, match="it is a"):
        append_bytes(path, b"x")
    with pytest.raises(DiskError, match="it is a"):
        lock_file(path)
    assert exists(path)
    assert not is_file(path)
    assert is_folder(path) == (kind == "folder")


def test_a_device_is_not_opened() -> None:
    """A device that stands in a file's place is refused, too, and so is one that a user names."""
    with pytest.raises(ForeignFile, match="a device"):
        read_bytes(Path("/dev/zero"))
    with pytest.raises(ForeignFile, match="a device"):
        read_user_file(Path("/dev/zero"), limit=1000)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "a/../../secret", "linked/secret", "a\0b", "\ud800", ""]
)
def test_nothing_outside_the_folder_is_reached(folder: Path, name: str) -> None:
    """No name leads out of `within`: not by dots, not as an absolute path, not through a link."""
    Path("secret").write_text("mine")
    (folder / "linked").symlink_to("..")
    for act in (read_bytes, list_folder, remove_file, remove_tree):
        with pytest.raises(ForeignFile, match=r"lie inside|a link or not a folder"):
            act(folder / name, folder) if name else act(folder / name, folder / "deeper")
    with pytest.raises(DiskError):
        write_atomic(folder / name if name else folder, b"x", folder)
    assert Path("secret").read_text() == "mine"


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    """What the user named is trusted: runs may lie on another disk."""
    (folder / "file").write_text("text")
    Path("link").symlink_to("box")
    assert read_bytes(Path("link/file"), Path("link")) == b"text"
    assert [entry.name for entry in list_folder(Path("link"), Path("link"))] == ["file"]
    assert read_user_file(Path("link/file"), limit=10) == b"text"


def test_a_limit_holds(folder: Path) -> None:
    """A file larger than its kind can be is not read: a sparse one costs nothing to make."""
    with (folder / "file").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ForeignFile, match="953,674 MiB; files of this kind may have at most 64 MiB"):
        read_bytes(folder / "file")


def test_atomic_writes_follow_the_umask_and_replace_a_link(folder: Path) -> None:
    """A written file has what the umask leaves; a link in its place goes, and what it led to stays."""
    Path("mine").write_text("mine")
    (folder / "file").symlink_to("../mine")
    for umask, mode in ((0o022, 0o644), (0o002, 0o664), (0o077, 0o600)):
        before = os.umask(umask)
        try:
            write_atomic(folder / "file", "text")
            write_new(folder / f"new-{umask}", "text")
            assert usual_mode(folder) == mode
        finally:
            os.umask(before)
        assert stat.S_IMODE((folder / "file").lstat().st_mode) == mode
        assert stat.S_IMODE((folder / f"new-{umask}").lstat().st_mode) == mode
    assert (folder / "file").read_text() == "text"
    assert Path("mine").read_text() == "mine"
    assert not list(folder.glob(".*"))


def test_deleting_follows_no_link(folder: Path) -> None:
    """A link is deleted itself, at the top and below; what it leads to stays."""
    Path("victim").mkdir()
    Path("victim/file").write_text("mine")
    make_folder(folder / "a" / "b", folder)
    (folder / "a" / "b" / "link").symlink_to(Path("victim").resolve())
    (folder / "top").symlink_to(Path("victim").resolve())
    os.mkfifo(folder / "a" / "pipe")
    remove_tree(folder / "a", folder)
    remove_tree(folder / "top", folder)
    remove_tree(folder / "missing", folder)
    assert list(folder.iterdir()) == []
    assert Path("victim/file").read_text() == "mine"


def test_folders_are_not_made_through_links(folder: Path) -> None:
    """Neither a folder nor a file comes into being where a link leads."""
    Path("victim").mkdir()
    (folder / "checkpoints").symlink_to("../victim")
    with pytest.raises(ForeignFile):
        make_folder(folder / "checkpoints" / "step-1", folder)
    with pytest.raises(ForeignFile):
        rename(folder / "checkpoints", folder / "checkpoints" / "x", folder)
    with pytest.raises(DiskError):
        append_bytes(folder / "checkpoints" / "x", b"x", folder)
    assert list(Path("victim").iterdir()) == []


def test_listing_tells_kinds_and_follows_nothing(folder: Path) -> None:
    """A listing is by name, says what is what, and does not go into a link."""
    make_folder(folder / "a" / "b", folder)
    write_new(folder / "a" / "file", b"")
    (folder / "a" / "link").symlink_to("/")
    os.mkfifo(folder / "pipe")
    found = {str(path): kind for path, kind in list_tree(folder)}
    assert found == {
        "box/a": "folder",
        "box/a/b": "folder",
        "box/a/file": "file",
        "box/a/link": "link",
        "box/pipe": "other",
    }
    assert list_folder(folder / "missing") == []


def test_a_library_gets_the_file_that_was_looked_at(folder: Path) -> None:
    """The path that a library is given still leads to that file after another took its name."""
    write_new(folder / "file", b"first")
    with open_path(folder / "file") as path:
        write_atomic(folder / "file", b"second")
        assert path.read_bytes() in (b"first", b"second")


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        yield


@pytest.mark.usefixtures("denied")
def test_permission_denied_is_called_that(folder: Path) -> None:
    """Whoever may not read a file learns that, and whom to ask."""
    with pytest.raises(PermissionError) as caught:
        read_bytes(folder / "file")
    assert explain(caught.value) == "permission denied; ask its owner to let you read it"
