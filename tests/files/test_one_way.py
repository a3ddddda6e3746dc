"""Nothing in the package opens, lists, writes or deletes files but `gptexp.files`, with exceptions that say why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gptexp

PACKAGE = Path(gptexp.__file__).parent

TOUCHES = {
    "open", "read_bytes", "read_text", "write_bytes", "write_text", "touch", "unlink", "rmdir", "rename", "replace",
    "renames", "remove", "removedirs", "mkdir", "makedirs", "mkdtemp", "mkstemp", "mkfifo", "mknod", "symlink", "link",
    "symlink_to", "hardlink_to", "truncate", "glob", "rglob", "iterdir", "walk", "scandir", "listdir", "exists",
    "is_file", "is_dir", "is_symlink", "samefile", "stat", "copy", "copy2", "copyfile", "copytree", "move", "rmtree",
    "chmod", "lchmod", "utime", "fromfile", "memmap", "tofile", "load_file", "save_file", "safe_open", "FileLock",
    "SoftFileLock", "UnixFileLock", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "read_parquet",
    "read_csv", "read_json", "to_parquet", "to_csv", "read_table", "write_table", "savefig", "add_dir",
    "add_file", "ParquetFile", "disk_usage",
}  # fmt: skip
"""What opens, looks at or changes a file by its name, called as a function or a method."""
OWN = "files of the package itself"
USER = "what the user names for this command, or this machine's own"
EXCEPTIONS = {
    ("streams.py", "open"): "the null device",
    ("machine.py", "glob"): "/proc",
    ("machine.py", "open"): USER,
    ("machine.py", "read_text"): USER,
    ("training/device.py", "read_text"): USER,
    ("cli/doctor_machine.py", "read_text"): USER,
    ("cli/doctor_machine.py", "disk_usage"): USER,
    ("cli/doctor_machine.py", "is_dir"): USER,
    ("cli/doctor_machine.py", "exists"): USER,
    ("cli/doctor_machine.py", "TemporaryFile"): "tries whether the runs folder can be written",
    ("cli/doctor_setup.py", "is_file"): USER,
    ("cli/doctor_setup.py", "is_dir"): USER,
    ("data/corpus.py", "is_file"): USER,
    ("data/corpus.py", "is_dir"): USER,
    ("data/corpus.py", "rglob"): USER,
    ("data/tokenizer.py", "read_bytes"): OWN,
    ("report/render.py", "read_text"): OWN,
    ("api.py", "is_dir"): USER,
    ("lesson/compare.py", "read_text"): OWN,
    ("lesson/digits.py", "read_text"): OWN,
    ("cli/studies.py", "read_text"): OWN,
    ("studies/locate.py", "glob"): USER,
    ("studies/locate.py", "is_file"): USER,
    ("studies/locate.py", "is_symlink"): USER,
    ("report/build.py", "is_dir"): "the runs folder that the user named",
    ("report/loaders.py", "is_file"): USER,
    ("data/batches.py", "memmap"): "token files, by checksums that were compared",
    ("training/checkpoint.py", "save_file"): "safetensors writes by path, into a folder that was just made",
    ("training/checkpoint.py", "load_file"): "safetensors reads by path, that of an opened file",
    ("runs/packed.py", "to_parquet"): "into memory",
    ("runs/packed.py", "read_parquet"): "from memory",
    ("runs/packed.py", "ParquetFile"): "from memory",
    ("cli/run_export.py", "write_table"): "into memory",
    ("report/publish.py", "read_csv"): "from memory",
    ("report/publish.py", "add_file"): "the W&B client, of files that were looked at",
    ("mirrors/wandb_artifacts.py", "add_file"): "the W&B client, of files that were looked at",
    ("tracking/run_log.py", "open"): "of a descriptor",
    ("studies/sweep/journal_file.py", "truncate"): "of an opened file",
    ("report/cells.py", "to_csv"): "into a text",
    ("report/svg.py", "savefig"): "into memory",
    ("tracking/own_commit.py", "exists"): OWN,
    ("report/swap.py", "mkdir"): "a folder of its own beside the one that the user names",
    ("data/corpus.py", "mkdir"): "the cache folder",
    ("report/bundle.py", "exists"): "the folder that the user names with --out",
    ("report/bundle.py", "is_dir"): "the folder that the user names with --out",
    ("bench/contestant.py", "TemporaryDirectory"): "a folder of its own",
    ("bench/overheads.py", "TemporaryDirectory"): "a folder of its own",
    ("bench/overheads.py", "mkdir"): "the cache folder",
    ("studies/peak_memory.py", "write_text"): "the kernel's own /proc/self",
    ("studies/peak_memory.py", "read_text"): "the kernel's own /proc/self",
    ("studies/agent.py", "TemporaryDirectory"): "a folder of its own",
    ("studies/sweep/command.py", "TemporaryDirectory"): "a folder of its own",
    ("studies/sweep/command.py", "write_text"): "a folder of its own",
}


def list_calls(path: Path) -> Iterator[tuple[str, int]]:
    """(name, line) of every call in a module that may touch a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    safe = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("gptexp.files", "dataclasses"))
        for name in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in TOUCHES - safe:
            yield node.func.id, node.lineno
        if isinstance(node.func, ast.Attribute) and node.func.attr in TOUCHES and not is_namesake(node, node.func):
            yield node.func.attr, node.lineno


def is_namesake(call: ast.Call, function: ast.Attribute) -> bool:
    """Whether a call is one of a text, a frame or a list: `replace` with two arguments, `rename(columns=...)`."""
    receiver = ast.unparse(function.value)
    if receiver in ("os", "shutil", "os.path"):
        return False
    if receiver in ("ast", "dataclasses", "cls") or function.attr == "remove":
        return True
    return function.attr in ("replace", "rename") and (len(call.args) != 1 or bool(call.keywords))


def test_only_one_module_touches_files() -> None:
    """A call that opens, lists, writes or deletes by name stands in gptexp/files, or in the list above with its reason.

    Whoever adds one is asked to take a function of gptexp.files instead: it follows no link, doesn't hang on a pipe and
    reads no more than a limit.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if not module.startswith(("files/", "builtin/")):
            for name, line in list_calls(path):
                found.setdefault((module, name), []).append(line)
    unknown = {
        f"{module}:{lines[0]} {name}" for (module, name), lines in found.items() if (module, name) not in EXCEPTIONS
    }
    assert sorted(unknown) == []
    assert sorted(set(EXCEPTIONS) - set(found)) == [], "exceptions that nobody needs any more"
