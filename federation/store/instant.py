"""A look at the database that does not wait: for an event loop, where a thread's round trip costs ten times the query.

SQLite answers from a file of this machine, most often out of memory, and a reader in its WAL mode waits for no writer;
so the loop may ask by itself. It asks on a connection of its own, past SQLAlchemy, which needs ten times as long as
SQLite for a row. Whenever that can not be said (another database, a lock, an error, a disk that took long just now)
the answer is `NotNow`, and who asked does so again in a thread, which may wait and says what is wrong.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVarTuple, cast

from sqlalchemy import Select

from federation.store.session import Store, build_file_uri

SLOW_SECONDS: Final = 0.05  # for one row: the disk is not what it should be, if it is not the processor
REST_SECONDS: Final = 10.0  # after that, and after an error

Columns = TypeVarTuple("Columns")


class NotNow(Exception):  # noqa: N818 - no error: ask in a thread
    """The database can not be asked without waiting."""


class InstantLookUp(Generic[*Columns]):
    """One statement for the one row that there may be; safe to share between threads."""

    def __init__(self, store: Store, statement: "Select[*Columns]", clock: Callable[[], float] = monotonic, /) -> None:
        """Nothing is opened yet; `clock` gives seconds and never goes back."""
        self._clock = clock
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = build_file_uri(store.url.database) if store.is_sqlite and store.url.database else ""
        self._not_before = 0.0 if self._file else float("inf")
        dialect = store.engine.dialect
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()
        kinds = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
        # From SQLite's numbers and texts to the statement's types, as SQLAlchemy does it; None: they are the same.
        self._readers: list[Callable[[Any], Any] | None] = [kind.result_processor(dialect, None) for kind in kinds]

    def ask(self, values: Mapping[str, object]) -> "tuple[*Columns] | None":
        """The row, or None when there is none.

        Raises:
            NotNow: it can not be had without waiting, or not at all.
        """
        began = self._clock()
        if began < self._not_before or not self._lock.acquire(blocking=False):
            raise NotNow
        try:
            rows = self._open().execute(self._text, [values[name] for name in self._names]).fetchall()
        except sqlite3.Error:
            self._not_before = began + REST_SECONDS
            self._drop()
            raise NotNow from None
        finally:
            self._lock.release()
        if self._clock() - began > SLOW_SECONDS:
            self._not_before = began + REST_SECONDS
        if not rows:
            return None
        (row,) = rows
        read = [value if reader is None else reader(value) for value, reader in zip(row, self._readers, strict=True)]
        return cast("tuple[*Columns]", tuple(read))

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            name = f"{self._file}?mode=rw"  # a reader of WAL writes to what it shares with others
            self._connection = sqlite3.connect(name, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA query_only = ON")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """The connection is closed; the next look opens another."""
        with self._lock:
            self._drop()
