"""What a role logs and how it looks: events with fields, for a person at a terminal or as JSON for a collector.

Modules log through the standard library (`logging.getLogger(__name__).info("event_name", extra={…})`); structlog
renders here. Three promises: a line has a bound and no control characters, so that nobody writes lines of their own
into the log by way of a user name; secrets do not appear; and a log that can not be written stops no role, nor slows
it: lines are rendered and written by a thread of their own, from a queue that drops new lines when it is full.
"""

import atexit
import logging
import queue
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from config.settings import LogFormat, LogLevel

MAX_VALUE_CHARACTERS = 1_000
MAX_TRACE_CHARACTERS = 8_000
MAX_FIELDS = 40
MAX_DEPTH = 4
QUEUE_LINES = 10_000
FLUSH_SECONDS = 1.0  # at the end of a role; a log that is stuck for longer loses its last lines
HIDDEN = "…"

# Names of fields that hold secrets; whoever logs one made a mistake that this makes good.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:secret|password|passwd|passphrase|token|authorization|private_key|node_key|msk|mppe\w*|nt_hash)$",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"bbr_([A-Za-z0-9]{1,32})_[A-Za-z0-9]+")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s/@]+@")

_EventDict = MutableMapping[str, Any]  # structlog's own type: an event is a dict of anything


class QueuedHandler(logging.Handler):
    """Renders and writes records in a thread; a full queue drops the newest and counts."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.dropped = 0
        self.failed = 0
        self._stream = stream
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE_LINES)
        self._thread = threading.Thread(target=self._write_records, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record in the queue; never waits, never raises."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued, for two seconds at most."""
        if self._thread.is_alive():
            with suppress(queue.Full):
                self._queue.put(None, timeout=FLUSH_SECONDS)
                self._thread.join(FLUSH_SECONDS)
        super().close()

    def _write_records(self) -> None:
        told = 0
        while (record := self._queue.get()) is not None:
            if self.dropped > told:
                told, lost = self.dropped, self.dropped - told
                self._write(_build_record("log_lines_dropped", {"count": lost}))
            self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        try:
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

    def add_fields(_logger: object, _name: str, event: _EventDict) -> _EventDict:
        return {**event, **{name: value for name, value in constant.items() if name not in event}}

    renderer: structlog.typing.Processor
    if log_format is LogFormat.CONSOLE:
        renderer = structlog.dev.ConsoleRenderer(
            colors=_is_terminal(output), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=True)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_fields,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clean_event,
            renderer,
        ],
    )
    handler = QueuedHandler(output)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for earlier in root.handlers[:]:
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.raiseExceptions = False
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy"):  # a line for each request or statement helps nobody
        logging.getLogger(name).setLevel(logging.WARNING)
    atexit.register(handler.close)
    return handler


def clean_event(_logger: object, _name: str, event: _EventDict) -> _EventDict:
    """Bound, escape and redact every field of an event; the last step before it is rendered."""
    cleaned: dict[str, Any] = {}  # Any: as structlog has it
    for name, value in list(event.items())[:MAX_FIELDS]:
        limit = MAX_TRACE_CHARACTERS if name == "exception" else MAX_VALUE_CHARACTERS
        is_secret = value is not None and _SECRET_NAME.search(name) is not None
        cleaned[clean_text(name, 100)] = HIDDEN if is_secret else _clean(value, limit, MAX_DEPTH, keep=name)
    return cleaned


def clean_text(text: str, limit: int = MAX_VALUE_CHARACTERS, *, keep: str = "") -> str:
    r"""The text in at most `limit` characters, secrets hidden, without characters that move a cursor or a line.

    `keep` holds characters that stay as they are ("\n" in a traceback).
    """
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", _TOKEN.sub(rf"bbr_\1_{HIDDEN}", text))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _clean(value: object, limit: int, depth: int, *, keep: str = "") -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _clean_nested(cast("Mapping[object, object] | list[object]", value), limit, depth)  # narrowed above
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value)} octets)"  # octets are packets, keys or passwords; none of them belongs here
    return clean_text(str(value), limit, keep="\n" if keep == "exception" else "")


def _clean_nested(value: Mapping[object, object] | list[object], limit: int, depth: int) -> object:
    if depth == 0:
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            clean_text(str(name), 100): HIDDEN if _SECRET_NAME.search(str(name)) else _clean(item, limit, depth - 1)
            for name, item in list(value.items())[:MAX_FIELDS]
        }
    return [_clean(item, limit, depth - 1) for item in list(value)[:MAX_FIELDS]]


def _build_record(event: str, fields: Mapping[str, object]) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, event, None, None)
    record.__dict__.update(fields)
    return record


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False
