"""The stand-in for the W&B service: HTTP on 127.0.0.1, GraphQL by operation name, file streams, uploads.

Every operation is a function (store, variables) -> data in one of the `OPERATIONS` tables below. An operation that is
in none of them, or a row that doesn't fit, is an offence: it is noted, answered with status 400, and fails the test.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.loopback import reading, sweeps, writing
from tests.loopback.store import Offence, Refusal, Store
from tests.loopback.writing import Operation, read_key, take_stream, take_upload

OPERATIONS: dict[str, Operation] = {**writing.OPERATIONS, **sweeps.OPERATIONS, **reading.OPERATIONS}
"""The dispatch table. A module that answers more adds its own here."""

API_KEY = "0123456789abcdef0123456789abcdef01234567"
OPERATION_NAME = re.compile(r"\b(?:query|mutation)\s+(\w+)")


class LoopbackServer:
    """The service on a port of its own. Use as a context manager; afterwards `store.offences` should be empty."""

    def __init__(self) -> None:
        self.store = Store()
        self._http = _QuietServer(("127.0.0.1", 0), _make_handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._silent_until = 0.0
        self._closing = threading.Event()
        self.too_many = 0
        """How many of the next requests get status 429."""
        self.url = self.store.base_url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> LoopbackServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def stop_answering(self, seconds: float = float("inf")) -> None:
        """Take connections but answer none of them, for `seconds` or for good; what comes meanwhile is not taken in."""
        self._silent_until = time.monotonic() + seconds

    def answer_again(self) -> None:
        self._silent_until = 0.0

    def answer_429(self, requests: int) -> None:
        """Refuse that many of the next requests as too many."""
        self.too_many = requests

    def wait_while_silent(self) -> bool:
        """Hold a request while the server doesn't answer; returns whether it did."""
        held = False
        while time.monotonic() < self._silent_until and not self._closing.is_set():
            held = True
            self._closing.wait(0.1)
        return held


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client resets idle connections, and a killed one leaves them half open: no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_: LoopbackServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_GET

    def _handle(self) -> None:
        loopback = self.server_
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if loopback.wait_while_silent():
            self.close_connection = True
            return
        with loopback.store.lock:
            if loopback.too_many > 0:
                loopback.too_many -= 1
                self._answer(429, {"error": "too many requests"}, {"Retry-After": "1"})
                return
            try:
                status, answer = self._route(data)
            except Refusal as error:
                status, answer = 400, {"errors": [{"message": str(error)}]}
            except (Offence, KeyError, ValueError, TypeError) as error:
                loopback.store.offences.append(f"{self.command} {self.path}: {type(error).__name__}: {error}")
                status, answer = 400, {"errors": [{"message": str(error)}]}
        self._answer(status, answer)

    def _route(self, data: bytes) -> tuple[int, Any]:
        """Status and body of the answer."""
        store = self.server_.store
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        path = self.path.partition("?")[0].strip("/")
        match (self.command, path.split("/")):
            case "GET", ["healthz"]:
                return 200, {"ok": True}
            case "PUT", ["upload", *parts]:
                take_upload(store, unquote("/".join(parts)), data)
                return 200, {}
            case "POST", [*_, "metrics" | "logs"]:
                # The client asks whether its telemetry can go through the server, and takes 404 for no.
                return 404, {}
        if read_key(self.headers.get("Authorization", "")) != API_KEY:
            return 401, {"errors": [{"message": "wrong API key"}]}
        match (self.command, path.split("/")):
            case "POST", ["graphql"]:
                return 200, {"data": self._answer_graphql(json.loads(data))}
            case "POST", ["files", entity, project, run, "file_stream"]:
                return 200, take_stream(store, entity, project, run, json.loads(data))
        raise Offence("unknown address")

    def _answer_graphql(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found = OPERATION_NAME.search(body["query"])
        name = body.get("operationName") or (found.group(1) if found else "")
        if name not in OPERATIONS:
            raise Offence(f"unknown operation {name!r}: {' '.join(body['query'].split())}")
        self.server_.store.calls.append(name)
        return OPERATIONS[name](self.server_.store, body.get("variables") or {})

    def _answer(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _make_handler(loopback: LoopbackServer) -> type[_Handler]:
    return type("Handler", (_Handler,), {"server_": loopback})
