"""A report that is made again as records come, and a small server that shows it in a browser.

The page itself is the report's, byte for byte: it stands in a frame, so that its content security policy holds. Around
it is a line that says what is being trained.
"""

from __future__ import annotations

import hmac
import http.server
import json
import mimetypes
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from gptexp.errors import GptexpError, read_first_line
from gptexp.files import list_folder, size_of
from gptexp.report.bundle import encode_content
from gptexp.report.document import BuiltReport
from gptexp.report.render import read_template

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "gptexp"
WATCHED = ("records.jsonl", "result.json", "members.jsonl")
REST = 9.0
"""After a report was made, so many times as long nothing is made: training keeps nine tenths of a core."""
Fingerprint = tuple[tuple[str, int], ...]


@dataclass
class Shown:
    """The newest report."""

    version: int = 0
    """Counts the reports; 0: none yet."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    made_at: str = ""
    problem: str = "no records yet"
    """Why there is no newer report; empty where there is one."""
    running: list[dict[str, Any]] = field(default_factory=list)
    """Runs that have begun and not ended: label, step, max_steps, train_loss."""


class Watcher:
    """Makes the report again whenever the records under a folder have changed."""

    def __init__(
        self, runs_dir: Path, make: Callable[[], tuple[BuiltReport, list[dict[str, Any]]]], every_s: float
    ) -> None:
        """
        Args:
            make: makes the report, and says what is running.
            every_s: seconds between two looks at the records.
        """
        self._runs_dir = runs_dir
        self._make = make
        self._every_s = every_s
        self._seen: Fingerprint | None = None
        self.shown = Shown()

    def run(self, stop: threading.Event) -> None:
        """Look and make until `stop` is set."""
        while not stop.is_set():
            started = time.perf_counter()
            made = self.look()
            spent = time.perf_counter() - started
            stop.wait(max(self._every_s, REST * spent) if made else self._every_s)

    def look(self) -> bool:
        """Make the report if the records have changed since the last look; whether it was tried."""
        found = read_fingerprint(self._runs_dir)
        if found == self._seen:
            return False
        self._seen = found
        try:
            report, running = self._make()
        except GptexpError as error:
            self.shown.problem = str(error)
            return True
        except Exception as error:
            # Files may go while they are read. The thread has to live: the next change of the records is another try.
            self.shown.problem = f"the page could not be made ({type(error).__name__}: {read_first_line(error)})"
            return True
        self.shown = Shown(self.shown.version + 1, report.files, time.strftime("%H:%M:%S"), "", running)
        return True


def read_fingerprint(runs_dir: Path) -> Fingerprint:
    """The size of every file that grows while runs are trained."""
    sizes = []
    try:
        for entry in list_folder(runs_dir, runs_dir):
            if entry.kind == "folder":
                for name in WATCHED:
                    try:
                        sizes.append((f"{entry.name}/{name}", size_of(runs_dir / entry.name / name, runs_dir)))
                    except OSError:
                        continue
    except OSError:
        return ()
    return tuple(sizes)


class PageServer(http.server.ThreadingHTTPServer):
    """Serves the newest report of a watcher.

    On the loopback address everybody on this machine may look, and requests that name another host are refused, since
    a web page elsewhere could send them. Any other address asks for the token.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], watcher: Watcher) -> None:
        """Raises OSError: the address can't be had."""
        super().__init__(address, _Handler)
        self.watcher = watcher
        self.token = None if address[0] in LOOPBACK else secrets.token_urlsafe(16)

    @property
    def url(self) -> str:
        host, port = str(self.server_address[0]), int(self.server_address[1])
        return f"http://{host}:{port}/" + (f"?token={self.token}" if self.token else "")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that goes away in the middle of an answer: its next request gets one."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PageServer
    server_version = "gptexp"
    sys_version = ""

    def do_GET(self) -> None:
        try:
            url = urllib.parse.urlsplit(self.path)
        except ValueError:
            self._answer(400, "text/plain", b"this is no address")
            return
        given = dict(urllib.parse.parse_qsl(url.query)).get("token", "")
        if not self._may(given):
            self._answer(403, "text/plain", b"open the address that gptexp watch printed, with its token")
            return
        shown = self.server.watcher.shown
        name = urllib.parse.unquote(url.path).removeprefix("/")
        if not name:
            self._answer(200, "text/html; charset=utf-8", read_template("watch.html").encode(), with_cookie=bool(given))
        elif name == "state.json":
            state = {"version": shown.version, "made_at": shown.made_at, "problem": shown.problem}
            self._answer(200, "application/json", json.dumps({**state, "running": shown.running}).encode())
        elif (content := shown.files.get(name.removeprefix("page/"))) is not None and name.startswith("page/"):
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            is_text = kind.startswith("text/") or kind == "image/svg+xml"
            self._answer(200, f"{kind}; charset=utf-8" if is_text else kind, encode_content(content))
        else:
            self._answer(404, "text/plain", b"there is no such file in the report")

    def _may(self, given: str) -> bool:
        """Whether the request comes from somebody who was told the address."""
        server = self.server
        if server.token is None:
            try:
                return urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname in LOOPBACK
            except ValueError:
                return False
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        # As bytes: texts are only compared where they are ASCII.
        tokens = [one.encode("utf-8", "replace") for one in (given, cookie.value if cookie else "")]
        return any(hmac.compare_digest(one, server.token.encode()) for one in tokens)

    def _answer(self, status: int, kind: str, content: bytes, *, with_cookie: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if with_cookie and (token := self.server.token):
            self.send_header("Set-Cookie", f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to whoever trains."""
