"""Two people who change the same thing: versions as ETag, `If-Match` on every change, `If-None-Match` on a read.

RFC 9110 §13.1 says what the headers mean, RFC 6585 §3 why a change without one is refused.
"""

import re
from typing import Annotated

from fastapi import Depends, Header

_ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')  # RFC 9110 §8.8.3, ASCII only: ours are


class PreconditionRequired(Exception):  # noqa: N818 - the condition is the name
    """A change came without If-Match."""


class PreconditionFailed(Exception):  # noqa: N818
    """If-Match names no version that we could ever have given."""


class NotModified(Exception):  # noqa: N818
    """The reader has this version already (RFC 9110 §15.4.5)."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


def build_etag(version: int) -> str:
    """The strong entity tag of *version*."""
    return f'"{version}"'


def parse_if_match(
    if_match: Annotated[
        str | None, Header(description='The ETag of what you read, or "*" to change it whatever it is')
    ] = None,
) -> int | None:
    """The version that the change was made from, or None for any.

    A list of tags is not taken: nobody has read two versions of one thing.

    Raises:
        PreconditionRequired: there is no If-Match.
        PreconditionFailed: it is not one strong entity tag of ours (RFC 9110 §13.1.1 compares strongly).
    """
    if if_match is None:
        raise PreconditionRequired
    if if_match.strip() == "*":
        return None
    match = _ENTITY_TAG.fullmatch(if_match)
    if match is None or match[1] or not match[2].isdecimal() or len(match[2]) > 18:
        raise PreconditionFailed
    return int(match[2])


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether a reader with *if_none_match* has *etag* already (weak comparison, RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any((match := _ENTITY_TAG.fullmatch(tag)) and f'"{match[2]}"' == etag for tag in if_none_match.split(","))


IfMatch = Annotated[int | None, Depends(parse_if_match)]
IfNoneMatch = Annotated[str | None, Header(description="The ETag that you have: 304 when it is still so")]
