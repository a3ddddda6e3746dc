"""Takes what Windows lacks away from gptexp, in every process that has this folder on PYTHONPATH.

It is no Windows: paths have slashes, open files can be renamed, and processes get signals. Other packages see Linux.
"""

from __future__ import annotations

import builtins
import os
import signal
import types
from pathlib import PurePath
from typing import Any

LACKING = "GPTEXP_TEST_LACKING"
"""The variable by which a test says that this is to happen."""
MODULES = ("fcntl", "resource", "pwd", "grp", "termios")
ABSENT = {
    "os": (
        *("fork", "getuid", "geteuid", "sched_getaffinity", "sysconf", "killpg", "setsid", "fchmod", "pread"),
        *("O_PATH", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC"),
    ),
    "signal": ("SIGKILL", "SIGUSR1", "SIGUSR2", "SIGHUP"),
}
LIMITED = ("open", "lstat", "stat", "mkdir", "unlink", "rmdir", "replace", "scandir", "readlink", "utime", "link")
FORBIDDEN = set('<>:"|?*\\')
"""In names of files. Source: https://learn.microsoft.com/windows/win32/fileio/naming-a-file"""
find_module = builtins.__import__


class Poorer(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, module: types.ModuleType, absent: tuple[str, ...], **instead: Any) -> None:
        super().__init__(module.__name__)
        self.__dict__.update({name: value for name, value in vars(module).items() if name not in absent} | instead)


def limit(name: str) -> Any:
    """The function of `os` without descriptors of folders, and without names that Windows refuses."""
    call = getattr(os, name)

    def limited(path: Any, *rest: Any, **options: Any) -> Any:
        if any(options.pop(key, None) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            raise NotImplementedError(f"{name}: dir_fd unavailable on this platform")
        if isinstance(path, int) and name in ("scandir", "utime"):
            raise TypeError(f"{name}: path should be string, bytes or os.PathLike, not int")
        if name == "open" and PurePath(path) != PurePath(os.devnull) and os.path.isdir(path):  # noqa: PTH112
            raise PermissionError(13, "Permission denied", str(path))
        for one in (path, *rest[:1]):
            last = PurePath(one).name if isinstance(one, str) else ""
            if set(last) & FORBIDDEN or last.endswith((".", " ")):
                raise OSError(22, "Invalid argument", one)
        return call(path, *rest, **options)

    return limited


def find_elsewhere(name: str, caller: Any = None, *rest: Any, **options: Any) -> Any:
    """What `import` finds; for gptexp there is less."""
    if str((caller or {}).get("__name__", "")).startswith("gptexp"):
        if name in MODULES:
            raise ImportError(f"No module named {name!r}")
        if name in POORER:
            return POORER[name]
    return find_module(name, caller, *rest, **options)


if os.environ.get(LACKING):
    instead = {name: limit(name) for name in LIMITED} | {"supports_dir_fd": set(), "supports_fd": set(), "name": "nt"}
    POORER = {"os": Poorer(os, ABSENT["os"], **instead), "signal": Poorer(signal, ABSENT["signal"])}
    builtins.__import__ = find_elsewhere
