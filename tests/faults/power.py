"""What a loss of power leaves: every state of the disk in which what was not synced is gone.

The calls of a process are recorded (`Recorder`), and played to a model of a file system (`Disk`) that knows of each
file and folder what was synced. After any call, `Disk.crash` writes the state that a loss of power may leave:

- strict: a folder has the entries of its last fsync, a file the content of its last fsync. What POSIX promises.
- entries: all creations, renames and deletions arrived, contents only where synced. What file systems often do.

The idea is CrashMonkey's: Mohan et al., OSDI 2018, https://www.usenix.org/conference/osdi18/presentation/mohan
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch

STATES = ("strict", "entries")


class Recorder:
    """Notes each call that changes the disk, with the content of what is synced. In a forked child only."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def install(self) -> None:
        from gptexp.files import commit
        from gptexp.training import checkpoint

        for name in ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "fsync", "open", "symlink", "link"):
            setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))
        commit.exchange = self._exchange(commit.exchange)
        safetensors.torch.save_file = checkpoint.save_file = self._save(safetensors.torch.save_file)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)

    def _rename(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def rename(old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
            paths = locate(old, src_dir_fd), locate(new, dst_dir_fd)
            real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            self._note("rename", *paths)

        return rename

    _replace = _rename

    def _one_path(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, dir_fd: int | None = None, **options: Any) -> None:
            where = locate(path, dir_fd)
            real(path, *arguments, dir_fd=dir_fd, **options)
            self._note(kind, where)

        return call

    def _unlink(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return self._one_path("delete", real)

    _remove = _rmdir = _unlink

    def _mkdir(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return self._one_path("mkdir", real)

    def _symlink(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("the model has no symbolic links")

        return refuse

    def _link(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def link(
            old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None, **how: Any
        ) -> None:
            paths = locate(old, src_dir_fd), locate(new, dst_dir_fd)
            real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **how)
            self._note("link", *paths)

        return link

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            makes = bool(flags & os.O_CREAT)
            where = locate(path, dir_fd) if makes else ""
            is_new = makes and not Path(where).exists()
            descriptor: int = real(path, flags, mode, dir_fd=dir_fd)
            if is_new:
                self._note("create", where)
            return descriptor

        return call

    def _fsync(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int) -> None:
            real(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_dir():
                self._note("sync folder", str(path))
            else:
                self._note("sync file", str(path), path.read_bytes())

        return call

    def _exchange(self, real: Callable[..., bool]) -> Callable[..., bool]:
        def call(one: Path, other: Path, within: Path | None = None) -> bool:
            done = real(one, other, within)
            if done:
                self._note("exchange", str(one.absolute()), str(other.absolute()))
            return done

        return call

    def _save(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(tensors: Any, path: Any, *arguments: Any, **options: Any) -> None:
            where = os.path.realpath(path)
            is_new = not Path(where).exists()
            real(tensors, path, *arguments, **options)
            if is_new:
                self._note("create", where)

        return call


def locate(path: Any, dir_fd: int | None) -> str:
    """The absolute path that a call means."""
    folder = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path.cwd()
    return str(folder / os.fsdecode(path))


@dataclass
class Node:
    """A file (its synced content) or a folder (its entries now, and when it was synced)."""

    content: bytes | None = None
    entries: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)


class Disk:
    """The folder `root` as it was before, all of it synced, and what calls make of it."""

    def __init__(self, root: Path, before: Path) -> None:
        self._root = root
        self._tree = read_tree(before)

    def play(self, call: tuple[Any, ...]) -> None:
        """Let one recorded call happen; calls outside the folder are none of ours."""
        kind, *arguments = call
        paths = [Path(argument) for argument in arguments if isinstance(argument, str)]
        if not all(path.is_relative_to(self._root) for path in paths):
            return
        if kind == "sync folder":
            node = self._find(paths[0])
            node.synced = dict(node.entries)
        elif kind == "sync file":
            self._find(paths[0]).content = arguments[1]
        elif kind in ("mkdir", "create"):
            self._folder(paths[0])[paths[0].name] = Node(b"" if kind == "create" else None)
        elif kind == "delete":
            del self._folder(paths[0])[paths[0].name]
        elif kind == "rename":
            self._folder(paths[1])[paths[1].name] = self._folder(paths[0]).pop(paths[0].name)
        elif kind == "link":
            self._folder(paths[1])[paths[1].name] = self._find(paths[0])
        elif kind == "exchange":
            one, other = (self._folder(path) for path in paths)
            one[paths[0].name], other[paths[1].name] = other[paths[1].name], one[paths[0].name]

    def crash(self, to: Path, state: str) -> None:
        """Write what a loss of power may leave now to the folder `to`, which isn't there."""
        write_tree(self._tree, to, strict=state == "strict")

    def _find(self, path: Path) -> Node:
        node = self._tree
        for part in path.relative_to(self._root).parts:
            node = node.entries[part]
        return node

    def _folder(self, path: Path) -> dict[str, Node]:
        return self._find(path.parent).entries


def read_tree(path: Path) -> Node:
    if path.is_file():
        return Node(path.read_bytes())
    entries = {below.name: read_tree(below) for below in path.iterdir()}
    return Node(None, entries, dict(entries))


def write_tree(node: Node, to: Path, *, strict: bool) -> None:
    if node.content is not None:
        to.write_bytes(node.content)
        return
    to.mkdir()
    for name, below in (node.synced if strict else node.entries).items():
        write_tree(below, to / name, strict=strict)
