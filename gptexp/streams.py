"""The standard streams: whoever reads them may leave, or read no UTF-8, and the work goes on all the same."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

SPELLED = "gptexp.spelled"
"""How a character is written that the reader's encoding lacks; the name of an error handler of Python's codecs."""
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
"""Of the characters that our own sentences and tables use."""


class Outlet(io.RawIOBase):
    """Bytes to a descriptor. After the first failure the rest is dropped: it is nobody's reason to stop."""

    loss: OSError | None = None
    """Why nothing can be written any more; None while all is well."""
    work: str = ""
    """What goes on when the reader leaves, and is announced then on stderr; empty for nothing to be said."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        """Write some of `data`, or drop all of it; returns how many bytes are dealt with."""
        while self.loss is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # Another program has made the pipe we share non-blocking.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._give_up(error)
        return memoryview(data).nbytes

    def _give_up(self, error: OSError) -> None:
        self.loss = error
        # What is started from now on writes to nowhere, too: a signal would end it.
        _point_to_nowhere(self._descriptor)
        if self.work:
            print(f"gptexp: {_describe_loss(error)}; {self.work}", file=sys.stderr, flush=True)


def guard_streams() -> None:
    """Make stdout and stderr drop what can't be written, and spell out what their encoding lacks.

    A stream that is closed leads to nowhere: otherwise the next file that is opened would take its descriptor, and
    get what is printed. Streams that somebody has put in place of the process's own keep their target.
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
    """Say `work` on stderr when stdout can't be written any more: that a study goes on, for example."""
    if outlet := _find_outlet(sys.stdout):
        outlet.work = work


def finish_streams() -> str | None:
    """Write what is still held back.

    Returns:
        Why stdout did not take all of it, as one sentence. None where it did, where the reader had seen enough, and
        where that was announced.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    outlet = _find_outlet(sys.stdout)
    if outlet is None or outlet.loss is None or outlet.loss.errno == errno.EPIPE or outlet.work:
        return None
    return f"{_describe_loss(outlet.loss)}; send the output elsewhere"


def spell(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encoders: our own typography in ASCII, everything else as an escape (`\\u65e5`)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in bad), error.end


def _guard(stream: TextIO | None, own: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(Outlet(descriptor)), encoding="utf-8", errors=SPELLED)
    if stream is own and _is_descriptor(stream, descriptor):
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
        return "the reader of the output has gone"
    return f"the output can't be written ({(error.strerror or str(error)).lower()})"


def _point_to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    # It may have got the very number. A duplicate is inherited by the processes that are started.
    os.dup2(nowhere, descriptor)
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.close(nowhere)
