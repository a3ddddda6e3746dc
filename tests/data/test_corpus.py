from __future__ import annotations

import hashlib
import importlib.resources
import os
import sys
from pathlib import Path

import pooch
import pytest
import requests

from gptexp.data import corpus as module
from gptexp.data.corpus import TINYSHAKESPEARE_SHA256, TINYSHAKESPEARE_URL, cache_dir, load_corpus
from gptexp.errors import GptexpError
from gptexp.names import CORPORA
from tests.packages import install_package

STAND_IN = b"Who's there?\n"


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder, an empty cache, no network."""

    def unreachable(*_: object, **__: object) -> None:
        raise requests.exceptions.ConnectionError("no network\nin many lines")

    monkeypatch.delenv("GPTEXP_DATA_DIR", raising=False)
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", unreachable)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A short text that counts as TinyShakespeare."""
    monkeypatch.setattr(module, "TINYSHAKESPEARE_SHA256", hashlib.sha256(STAND_IN).hexdigest())
    return STAND_IN


def one_sentence(error: pytest.ExceptionInfo[GptexpError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_cache_folder_is_the_named_one_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPTEXP_CACHE_DIR names the cache folder; without it the platform's own is taken."""
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("GPTEXP_CACHE_DIR")
    assert cache_dir().name in {"gptexp", "Cache"}


@pytest.mark.parametrize("file", ["tinyshakespeare.txt", "input.txt"])
@pytest.mark.parametrize("name", ["tinyshakespeare", None])
def test_data_folder_is_looked_into_first(
    file: str, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: bytes
) -> None:
    """A file in GPTEXP_DATA_DIR is taken without asking the network, whether the corpus was named or not."""
    (tmp_path / file).write_bytes(stand_in)
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(tmp_path))
    corpus = load_corpus(name)
    assert (corpus.name, corpus.text, corpus.fallback) == ("tinyshakespeare", stand_in.decode(), False)
    assert corpus.checksum == hashlib.sha256(stand_in).hexdigest()
    assert file in corpus.source


def test_cache_comes_before_the_download(tmp_path: Path, stand_in: bytes) -> None:
    """What was downloaded once is found in the cache folder."""
    cache_dir().mkdir()
    (cache_dir() / "tinyshakespeare.txt").write_bytes(stand_in)
    assert load_corpus("tinyshakespeare").source == TINYSHAKESPEARE_URL


def test_download_happens_once(monkeypatch: pytest.MonkeyPatch, stand_in: bytes) -> None:
    """The download asks for the pinned checksum and the cache folder; a spoilt file there is downloaded anew."""
    calls: list[str] = []

    def retrieve(url: str, known_hash: str, fname: str, path: Path, downloader: pooch.HTTPDownloader) -> str:
        assert known_hash == f"sha256:{hashlib.sha256(stand_in).hexdigest()}"
        assert downloader.kwargs["timeout"][0] <= 10
        calls.append(url)
        path.mkdir(exist_ok=True)
        (path / fname).write_bytes(stand_in)
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert load_corpus("tinyshakespeare") == load_corpus("tinyshakespeare")
    assert calls == [TINYSHAKESPEARE_URL]
    (cache_dir() / "tinyshakespeare.txt").write_bytes(b"spoilt")
    assert load_corpus("tinyshakespeare").text == stand_in.decode()
    assert len(calls) == 2


def test_named_tinyshakespeare_out_of_reach_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Without file and network, who named TinyShakespeare gets one sentence and three ways out, nothing else."""
    pooch.get_logger().addHandler(caplog.handler)  # pooch's logger stands alone, caplog doesn't hear it by itself
    with pytest.raises(GptexpError) as error:
        load_corpus("tinyshakespeare")
    message = one_sentence(error)
    assert error.value.exit_status == 2
    for way_out in ("GPTEXP_DATA_DIR", "--corpus python-docs", "--corpus FILE"):
        assert way_out in message
    pooch.get_logger().removeHandler(caplog.handler)
    assert caplog.records == []


def test_unnamed_corpus_falls_back_and_says_so() -> None:
    """Who named no corpus gets the text inside CPython, marked as a fallback; who named that one, unmarked."""
    fallback, named = load_corpus(None), load_corpus("python-docs")
    assert (fallback.name, fallback.fallback, named.fallback) == ("python-docs", True, False)
    assert fallback.checksum == named.checksum
    assert len(named.text) > 300_000
    assert "CPython" in named.source


def test_python_without_its_documentation_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some distributions strip pydoc_data."""
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(GptexpError, match=r"without its documentation text .* --corpus FILE"):
        load_corpus(None)


def test_download_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's login page is not TinyShakespeare: an error for who named it, the fallback for who did not."""

    def log_in(self: pooch.HTTPDownloader, url: str, output_file: str, *_: object, **__: object) -> None:
        Path(output_file).write_bytes(b"<html>Please log in</html>")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", log_in)
    with pytest.raises(GptexpError, match=TINYSHAKESPEARE_SHA256):
        load_corpus("tinyshakespeare")
    assert load_corpus(None).fallback


@pytest.mark.parametrize("name", ["tinyshakespeare", None])
def test_wrong_checksum_in_the_data_folder(name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file that the user put there is refused with both checksums, never silently passed over."""
    (tmp_path / "input.txt").write_bytes(STAND_IN)
    monkeypatch.setenv("GPTEXP_DATA_DIR", str(tmp_path))
    with pytest.raises(GptexpError) as error:
        load_corpus(name)
    message = one_sentence(error)
    assert TINYSHAKESPEARE_SHA256 in message
    assert hashlib.sha256(STAND_IN).hexdigest() in message


def test_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """Windows newlines, tabs and trailing blanks stay; only a byte order mark is dropped."""
    contents = "a\r\nb\t \r\n\u00e4\u2028".encode()
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\xef\xbb\xbf" + contents)
    corpus = load_corpus(str(path))
    assert corpus.text == contents.decode()
    assert corpus.checksum == hashlib.sha256(contents).hexdigest()
    assert (corpus.name, corpus.fallback) == ("notes.txt", False)


def test_repr_is_short(tiny_corpus: Path) -> None:
    """A corpus in a traceback doesn't print its text."""
    assert len(repr(load_corpus(str(tiny_corpus)))) < 120


def test_another_package_brings_a_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name in the group gptexp.corpora is loaded by its function, and its checksum is that of its text."""
    source = (
        "from gptexp.data.corpus import make_corpus\n"
        "def load():\n    return make_corpus('poems', 'a rose is a rose', 'a test')\n"
    )
    entries = "[gptexp.corpora]\npoems = poems_of_a_test:load\n"
    install_package(tmp_path, "poems", entries, {"poems_of_a_test": source})
    monkeypatch.syspath_prepend(tmp_path)
    assert CORPORA.names() == ["tinyshakespeare", "python-docs", "poems"]
    corpus = load_corpus("poems")
    assert (corpus.name, corpus.source, corpus.fallback) == ("poems", "a test", False)
    assert corpus.checksum == hashlib.sha256(b"a rose is a rose").hexdigest()


def test_folder_is_joined_in_the_order_of_paths(tmp_path: Path) -> None:
    """Text files at any depth, by their path, whatever else the folder holds."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for file in ("b.md", "a.txt", "sub/c.rst", "sub/a.PY", "image.png", "d.txt.bak"):
        (folder / file).write_text(file)
    (folder / "g.txt").mkdir()
    corpus = load_corpus(str(folder))
    assert corpus.text == "a.txt\nb.md\nsub/a.PY\nsub/c.rst"
    assert corpus.name == "folder"


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link to a file or folder elsewhere doesn't draw its text in; a link within stays, a broken one is no error."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "a.txt").write_text("open")
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "linked").symlink_to(outside)
    (folder / "broken.txt").symlink_to(outside / "nothing.txt")
    (folder / "within.txt").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to(folder)
    assert load_corpus(str(folder)).text == "open\nopen"


@pytest.mark.parametrize("name", ["tinyshakespear", "", "  ", "x" * 5000, "nul\0byte", os.devnull])
def test_unknown_name_lists_the_known(name: str) -> None:
    """What is neither a name nor a readable path is refused, and the names are listed."""
    with pytest.raises(GptexpError, match=r"tinyshakespeare, python-docs.* or the path of a text file") as error:
        load_corpus(name)
    one_sentence(error)


@pytest.mark.parametrize("contents", [b"", b"\xef\xbb\xbf", b" \n\t\n"])
def test_empty_text_is_refused(contents: bytes, tmp_path: Path) -> None:
    """Nothing, a byte order mark alone and blanks alone are no text."""
    (tmp_path / "empty.txt").write_bytes(contents)
    with pytest.raises(GptexpError, match="holds no text"):
        load_corpus(str(tmp_path / "empty.txt"))


@pytest.mark.parametrize(("prefix", "offset"), [(b"ab", 2), (b"\xef\xbb\xbfab", 5)])
def test_undecodable_byte_is_found(prefix: bytes, offset: int, tmp_path: Path) -> None:
    """The byte and its offset in the file (a byte order mark counts) are named, also within a folder."""
    (tmp_path / "latin1.txt").write_bytes(prefix + b"\xe4\x20")
    for name in (tmp_path / "latin1.txt", tmp_path):
        with pytest.raises(GptexpError, match=rf"latin1\.txt .*byte 0xe4 at offset {offset} ") as error:
            load_corpus(str(name))
        one_sentence(error)


def test_folder_without_text_is_refused(tmp_path: Path) -> None:
    """The expected suffixes are named."""
    (tmp_path / "image.png").write_bytes(b"")
    with pytest.raises(GptexpError, match=r"holds no text file \(expected \*\.txt, \*\.md, \*\.rst, \*\.py\)"):
        load_corpus(str(tmp_path))


def test_unreadable_file_is_refused(tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without read permission is one sentence (root may read everything, so the refusal is played)."""

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(GptexpError, match=r"can't be read \(permission denied; ask its owner"):
        load_corpus(str(tiny_corpus))


def test_shipped_ranks_come_with_their_licence() -> None:
    """The note names the file's checksum and licence."""
    note = importlib.resources.files("gptexp.data").joinpath("RANKS-LICENSE.txt").read_text()
    assert "MIT License" in note
    assert "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930" in note


def test_without_a_network_nobody_waits_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When nobody named a corpus, a failed download isn't tried again for ten minutes; a named one always is."""
    monkeypatch.setenv("GPTEXP_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("GPTEXP_DATA_DIR", raising=False)
    tries = []

    def refuse(*_: object, **__: object) -> str:
        tries.append(1)
        raise OSError("no route to host")

    monkeypatch.setattr("pooch.retrieve", refuse)
    assert load_corpus(None).fallback
    assert load_corpus(None).fallback
    assert len(tries) == 1
    with pytest.raises(GptexpError, match="can't be downloaded"):
        load_corpus("tinyshakespeare")
    assert len(tries) == 2
