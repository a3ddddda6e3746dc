"""The watched page follows the records, and only those see it who should."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gptexp.cli.watch import list_running
from gptexp.errors import GptexpError
from gptexp.report.build import make_report
from gptexp.report.document import BuiltReport
from gptexp.report.watch import PageServer, Watcher, read_fingerprint
from gptexp.runs.frames import load_frames
from tests.report.lesson_runs import lesson_runs
from tests.report.synthetic import write_runs


class Client:
    """Asks a server, with the headers that a browser would send."""

    def __init__(self, server: PageServer) -> None:
        self.port = int(server.server_address[1])

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{self.port}", **headers})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, content, dict(reply.getheaders())

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/state.json")[1]))


def serve(watcher: Watcher, host: str = "127.0.0.1") -> Iterator[PageServer]:
    with PageServer((host, 0), watcher) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def watch(runs_dir: Path) -> Watcher:
    def make() -> tuple[BuiltReport, list[dict[str, Any]]]:
        frames = load_frames(runs_dir)
        return make_report(None, runs_dir=runs_dir, frames=frames), list_running(frames)

    return Watcher(runs_dir, make, 0.1)


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    """Over an empty folder."""
    return watch(tmp_path / "runs")


@pytest.fixture
def client(watcher: Watcher) -> Iterator[Client]:
    for server in serve(watcher):
        yield Client(server)


def test_the_page_follows_the_records(watcher: Watcher, client: Client, tmp_path: Path) -> None:
    """Without records it says so; then the report is served byte for byte, and made again only when records change."""
    assert watcher.look()
    assert client.state()["version"] == 0
    assert "no folder" in client.state()["problem"]
    assert client.get("/page/index.html")[0] == 404
    runs = lesson_runs()[:2]
    write_runs(tmp_path / "runs", runs[:1])
    assert watcher.look()
    assert client.state()["version"] == 1
    assert client.state()["problem"] == ""
    assert not watcher.look(), "nothing has changed"
    first = client.get("/page/index.html")[1]
    assert first == make_report(None, runs_dir=tmp_path / "runs").files["index.html"].encode()  # type: ignore[union-attr]
    write_runs(tmp_path / "runs", runs[1:])
    assert watcher.look()
    assert client.state()["version"] == 2
    assert client.get("/page/index.html")[1] != first


def test_every_file_of_the_report_is_there(watcher: Watcher, client: Client, tmp_path: Path) -> None:
    """Figures too, as what they are; the frame around the page reads the state; nothing else of the disk is served."""
    write_runs(tmp_path / "runs", lesson_runs()[:1])
    watcher.look()
    for name, content in watcher.shown.files.items():
        status, found, headers = client.get(f"/page/{name}")
        assert status == 200, name
        assert len(found) == len(content if isinstance(content, bytes) else content.encode())
        assert headers["X-Content-Type-Options"] == "nosniff"
    svg = next(name for name in watcher.shown.files if name.endswith(".svg"))
    assert client.get(f"/page/{svg}")[2]["Content-Type"].startswith("image/svg+xml")
    assert b"state.json" in client.get("/")[1]
    for path in ("/page/../../etc/passwd", "/etc/passwd", "/page/%2e%2e/config.json", "/runs", "/page/"):
        assert client.get(path)[0] == 404, path


def test_running_runs_are_named(tmp_path: Path) -> None:
    """Of a run without a result: its label, where it is, and its newest loss; one that is done is not among them."""
    runs = lesson_runs()[:2]
    write_runs(tmp_path / "runs", runs)
    folder = next(path for path in sorted((tmp_path / "runs").iterdir()) if path.is_dir())
    (folder / "result.json").unlink()
    (row,) = list_running(load_frames(tmp_path / "runs"))
    frames = load_frames(tmp_path / "runs", {folder.name})
    assert row["step"] == frames.steps["step"].max()
    assert row["max_steps"] >= row["step"]
    assert row["train_loss"] == pytest.approx(frames.steps["train_loss"].iloc[-1])
    assert "seed" in row["label"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_run_before_its_first_evaluation_is_shown(tmp_path: Path) -> None:
    """What has no number yet is one dash, and nothing warns."""
    write_runs(tmp_path / "runs", lesson_runs()[:2])
    for folder in (tmp_path / "runs").iterdir():
        (folder / "result.json").unlink()
        log = folder / "records.jsonl"
        log.write_text("".join(line for line in log.open() if '"kind": "step"' in line or '"kind":"step"' in line))
    files = make_report(None, runs_dir=tmp_path / "runs").files
    page = files["index.html"]
    assert isinstance(page, str)
    assert "unfinished" in page
    assert "––" not in page


def test_another_web_page_can_not_read_it(client: Client) -> None:
    """A page elsewhere whose name leads to this machine (DNS rebinding) is refused."""
    for host in ("evil.example", "evil.example:8765", ""):
        assert client.get("/state.json", Host=host)[0] == 403, host
    for host in ("127.0.0.1:1", "localhost", "[::1]:8765"):
        assert client.get("/state.json", Host=host)[0] == 200, host


def test_elsewhere_a_token_is_asked_for(watcher: Watcher) -> None:
    """On another address only the printed address opens the page; from then on the cookie does."""
    for server in serve(watcher, "0.0.0.0"):
        client = Client(server)
        assert server.token
        assert server.url.endswith(f"?token={server.token}")
        for path, headers in (("/", {}), ("/state.json?token=wrong", {}), ("/", {"Cookie": "gptexp=wrong"})):
            assert client.get(path, **headers)[0] == 403
        for words in ("/?token=%C3%A9", "/?token=%ff"):
            assert client.get(words)[0] == 403, "no text that isn't ASCII is the token"
        assert client.get("/", Cookie="gptexp=\xe9")[0] == 403
        status, _, headers = client.get(f"/?token={server.token}", Host="somewhere.example")
        assert status == 200
        assert "HttpOnly" in headers["Set-Cookie"]
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert client.get("/state.json", Cookie=cookie, Host="somewhere.example")[0] == 200


def test_a_record_is_a_change(tmp_path: Path) -> None:
    """A line more in a log is seen; a folder that isn't there is no error."""
    assert read_fingerprint(tmp_path / "none") == ()
    write_runs(tmp_path / "runs", lesson_runs()[:1])
    before = read_fingerprint(tmp_path / "runs")
    log = next((tmp_path / "runs").glob("*/records.jsonl"))
    with log.open("a") as file:
        file.write("{}\n")
    assert read_fingerprint(tmp_path / "runs") != before


def test_an_address_can_not_write_headers(client: Client) -> None:
    """What stands behind `token=` is not given back, and no address or Host is an error of the server."""
    status, _, headers = client.get("/?token=x%0d%0aSet-Cookie:%20a=b")
    assert (status, "Set-Cookie" in headers) == (200, False)
    assert client.get("//[x")[0] in (400, 404)
    assert client.get("/state.json", Host="[")[0] == 403


def test_a_failure_while_a_page_is_made_ends_nothing(tmp_path: Path) -> None:
    """Whatever goes wrong is said on the page, the last page stays, and the next change of the records is a new try."""
    write_runs(tmp_path, lesson_runs()[:1])
    made = iter([OSError("gone\nmore"), GptexpError("no")])

    def make() -> Any:
        raise next(made)

    watcher = Watcher(tmp_path, make, 0.1)
    assert watcher.look()
    assert watcher.shown.problem == "the page could not be made (OSError: gone)"
    (next(tmp_path.glob("*/records.jsonl"))).write_text("x")
    assert watcher.look()
    assert watcher.shown.problem == "no"
