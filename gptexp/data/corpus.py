"""Loads a corpus, by name or by path, as text with a checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from gptexp.errors import GptexpError, shorten
from gptexp.files import explain, read_user_file, replace_file
from gptexp.names import CORPORA
from gptexp.paths import read_path
from gptexp.text import spell_name

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py")

TINYSHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINYSHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TINYSHAKESPEARE_FILES = ("tinyshakespeare.txt", "input.txt")
FAILED_MARK = "tinyshakespeare-unreachable"
FAILED_MARK_S = 600.0
"""Seconds after a failed download in which TinyShakespeare is not tried again, unless the user names it."""
TIMEOUT_S = (10, 30)
"""Timeouts in seconds: to connect, and between two pieces of the answer."""

OTHER_WAYS = (
    "put the file as tinyshakespeare.txt into the folder named by GPTEXP_DATA_DIR, "
    "or use --corpus python-docs or --corpus FILE"
)
LARGEST_CORPUS = 2**30
"""Limit in bytes for a text file, and for all texts of a folder: tokenizing holds the text in memory several times."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Corpus:
    """A text and its origin."""

    name: str
    text: str
    checksum: str
    """SHA-256 (hex) of the UTF-8 bytes of `text`."""
    source: str
    """Where it came from, as a phrase."""
    fallback: bool = False
    """True if no corpus was named and TinyShakespeare was not available."""

    def __repr__(self) -> str:
        # Without the text, which would fill every traceback and log line that prints a corpus.
        return f"Corpus(name={self.name!r}, characters={len(self.text)}, checksum={self.checksum[:12]!r})"


class _OutOfReach(GptexpError):
    """TinyShakespeare is not on this machine and can't be downloaded. An error only if the user named it."""


def cache_dir() -> Path:
    """The folder for downloads and token files: $GPTEXP_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("GPTEXP_CACHE_DIR")
    if named:
        return read_path(named)
    with contextlib.suppress(RuntimeError):
        folder = platformdirs.user_cache_path("gptexp", appauthor=False)
        # Without a home folder, older platformdirs return `~/...`, which would create a folder named `~` here.
        if folder.is_absolute():
            return folder
    return _make_cache_without_home()


def _make_cache_without_home() -> Path:
    """A cache folder for this user below the system's folder for temporary files.

    Raises:
        GptexpError: it can't be created, or somebody else owns it or may write to it.
    """
    # On Windows the folder for temporary files is the user's own, and files have no owner's number.
    user = os.getuid() if hasattr(os, "getuid") else None
    folder = Path(tempfile.gettempdir()) / f"gptexp-cache-{user or 0}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if stat.S_ISDIR(about.st_mode) and (user is None or (about.st_uid == user and not about.st_mode & 0o022)):
            return folder
    raise GptexpError(
        f"this user has no home folder for gptexp's cache, and {folder} can't be used; "
        f"name a folder in GPTEXP_CACHE_DIR"
    )


def load_corpus(name: str | None) -> Corpus:
    """The corpus called `name`.

    Args:
        name: one of CORPORA, or a path. A file is read as UTF-8; of a folder, all *.txt, *.md, *.rst
            and *.py files at any depth are joined by a newline in the order of their paths. Linked folders and links
            that leave the folder aren't followed. Nothing is normalised except that a byte order mark is dropped. None
            (no corpus named) gives TinyShakespeare if it is available, else python-docs with `fallback=True`.

    Raises:
        GptexpError: an unknown name, a wrong checksum, a failed download, empty text, or text that is not UTF-8.
    """
    if name is None:
        try:
            return load_tinyshakespeare(download=not _failed_lately())
        except _OutOfReach:
            return load_python_docs(fallback=True)
    return CORPORA.make(name) if name in CORPORA else _load_path(name)


def make_corpus(name: str, text: str, source: str, fallback: bool = False) -> Corpus:
    """The corpus of that text, with its checksum.

    Raises:
        GptexpError: it is blank.
    """
    if not text.strip():
        raise GptexpError(f"corpus {name!r} ({source}) holds no text; give it some, or name another with --corpus")
    return Corpus(name, text, hashlib.sha256(text.encode()).hexdigest(), source, fallback)


def load_tinyshakespeare(*, download: bool = True) -> Corpus:
    """From the folder named by GPTEXP_DATA_DIR, the cache, or the network.

    Raises:
        GptexpError: it can't be had, or a file of its name is another text.
    """
    named = os.environ.get("GPTEXP_DATA_DIR")
    folders = [read_path(named)] if named else []
    for path in (folder / file for folder in folders for file in TINYSHAKESPEARE_FILES):
        if _is_file(path):
            return _checked_tinyshakespeare(path, f"the file {path}")
    for path in (cache_dir() / file for file in TINYSHAKESPEARE_FILES):
        # A damaged file in the cache is skipped here; the download replaces it.
        if _is_file(path) and _sha256(_read_bytes(path)) == TINYSHAKESPEARE_SHA256:
            return _checked_tinyshakespeare(path, TINYSHAKESPEARE_URL)
    if not download:
        raise _OutOfReach(f"TinyShakespeare is not on this machine; {OTHER_WAYS}")
    return _checked_tinyshakespeare(_download_tinyshakespeare(), TINYSHAKESPEARE_URL)


def _is_file(path: Path) -> bool:
    """Whether `path` is a file; False if this user may not look there."""
    try:
        return path.is_file()
    except OSError:
        return False


def _failed_lately() -> bool:
    """Whether a download failed in the last `FAILED_MARK_S`. Without a network each try would cost ten seconds."""
    try:
        return 0 <= time.time() - (cache_dir() / FAILED_MARK).lstat().st_mtime < FAILED_MARK_S
    except OSError:
        return False


def _mark_failure() -> None:
    with contextlib.suppress(OSError):
        replace_file(cache_dir() / FAILED_MARK, b"")


def _checked_tinyshakespeare(path: Path, source: str) -> Corpus:
    contents = _read_bytes(path)
    found = _sha256(contents)
    if found != TINYSHAKESPEARE_SHA256:
        raise GptexpError(
            f"{path} is not TinyShakespeare: its SHA-256 is {found} and {TINYSHAKESPEARE_SHA256} was expected; "
            f"replace or remove the file, or name it with --corpus {path} to use it as it is"
        )
    return make_corpus("tinyshakespeare", _decode(contents, path), source)


def _download_tinyshakespeare() -> Path:
    """The path of the file in the cache folder, downloaded once.

    Raises:
        _OutOfReach: no network, no space, no permission, or an answer with a wrong checksum.
    """
    import pooch  # imported here because it is slow and needed only once per machine

    log = pooch.get_logger()
    level = log.level
    log.setLevel("WARNING")  # otherwise it announces the download on stderr
    try:
        path = pooch.retrieve(
            TINYSHAKESPEARE_URL,
            known_hash=f"sha256:{TINYSHAKESPEARE_SHA256}",
            fname=TINYSHAKESPEARE_FILES[0],
            path=cache_dir(),
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT_S),
        )
    except OSError as error:
        # The errors of `requests` are OSErrors with very long messages; the class name is enough.
        reason = error.strerror or type(error).__name__
        _mark_failure()
        raise _OutOfReach(f"TinyShakespeare can't be downloaded ({reason}); {OTHER_WAYS}") from error
    except ValueError as error:
        raise _OutOfReach(
            f"the download from {TINYSHAKESPEARE_URL} is not TinyShakespeare: its SHA-256 is not "
            f"{TINYSHAKESPEARE_SHA256}; {OTHER_WAYS}"
        ) from error
    finally:
        log.setLevel(level)
    return Path(path)


def load_python_docs(fallback: bool = False) -> Corpus:
    """The documentation text inside this CPython.

    Raises:
        GptexpError: it has none.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise GptexpError(
            "this Python comes without its documentation text (pydoc_data.topics); install the full standard library, "
            "or use --corpus FILE"
        ) from None
    text = "\n".join(f"{topic}\n{'=' * len(topic)}\n\n{topics[topic]}" for topic in sorted(topics))
    source = f"the documentation text inside CPython {platform.python_version()} (pydoc_data.topics)"
    return make_corpus("python-docs", text, source, fallback)


