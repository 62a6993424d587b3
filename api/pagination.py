"""Long lists in pages: `limit`, an opaque `cursor`, and `Link: rel="next"` (RFC 8288)."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_CURSOR_CHARACTERS = 512


class PageRequest:
    """Which part of a list is asked for."""

    __slots__ = ("_request", "_response", "cursor", "limit")

    def __init__(
        self,
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many items")] = DEFAULT_LIMIT,
        cursor: Annotated[
            str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description="Where the page before this one ended")
        ] = None,
    ) -> None:
        self.limit = limit
        self.cursor = cursor
        self._request = request
        self._response = response

    def link_next(self, next_cursor: str | None) -> None:
        """Put the way to the next page in the answer's Link header, with the filters that this one had."""
        if next_cursor is None:
            return
        query = [(name, value) for name, value in self._request.query_params.multi_items() if name != "cursor"]
        target = f"{self._request.url.path}?{urlencode([*query, ('cursor', next_cursor)])}"
        self._response.headers["Link"] = f'<{target}>; rel="next"'


Paging = Annotated[PageRequest, Depends()]
