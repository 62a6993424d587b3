"""One command of `biebroam` in this process: all but the start of an interpreter, which takes twenty times as long.

What is about the process itself (the console script, signals, roles, what a start loads) has a real one:
`DataDirectory.run_process`.
"""

import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from threading import Lock, Thread
from unittest.mock import patch

import pytest

import biebroam

ROLES = frozenset({"serve", "proxy", "home", "api", "recorder", "demo"})  # they configure the process that they run in

_ONE_AT_A_TIME = Lock()  # environment and standard streams are the process's


def run_here(
    arguments: Sequence[str], environment: Mapping[str, str], text: str, seconds: float
) -> subprocess.CompletedProcess[str]:
    """The command has run to its end, with these variables over this process's and *text* as standard input."""
    given, printed, complained = (TextIOWrapper(BytesIO(start.encode()), "utf-8") for start in (text, "", ""))
    status: list[int] = []
    # A thread of its own, because the test may be in an event loop, and a command has one too.
    thread = Thread(target=lambda: status.append(_run_main(arguments)), name="biebroam", daemon=True)
    with (
        _ONE_AT_A_TIME,
        patch.dict(os.environ, environment),
        patch.object(sys, "stdin", given),
        redirect_stdout(printed),
        redirect_stderr(complained),
    ):
        thread.start()
        thread.join(seconds)
    texts = [_read_all(stream) for stream in (printed, complained)]
    if not status:
        pytest.fail(f"biebroam {' '.join(arguments)} takes longer than {seconds:.0f} s\n{''.join(texts)}")
    return subprocess.CompletedProcess(["biebroam", *arguments], status[0], *texts)


def _read_all(stream: TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _run_main(arguments: Sequence[str]) -> int:
    """The exit status, by the rules of the interpreter."""
    try:
        biebroam.main(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as the interpreter does: whatever it is, it is printed
        traceback.print_exc()
        return 1
    return 0
