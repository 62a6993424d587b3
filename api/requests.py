"""What a route is handed: the registry, who asks, and the change that they ask for."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError

from api.conditions import NotModified, build_etag, is_unchanged
from api.ports import Ports
from api.security import find_actor
from federation.errors import VersionConflict
from federation.model import Actor
from federation.services.recent import RecentSnapshot
from federation.services.registry import Change, Registry


def find_registry(request: Request) -> Registry:
    """The registry that this application serves."""
    registry: Registry = request.app.state.registry
    return registry


def find_ports(request: Request) -> Ports:
    """What the application was given from outside."""
    ports: Ports = request.app.state.ports
    return ports


def find_recent(request: Request) -> RecentSnapshot:
    """The newest snapshot, as questions need it."""
    recent: RecentSnapshot = request.app.state.recent
    return recent


def verify_query(request: Request) -> None:
    """Return when the path knows every query parameter: a misspelt `dry_run` must not make a real change of a trial.

    Raises:
        RequestValidationError: there is one that it does not know.
    """
    known = set(_query_names(request.scope["route"].dependant))
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [
                {"type": "extra_forbidden", "loc": ("query", name), "msg": "there is no such parameter"}
                for name in unknown
            ]
        )


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


class ChangeRequest:
    """A change that somebody asks for, and why."""

    __slots__ = ("_reason", "_registry", "actor")

    def __init__(
        self,
        registry: Annotated[Registry, Depends(find_registry)],
        actor: Annotated[Actor, Depends(find_actor)],
        reason: Annotated[str, Query(max_length=500, description="Why; it is kept in the audit log")] = "",
    ) -> None:
        self.actor = actor
        self._registry = registry
        self._reason = reason

    @contextmanager
    def open(self, *, dry_run: bool = False) -> Generator[Change]:
        """The change itself: kept whole at the end of the block, or not at all."""
        with self._registry.change(self.actor, self._reason, dry_run=dry_run) as change:
            yield change


Source = Annotated[Registry, Depends(find_registry)]
Outside = Annotated[Ports, Depends(find_ports)]
Recent = Annotated[RecentSnapshot, Depends(find_recent)]
Changing = Annotated[ChangeRequest, Depends()]


def verify_version(current: int, expected: int | None) -> None:
    """Return when the thing is still what the asker read; None asks for no check.

    Called inside the change, so that nobody comes between.

    Raises:
        VersionConflict: it has changed since.
    """
    if expected is not None and current != expected:
        raise VersionConflict("it was changed since you read it; read it again and repeat the change")


def tag(response: Response, version: int, *, location: str | None = None) -> None:
    """The answer carries the version of what it shows and, for a new thing, where that is."""
    response.headers["ETag"] = build_etag(version)
    if location is not None:
        response.headers["Location"] = location


def tag_read(response: Response, version: int, if_none_match: str | None) -> None:
    """The answer to a read carries the version.

    Raises:
        NotModified: the reader has it already.
    """
    etag = build_etag(version)
    if is_unchanged(if_none_match, etag):
        raise NotModified(etag)
    response.headers["ETag"] = etag
