"""The native kernel (`_kernel.c`), where the installation has it; without it the Python beside each call does the same.

The kernel decides nothing: what it does not do it declines with None, and the Python that stands behind it answers.
"""

from importlib import import_module
from typing import Protocol, cast


class Kernel(Protocol):
    """What the extension module gives; secrets and filters are opaque to everybody else."""

    def find_attributes(self, datagram: bytes, /) -> tuple[bytes, bytes, list[int], int, bytes, bytes] | None:
        """Return what makes a `Packet`; None: the packet is not sound, and `parse_packet` says why."""
        ...

    def prepare_secret(self, secret: bytes, /) -> object:
        """Return a shared secret with its MD5 and HMAC-MD5 states."""
        ...

    def prepare_filter(
        self,
        request_marks: bytes,
        response_marks: bytes,
        bounds: bytes,
        salted_headers: bytes,
        vendor_default: int,
        vendor_actions: bytes,
        /,
    ) -> object:
        """Return the tables of an attribute filter.

        Raises:
            ValueError: a table has a length that can not be.
        """
        ...

    def rewrite_request(
        self,
        octets: bytes,
        identifier: int,
        authenticator: bytes,
        downstream: object,
        upstream: object,
        attribute_filter: object,
        appended: bytes,
        proxy_state: bytes,
        /,
    ) -> bytes | None:
        """Return what `rewrite.rewrite_request` would; None: it is not for the kernel."""
        ...

    def rewrite_response(
        self,
        octets: bytes,
        identifier: int,
        request_authenticator: bytes,
        own_request_authenticator: bytes,
        downstream: object,
        upstream: object,
        attribute_filter: object,
        proxy_states: bytes,
        proxy_state: bytes,
        appended: bytes,
        /,
    ) -> bytes | None:
        """Return what `rewrite.rewrite_response` would; None: it is not for the kernel."""
        ...

    def verify_request(self, octets: bytes, offset: int, secret: object, /) -> bool:
        """Return whether the Message-Authenticator at the offset is right for a request that is no accounting."""
        ...

    def verify_response(self, octets: bytes, offset: int, secret: object, request_authenticator: bytes, /) -> int:
        """Return 0, or 1 if the Response Authenticator is wrong, or 2 if the Message-Authenticator at the offset is.

        An offset of 0 says that there is none.
        """
        ...


def load_kernel() -> Kernel | None:
    """Return the kernel of this installation; None: there is none."""
    try:
        module = import_module("radius.wire._kernel")
    except ImportError:  # it was not asked for at installation
        return None
    return cast("Kernel", module)  # an extension module has no types; the tests hold it to the protocol