def _load_path(name: str) -> Corpus:
    path = read_path(name)
    try:
        is_file, is_folder = _is_file(path), path.is_dir() and bool(name.strip())
    except OSError:  # a name too long for the file system, or a folder that may not be entered
        is_file = is_folder = False
    # Records are UTF-8 text; a file name may hold other bytes, so they are escaped.
    label = spell_name((path.resolve().name if is_file or is_folder else "") or path)
    place = spell_name(path)
    if is_file:
        return make_corpus(label, _decode(_read_bytes(path), path), f"the file {place}")
    if is_folder:
        files = _text_files(path)
        remaining, texts = LARGEST_CORPUS, []
        for file in files:
            contents = _read_bytes(file, remaining)
            remaining -= len(contents)
            texts.append(_decode(contents, file))
        text = "\n".join(texts)
        return make_corpus(label, text, f"{len(files)} text files below the folder {place}")
    raise GptexpError(
        f"corpus {shorten(name)} is no known corpus ({', '.join(CORPORA.names())}) and no file or folder that can be "
        f"read; use one of these names or the path of a text file or folder"
    )


def _text_files(folder: Path) -> list[Path]:
    """The text files below `folder`, sorted by path. Links that lead outside it are left out."""
    root = folder.resolve()
    candidates = (path for path in folder.rglob("*") if path.suffix.lower() in TEXT_SUFFIXES)
    files = [path for path in candidates if path.is_file() and path.resolve().is_relative_to(root)]
    if not files:
        raise GptexpError(
            f"the folder {folder} holds no text file (expected *{', *'.join(TEXT_SUFFIXES)}); "
            f"put one there or name another corpus"
        )
    # Sort by parts, so that the order doesn't depend on the platform's path separator.
    return sorted(files, key=lambda path: path.relative_to(folder).parts)


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def _read_bytes(path: Path, limit: int = LARGEST_CORPUS) -> bytes:
    try:
        return read_user_file(path, limit=limit)
    except OSError as error:
        raise GptexpError(
            f"{path} can't be read ({explain(error)}); check the file and its permissions, or name another corpus"
        ) from error


def _decode(contents: bytes, path: Path) -> str:
    """Decode UTF-8 and drop a byte order mark; newlines are kept as they are."""
    start = len(BYTE_ORDER_MARK) if contents.startswith(BYTE_ORDER_MARK) else 0
    try:
        return contents[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = start + error.start
        raise GptexpError(
            f"{path} is not UTF-8 text: byte 0x{contents[offset]:02x} at offset {offset} can't be decoded; "
            f"convert the file to UTF-8 or remove it"
        ) from None
