"""What a role logs and how it looks: events with fields, for a person at a terminal or as JSON for a collector.

Modules log through the standard library (`logging.getLogger(__name__).info("event_name", extra={…})`); structlog
renders (`config.rendering`). Three promises: a line has a bound and no control characters, so that nobody writes lines
of their own into the log by way of a user name; secrets do not appear; and a log that can not be written stops no
role, nor slows it: lines are rendered and written by a thread of their own, from a queue that drops new lines when it
is full. The thread also loads the renderer, at the first line: a worker that comes back is at work before that.
"""

import atexit
import logging
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TextIO

from config.settings import LogFormat, LogLevel

QUEUE_LINES = 10_000
TOGETHER_SECONDS = 0.02  # after some lines, before the next are looked for: each wake-up costs as much as a line
FLUSH_SECONDS = 2.0  # at the end of a role; a log that is stuck for longer loses its last lines


class QueuedHandler(logging.Handler):
    """Renders and writes records in a thread; a full queue drops the newest and counts."""

    def __init__(self, stream: TextIO, make_formatter: Callable[[], logging.Formatter]) -> None:
        """`make_formatter` is called in the thread, for the first record."""
        super().__init__()
        self.dropped = 0
        self.failed = 0
        self._stream = stream
        self._make_formatter = make_formatter
        self._queue: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_records, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record in the queue; never waits, never raises."""
        if self._queue.qsize() < QUEUE_LINES:
            self._queue.put(record)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued, for a few seconds at most."""
        self._closing.set()
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(FLUSH_SECONDS)
        super().close()

    def _write_records(self) -> None:
        told = 0
        while (record := self._queue.get()) is not None:
            if self.dropped > told:
                told, lost = self.dropped, self.dropped - told
                self._write(_build_record("log_lines_dropped", {"count": lost}))
            self._write(record)
            if self._queue.empty():
                self._closing.wait(TOGETHER_SECONDS)

    def _write(self, record: logging.LogRecord) -> None:
        try:
            if self.formatter is None:
                self.setFormatter(self._make_formatter())
            self._stream.write(self.format(record) + "\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001 - a full disk or a closed pipe must not end the thread; it is counted
            self.failed += 1


def configure_logging(
    level: LogLevel = LogLevel.INFO,
    log_format: LogFormat | None = None,
    *,
    stream: TextIO | None = None,
    fields: Mapping[str, object] | None = None,
) -> QueuedHandler:
    """All loggers of this process write to `stream` (standard error), each line with these `fields`."""
    output: TextIO = stream or sys.stderr
    log_format = log_format or (LogFormat.CONSOLE if _is_terminal(output) else LogFormat.JSON)
    constant = dict(fields or {})

    def make_formatter() -> logging.Formatter:
        from config.rendering import build_formatter  # noqa: PLC0415 - in the thread; see the module

        return build_formatter(log_format, constant, colours=_is_terminal(output))

    handler = QueuedHandler(output, make_formatter)
    root = logging.getLogger()
    for earlier in root.handlers[:]:
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.raiseExceptions = False
    # What no line says need not be found out for each: where in the source, in which thread, in which process.
    logging._srcfile = None  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # as its documentation advises
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(capture=True)
    for name in (
        "uvicorn",
        "uvicorn.error",
        "uvicorn.access",
        "alembic",
        "sqlalchemy",
    ):  # a line for each request or statement helps nobody
        logging.getLogger(name).setLevel(logging.WARNING)
    atexit.register(handler.close)
    return handler


def _build_record(event: str, fields: Mapping[str, object]) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, event, None, None)
    record.__dict__.update(fields)
    return record


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False
