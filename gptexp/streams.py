"""Protects the standard streams: work continues if the reader goes away or can't read UTF-8."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

SPELLED = "gptexp.spelled"
"""Name of the codec error handler (`spell`) for characters that the stream's encoding lacks."""
PLAIN = {
    "–": "-",
    "−": "-",
    "·": "*",
    "…": "...",
    "“": '"',
    "”": '"',
    "→": "->",
    "±": "+/-",
    "×": "x",
    "²": "^2",
    "¹": "(1)",
    "∞": "inf",
    "σ": "sigma",
}
"""ASCII spellings of the special characters in gptexp's own sentences and tables."""


class Outlet(io.RawIOBase):
    """Writes bytes to a descriptor. After the first failure all further bytes are dropped without an error."""

    loss: OSError | None = None
    """The error of the first failed write; None if there was none."""
    work: str = ""
    """What continues although nothing can be written any more: printed on stderr at the first failure; empty prints
    nothing."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        """Write some of `data`, or drop all of it after a failure; returns the number of bytes written or dropped."""
        while self.loss is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # Another program has made the shared pipe non-blocking: wait until it takes data.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._give_up(error)
        return memoryview(data).nbytes

    def _give_up(self, error: OSError) -> None:
        self.loss = error
        # Child processes started from now on inherit /dev/null; a broken pipe would kill them with a signal.
        _point_to_nowhere(self._descriptor)
        if self.work:
            print(f"gptexp: {_describe_loss(error)}; {self.work}", file=sys.stderr, flush=True)


def guard_streams() -> None:
    """Make stdout and stderr drop what can't be written, and escape characters that their encoding lacks.

    A closed standard stream is opened on /dev/null. Otherwise the next opened file would get its descriptor, and with
    it everything that is printed. Streams that replaced the process's own (as in tests) keep their target.
    """
    codecs.register_error(SPELLED, spell)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _point_to_nowhere(descriptor)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = _guard(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _guard(sys.stderr, sys.__stderr__, 2)


def announce(work: str) -> None:
    """Set the message for stderr when stdout can't be written any more: for example, that a study continues."""
    if outlet := _find_outlet(sys.stdout):
        outlet.work = work


def finish_streams() -> str | None:
    """Flush stdout and stderr.

    Returns:
        A sentence that says why stdout could not be written. None if it was, if the reader closed the pipe, or if
        `announce` has reported the failure.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    outlet = _find_outlet(sys.stdout)
    if outlet is None or outlet.loss is None or outlet.loss.errno == errno.EPIPE or outlet.work:
        return None
    return f"{_describe_loss(outlet.loss)}; send the output elsewhere"


def spell(error: UnicodeError) -> tuple[str, int]:
    """A codec error handler: characters in `PLAIN` get their ASCII spelling, all others an escape (`\\u65e5`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in bad), error.end


def _guard(stream: TextIO | None, own: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(Outlet(descriptor)), encoding="utf-8", errors=SPELLED)
    # The console of Windows takes its own writer: bytes would be read in the code page of the console.
    is_console = os.name == "nt" and stream.isatty()
    if stream is own and _is_descriptor(stream, descriptor) and not is_console:
        at_once = bool(getattr(stream, "line_buffering", False) or getattr(stream, "write_through", False))
        stream.flush()
        return io.TextIOWrapper(
            io.BufferedWriter(Outlet(descriptor)), encoding=stream.encoding, errors=SPELLED, line_buffering=at_once
        )
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=SPELLED)
    return stream


def _is_descriptor(stream: TextIO, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):
        return False


def _find_outlet(stream: TextIO) -> Outlet | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Outlet) else None


def _describe_loss(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "the reader of the output is gone"
    return f"the output can't be written ({(error.strerror or str(error)).lower()})"


def _point_to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    # If `descriptor` was closed, os.open may have returned that same number, which must then be made inheritable.
    os.dup2(nowhere, descriptor)
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.close(nowhere)
