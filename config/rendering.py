"""What a log line looks like: structlog renders events of the standard library, cleaned of what no log may hold."""

import logging
import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import structlog

from config.settings import LogFormat

MAX_VALUE_CHARACTERS = 1_000
MAX_TRACE_CHARACTERS = 8_000
MAX_FIELDS = 40
MAX_DEPTH = 4
HIDDEN = "…"

# Names of fields that hold secrets; whoever logs one made a mistake that this makes good.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:secret|password|passwd|passphrase|token|authorization|private_key|node_key|msk|mppe\w*|nt_hash)$",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"bbr_([A-Za-z0-9]{1,32})_[A-Za-z0-9]+")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s/@]+@")

_EventDict = MutableMapping[str, Any]  # structlog's own type: an event is a dict of anything


def build_formatter(log_format: LogFormat, fields: Mapping[str, object], *, colours: bool) -> logging.Formatter:
    """A formatter for records of the standard library; each line has these `fields` too."""

    def add_fields(_logger: object, _name: str, event: _EventDict) -> _EventDict:
        record: logging.LogRecord = event["_record"]
        when = datetime.fromtimestamp(record.created, UTC)  # when it happened, not when it is written
        event["timestamp"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {**event, **{name: value for name, value in fields.items() if name not in event}}

    renderer: structlog.typing.Processor
    if log_format is LogFormat.CONSOLE:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colours, pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=True)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            add_fields,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clean_event,
            renderer,
        ],
    )


def clean_event(_logger: object, _name: str, event: _EventDict) -> _EventDict:
    """Bound, escape and redact every field of an event; the last step before it is rendered."""
    cleaned: dict[str, Any] = {}  # Any: as structlog has it
    for name, value in list(event.items())[:MAX_FIELDS]:
        limit = MAX_TRACE_CHARACTERS if name == "exception" else MAX_VALUE_CHARACTERS
        clean_name, is_secret = _judge_name(name)
        cleaned[clean_name] = HIDDEN if is_secret and value is not None else _clean(value, limit, MAX_DEPTH, keep=name)
    return cleaned


@lru_cache(maxsize=1_000)  # names are the program's own, mostly
def _judge_name(name: str) -> tuple[str, bool]:
    """How a field's name appears, and whether its value may not."""
    return clean_text(name, 100), _SECRET_NAME.search(name) is not None


def clean_text(text: str, limit: int = MAX_VALUE_CHARACTERS, *, keep: str = "") -> str:
    r"""The text in at most `limit` characters, secrets hidden, without characters that move a cursor or a line.

    `keep` holds characters that stay as they are ("\n" in a traceback).
    """
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    if "bbr_" in text:
        text = _TOKEN.sub(rf"bbr_\1_{HIDDEN}", text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def _clean(value: object, limit: int, depth: int, *, keep: str = "") -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return clean_text(value, limit, keep="\n" if keep == "exception" else "")
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _clean_nested(cast("Mapping[object, object] | list[object]", value), limit, depth)  # narrowed above
    if isinstance(value, (bytes, bytearray)):
        return f"({len(value)} octets)"  # octets are packets, keys or passwords; none of them belongs here
    return clean_text(str(value), limit, keep="\n" if keep == "exception" else "")


def _clean_nested(value: Mapping[object, object] | list[object], limit: int, depth: int) -> object:
    if depth == 0:
        return HIDDEN
    if isinstance(value, Mapping):
        judged = ((_judge_name(str(name)), item) for name, item in list(value.items())[:MAX_FIELDS])
        return {name: HIDDEN if is_secret else _clean(item, limit, depth - 1) for (name, is_secret), item in judged}
    return [_clean(item, limit, depth - 1) for item in list(value)[:MAX_FIELDS]]
