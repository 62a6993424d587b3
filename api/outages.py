"""A database that is away, locked or full: nobody's bug, and over in a while. The answer is 503 with Retry-After."""

import logging

from fastapi.responses import JSONResponse
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.problems import UNAVAILABLE, build_problem

RETRY_SECONDS = 5

_log = logging.getLogger(__name__)


def is_outage(error: Exception) -> bool:
    """Whether it says that the database can not be worked with now.

    SQLite says so of a lock that is held too long, a file that can not be opened, is none of its own, or has no room;
    PostgreSQL of a connection that is refused or lost. What is wrong with one statement is another matter.
    """
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeoutError)):
        return True
    # SQLite's "file is not a database" and "disk image is malformed" have no class of their own.
    return type(error) is DatabaseError


def answer_outage(error: Exception, request_id: str | None) -> JSONResponse:
    """503 with Retry-After (RFC 9110 §10.2.3); what the database said is in the log, not in the answer."""
    said = str(error.orig) if isinstance(error, DatabaseError) else type(error).__name__
    _log.warning("database_unavailable", extra={"request_id": request_id, "error": said})
    return build_problem(
        UNAVAILABLE,
        "the database can not be worked with now; nothing was changed",
        request_id=request_id,
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
