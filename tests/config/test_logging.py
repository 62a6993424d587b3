import io
import json
import logging
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.logging import QueuedHandler, configure_logging
from config.rendering import MAX_VALUE_CHARACTERS, clean_event, clean_text
from config.settings import LogFormat, LogLevel

Configure = Callable[..., QueuedHandler]


SWITCHES = ("raiseExceptions", "_srcfile", "logThreads", "logProcesses", "logMultiprocessing")


@pytest.fixture
def configure() -> Generator[Configure]:
    """configure_logging, undone at the end."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    switches = {name: getattr(logging, name) for name in SWITCHES}
    ours: list[QueuedHandler] = []

    def configured(*arguments: Any, **options: Any) -> QueuedHandler:
        root.handlers[:] = []  # pytest's own stay as they are
        ours.append(configure_logging(*arguments, **options))
        return ours[-1]

    yield configured
    for handler in ours:
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    for name, value in switches.items():
        setattr(logging, name, value)
    logging.captureWarnings(capture=False)


class Stuck(io.StringIO):
    """A log that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def write(self, text: str, /) -> int:
        self.free.wait(5)
        return super().write(text)


class Full(io.StringIO):
    """A full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


class TestJson:
    def test_line_is_one_object_with_the_fields(self, configure: Configure) -> None:
        """An event is one line of JSON with its fields, those of the role, level and time."""
        stream = io.StringIO()
        handler = configure(LogLevel.INFO, LogFormat.JSON, stream=stream, fields={"role": "proxy"})
        logging.getLogger("radius.test").warning("packet_dropped", extra={"peer": "192.0.2.1", "count": 3})
        handler.close()
        (line,) = stream.getvalue().splitlines()
        event = json.loads(line)
        assert event["event"] == "packet_dropped"
        assert (event["peer"], event["count"], event["role"], event["level"]) == ("192.0.2.1", 3, "proxy", "warning")
        assert event["timestamp"].endswith("Z")

    def test_trace_is_in_the_line(self, configure: Configure) -> None:
        """A traceback does not break the line."""
        stream = io.StringIO()
        handler = configure(LogLevel.INFO, LogFormat.JSON, stream=stream)
        try:
            int("boom")
        except ValueError:
            logging.getLogger("radius.test").exception("failed")
        handler.close()
        (line,) = stream.getvalue().splitlines()
        assert "ValueError: invalid" in json.loads(line)["exception"]

    def test_level_holds(self, configure: Configure) -> None:
        """Lines below the level are not written."""
        stream = io.StringIO()
        handler = configure(LogLevel.WARNING, LogFormat.JSON, stream=stream)
        logging.getLogger("radius.test").info("quiet")
        handler.close()
        assert stream.getvalue() == ""


class TestConsole:
    def test_line_stays_one_line(self, configure: Configure) -> None:
        """A user name with a line feed and an escape sequence writes no line of its own and moves no cursor."""
        stream = io.StringIO()
        handler = configure(LogLevel.INFO, LogFormat.CONSOLE, stream=stream)
        logging.getLogger("radius.test").info("asked", extra={"user": "a\nforged\x1b[2J\u202e"})
        handler.close()
        assert len(stream.getvalue().splitlines()) == 1
        assert "\x1b[2J" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()


class TestRedaction:
    @pytest.mark.parametrize(
        "name", ["secret", "shared_secret", "password", "user_password", "token", "Authorization", "msk", "nt_hash"]
    )
    def test_secret_fields_are_hidden(self, name: str) -> None:
        """A field that is named like a secret does not show its value, at any depth."""
        cleaned = clean_event(None, "", {"event": "x", name: "hunter2", "nested": {name: ["hunter2"]}})
        assert "hunter2" not in str(cleaned)

    def test_octets_are_counted_only(self) -> None:
        """Octets are packets, keys or passwords."""
        assert clean_event(None, "", {"event": "x", "packet": b"abc"})["packet"] == "(3 octets)"

    def test_tokens_and_passwords_in_texts_are_hidden(self) -> None:
        """A token, or a password in a URL, is hidden wherever it stands."""
        text = clean_text("bbr_AbC_dEf123 at postgresql://user:hunter2@host/name")
        assert text == "bbr_AbC_… at postgresql://user:…@host/name"

    def test_harmless_names_are_shown(self) -> None:
        """Not every word with "secret" in it is one."""
        assert clean_event(None, "", {"event": "x", "secret_changed_at": "today"})["secret_changed_at"] == "today"


class TestBounds:
    def test_long_value_is_cut(self) -> None:
        """A value has a bound, and says how long it was."""
        text = clean_text("x" * 5000)
        assert len(text) < MAX_VALUE_CHARACTERS + 40
        assert "5000" in text

    @given(st.text(max_size=200))
    def test_nothing_unprintable_is_left(self, text: str) -> None:
        """Whatever a peer sends, a line has printable characters only."""
        assert clean_text(text).isprintable()

    def test_deep_value_ends(self) -> None:
        """A value that contains itself ends."""
        deep: list[object] = []
        deep.append(deep)
        assert clean_event(None, "", {"event": "x", "deep": deep})["deep"]


class TestFailure:
    def test_full_disk_stops_nobody(self, configure: Configure) -> None:
        """A line that can not be written is counted, and the next one is tried."""
        handler = configure(LogLevel.INFO, LogFormat.JSON, stream=Full())
        logging.getLogger("radius.test").info("one")
        logging.getLogger("radius.test").info("two")
        handler.close()
        assert handler.failed == 2

    def test_stuck_log_drops_lines_and_waits_for_nobody(
        self, configure: Configure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the log takes nothing, lines beyond the queue are dropped; when it does again, their number is told."""
        monkeypatch.setattr("config.logging.QUEUE_LINES", 5)
        stream = Stuck()
        handler = configure(LogLevel.INFO, LogFormat.JSON, stream=stream)
        for _ in range(20):
            logging.getLogger("radius.test").info("line")
        assert handler.dropped >= 14
        stream.free.set()
        handler.close()
        assert "log_lines_dropped" in stream.getvalue()
