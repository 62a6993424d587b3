"""MD5 as the authenticators and the hidden attributes of RADIUS need it: started, copied and fed (RFC 1321)."""

from typing import TYPE_CHECKING, Protocol


class Digest(Protocol):
    """A running MD5, as `hashlib` gives it."""

    def copy(self) -> "Digest":
        """Return an independent digest with what went in so far."""
        ...

    def update(self, octets: bytes, /) -> None:
        """Put more octets in."""
        ...

    def digest(self) -> bytes:
        """Return the 16 octets."""
        ...


if TYPE_CHECKING:
    from collections.abc import Callable

    md5: Callable[[bytes], Digest]
else:
    try:
        # CPython's own MD5 starts in half the time of OpenSSL's, and a proxied login takes about 20 of them. It is
        # also there when OpenSSL runs in its FIPS mode. Some distributions leave it out.
        from _md5 import md5
    except ImportError:
        from functools import partial
        from hashlib import md5 as _openssl_md5

        md5 = partial(_openssl_md5, usedforsecurity=False)
