"""One revocation list over HTTP: bounded in time, in octets and in where it may lead.

RFC 5280 §8 warns of lists over https, whose server's certificate may need the same list; plain http is enough, since a
list is signed. Who answers there may be anybody, so nothing of an answer is shown to anyone, and a redirection does not
lead into this machine's own network unless the operator's URL did.
"""

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import httpx

FETCH_SECONDS: Final = 30.0  # for all of it, redirections too
MAX_REDIRECTS: Final = 3
_AGENT: Final = "biebroam"
_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})


class FetchFailed(Exception):  # noqa: N818 - the condition is the name
    """A list that could not be had; the message says why and repeats nothing of the answer."""


def fetch_list(url: str, max_octets: int, seconds: float = FETCH_SECONDS) -> bytes:
    """The octets at *url*. It runs an event loop of its own: call it in a thread.

    Raises:
        FetchFailed: nobody answered, not in time, not with 200, with too many octets, or it led somewhere else.
    """
    try:
        return asyncio.run(_fetch(url, max_octets, seconds))
    except TimeoutError:
        raise FetchFailed(f"no whole answer within {seconds:.0f} s") from None


async def _fetch(url: str, max_octets: int, seconds: float) -> bytes:
    import httpx  # noqa: PLC0415 - a node without other authorities does without

    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(trust_env=False, timeout=seconds, headers={"User-Agent": _AGENT}) as client,
    ):
        may_stay_inside = await _leads_inside(url)
        for _ in range(1 + MAX_REDIRECTS):
            try:
                found = await _ask(client, url, max_octets)
            except httpx.HTTPError as error:
                raise FetchFailed(f"there is no answer: {type(error).__name__}") from None
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
            if urlsplit(url).scheme not in {"http", "https"}:
                raise FetchFailed("it leads to what is no web server")
            if not may_stay_inside and await _leads_inside(url):
                raise FetchFailed("it leads into a private network")
    raise FetchFailed(f"it leads on more than {MAX_REDIRECTS} times")


async def _ask(client: "httpx.AsyncClient", url: str, max_octets: int) -> bytes | str:
    """The octets, or where they are to be had."""
    # identity: a small answer that unpacks to a large one would pass the bound
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        if answer.status_code in _REDIRECTIONS and "location" in answer.headers:
            return answer.headers["location"]
        if answer.status_code != 200:
            raise FetchFailed(f"the answer is {answer.status_code}")
        content = bytearray()
        async for part in answer.aiter_raw():
            content += part
            if len(content) > max_octets:
                raise FetchFailed(f"the answer is longer than {max_octets} octets")
        return bytes(content)


async def _leads_inside(url: str) -> bool:
    """Whether a host's name has an address that is not of the public Internet."""
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise FetchFailed("its host has no address") from None
    return any(not ip_address(str(entry[4][0]).partition("%")[0]).is_global for entry in found)
