"""How a command reaches the API: over HTTP with a token, or in process on this machine's data directory.

There is one code path: what a command may do, what is checked and what is audited is the API's business in both cases.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, cast
from urllib.parse import quote, urlsplit

import typer

if TYPE_CHECKING:
    import asyncio

    import httpx

TOKEN_VARIABLE = "BIEBROAM_TOKEN"  # noqa: S105 - the name of a variable
TIMEOUT_SECONDS = 60.0
LOCAL_SECONDS = 3600.0  # an import in process may hash passwords for long
PAGE_ITEMS = 200


Locate: TypeAlias = Callable[[str], str]


class OpenApplication(Protocol):
    """Gives the API's application over a data directory; the composition root makes it."""

    def __call__(self, data: Path | None, /) -> AbstractContextManager[Any]:
        """An ASGI application that acts for the person at this terminal; closed at the end of the block."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Which registry the commands work on."""

    open_application: OpenApplication
    data: Path | None = None
    api: str | None = None  # a URL: over HTTP


def fail(message: str, status: int = 1) -> NoReturn:
    """Say on standard error what is wrong, and end with that exit status."""
    typer.echo(f"biebroam: {message}", err=True)
    raise typer.Exit(status)


class Api:
    """The API as a command sees it; what it refuses ends the command with its words."""

    def __init__(self, http: "httpx.AsyncClient", runner: "asyncio.Runner") -> None:
        """`http` is a client whose base URL is the API's; the runner makes its calls plain ones."""
        self._http = http
        self._runner = runner

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """The thing at that path."""
        return self._json(self.request("GET", path, query=query))

    def get_text(self, path: str) -> str:
        """The document at that path, which is no JSON."""
        return self.request("GET", path).text

    def list(self, path: str, **query: str | None) -> Iterator[dict[str, Any]]:
        """Everything in the list at that path, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, limit=PAGE_ITEMS, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def post(self, path: str, body: object, **query: str | None) -> dict[str, Any]:
        """What a POST there made."""
        return self._json(self.request("POST", path, body, query))

    def put(self, path: str, body: object, *, locate: Locate | None = None, **query: str | None) -> dict[str, Any]:
        """What a PUT there made; `locate` says where a JSON pointer of the body stands in what the person wrote."""
        return self._json(self.request("PUT", path, body, query, locate=locate))

    def change(self, path: str, body: object) -> dict[str, Any]:
        """The thing after a merge patch (RFC 7396) of the version that stands there now."""
        return self._json(self.request("PATCH", path, body, headers=self._if_match(path)))

    def delete(self, path: str) -> None:
        """The thing that stands there now is gone."""
        self.request("DELETE", path, headers=self._if_match(path))

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str | int | None] | None = None,
        headers: Mapping[str, str] | None = None,
        locate: Locate | None = None,
    ) -> "httpx.Response":
        """The answer of the API, when it is no refusal; `source` is what asked, such as a file."""
        import httpx  # noqa: PLC0415 - `--help` does without

        parameters = {key: value for key, value in (query or {}).items() if value is not None}
        try:
            answer = self._runner.run(
                self._http.request(method, path, json=body, params=parameters, headers=dict(headers or {}))
            )
        except httpx.HTTPError as error:
            fail(f"can not reach the API at {self._http.base_url}: {error}")
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            fail(describe_problem(answer, locate))
        return answer

    def _if_match(self, path: str) -> dict[str, str]:
        etag = self.request("GET", path).headers.get("etag")
        return {"If-Match": etag} if etag else {}

    @staticmethod
    def _json(answer: "httpx.Response") -> dict[str, Any]:
        return cast("dict[str, Any]", answer.json()) if answer.content else {}  # the API's own JSON


def describe_problem(answer: "httpx.Response", locate: Locate | None = None) -> str:
    """A refusal of the API in words: what, where, and what to do (RFC 9457)."""
    try:
        problem = answer.json()
    except ValueError:
        return f"the API answered {answer.status_code}"
    lines = [str(problem.get("detail") or problem.get("title") or f"the API answered {answer.status_code}")]
    for error in problem.get("errors", ()):
        place = str(error.get("pointer") or error.get("parameter") or "").lstrip("#")
        if locate is not None:
            place = locate(place)
        lines.append(f"  {place}: {error.get('detail', '')}" if place else f"  {error.get('detail', '')}")
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        lines.append(f"  set {TOKEN_VARIABLE} to a token of that federation")
    return "\n".join(lines)


@contextmanager
def open_api(place: Place) -> Generator[Api]:
    """The API of that place, for as long as the block."""
    import httpx  # noqa: PLC0415 - `--help` does without

    if place.api is not None:
        http = httpx.AsyncClient(base_url=_check_url(place.api), headers=_token(), timeout=TIMEOUT_SECONDS)
        with _calling(http) as api:
            yield api
        return
    with place.open_application(place.data) as application:
        transport = httpx.ASGITransport(application, client=("local", 0), raise_app_exceptions=False)
        with _calling(
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=LOCAL_SECONDS)
        ) as api:
            yield api


@contextmanager
def _calling(http: "httpx.AsyncClient") -> Generator[Api]:
    import asyncio  # noqa: PLC0415 - `--help` does without

    with asyncio.Runner() as runner:
        try:
            yield Api(http, runner)
        finally:
            runner.run(http.aclose())


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        fail(f"{url!r} is no URL of an API, such as https://biebroam.example", 2)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        typer.echo("biebroam: warning: the token travels unencrypted; use https", err=True)
    return url


def _token() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        fail(f"set {TOKEN_VARIABLE} to a token of that federation", 2)
    return {"Authorization": f"Bearer {token}"}


def quoted(part: str) -> str:
    """A name as a part of a path."""
    return quote(part, safe="@")


def read_secret_file(path: str) -> str:
    """The text of a file, or of standard input for `-`, without the line end; secrets never stand on a command line."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        fail(f"can not read {path}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{path} is no text")
    return text.rstrip("\r\n")
