"""The records of a connection over memory: its handshake, what came in them, and records for what is to travel.

The extension module `_records` does this with one call for all that came and one for all that goes; where it was not
asked for at installation, or pyOpenSSL is not as it knows it, pyOpenSSL does the same, record by record.
"""

from collections.abc import Iterator
from enum import IntEnum
from importlib import import_module
from typing import Any, Final, Protocol, cast

from OpenSSL import SSL

from radius.errors import DropReason
from radius.wire.framing import PacketFrames

_READ_OCTETS: Final = 16_384  # a whole record (RFC 8446 §5.1); OpenSSL's binding makes a buffer of that size each time
# What the extension calls, with the types that it takes for granted.
_FUNCTIONS: Final = (
    ("SSL_read", "int(*)(SSL *, void *, int)"),
    ("SSL_write", "int(*)(SSL *, void *, int)"),
    ("BIO_read", "int(*)(BIO *, void *, int)"),
    ("BIO_write", "int(*)(BIO *, void *, int)"),
    ("SSL_get_error", "int(*)(SSL *, int)"),
    ("ERR_clear_error", "void(*)()"),
    ("SSL_do_handshake", "int(*)(SSL *)"),
)


class State(IntEnum):
    """Whether anything can still come."""

    OPEN = 0
    ENDED = 1  # the peer has said that it sends nothing more
    BROKEN = 2  # TLS failed; there may be an alert to send
    LOST = 3  # a Length that can not be: no packet is found after it (RFC 6613 §2.6.4)


class Records(Protocol):
    """One connection; `_records.Records` is one."""

    @property
    def state(self) -> int:
        """A `State`."""
        ...

    @property
    def pending_octets(self) -> int:
        """How many octets of an unfinished packet wait."""
        ...

    @property
    def is_established(self) -> bool:
        """Whether the handshake was gone on with by `shake_hands`, and has come to its end."""
        ...

    def shake_hands(self, octets: bytes, /) -> bytes:
        """Go on with the handshake; returns the records that are to travel, an alert among them when it has failed."""
        ...

    def read(self, octets: bytes, /) -> bytes:
        """Return all that the peer says with these octets, which may be nothing; for what is not cut into packets."""
        ...

    def receive(self, octets: bytes, /) -> list[bytes]:
        """Return the packets that are complete now, in order; those of a record with a bad Length are lost with it."""
        ...

    def seal(self, packets: list[bytes], /) -> bytes | None:
        """Return records, each with one packet, behind whatever waited to travel; None: nothing can be sent any more.

        FreeRADIUS (3.2, also its newest) takes one packet a record: as a server it ends a connection that brings a
        record with two, as a client it finds the second when something else comes.
        """
        ...

    def take(self) -> bytes:
        """Return what TLS itself has to say; empty: nothing."""
        ...


class PythonRecords:
    """The same with what pyOpenSSL offers to everybody."""

    def __init__(self, tls: SSL.Connection) -> None:
        """The connection is over memory, and nobody else's from now on."""
        self.state = State.OPEN
        self.is_established = False
        self.failure = ""  # why it is broken, in OpenSSL's words
        self._tls = tls
        self._frames = PacketFrames()

    @property
    def pending_octets(self) -> int:
        """How many octets of an unfinished packet wait."""
        return self._frames.pending_octets

    def shake_hands(self, octets: bytes, /) -> bytes:
        """Go on with the handshake; returns the records that are to travel, an alert among them when it has failed."""
        if self.state is State.OPEN and not self.is_established:
            if octets:
                self._tls.bio_write(octets)
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self.state, self.failure = State.BROKEN, describe(error)
            else:
                self.is_established = True
        return self.take()

    def read(self, octets: bytes, /) -> bytes:
        """Return all that the peer says with these octets, which may be nothing; for what is not cut into packets."""
        return b"".join(self._read(octets))

    def receive(self, octets: bytes, /) -> list[bytes]:
        """Return the packets that are complete now, in order; those of a record with a bad Length are lost with it."""
        packets: list[bytes] = []
        for piece in self._read(octets):
            found = self._frames.receive(piece)
            if isinstance(found, DropReason):
                self.state = State.LOST
            else:
                packets += found
        return packets

    def _read(self, octets: bytes) -> Iterator[bytes]:
        """What records carry, until no more is there, or nothing more can come."""
        if octets and self.state is State.OPEN:
            self._tls.bio_write(octets)
        while self.state is State.OPEN:
            try:
                yield self._tls.recv(_READ_OCTETS)
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.state = State.ENDED
            except SSL.Error as error:
                self.state, self.failure = State.BROKEN, describe(error)

    def seal(self, packets: list[bytes], /) -> bytes | None:
        """Return records with the packets, and whatever waited to travel before; None: nothing can be sent any more."""
        try:
            for packet in packets:
                self._tls.sendall(packet)
        except SSL.Error:
            return None
        return self.take()

    def take(self) -> bytes:
        """Return what TLS itself has to say; empty: nothing."""
        return take_records(self._tls)


def take_records(tls: SSL.Connection) -> bytes:
    """Return what waits to travel; empty: nothing."""
    pieces: list[bytes] = []
    try:
        while not pieces or len(pieces[-1]) == _READ_OCTETS:
            pieces.append(tls.bio_read(_READ_OCTETS))
    except SSL.Error:  # WantRead: there is nothing more
        pass
    return b"".join(pieces)


def explain(records: Records, tls: SSL.Connection) -> str:
    """Return why records are broken, in OpenSSL's words, whose queue of errors is empty afterwards."""
    if isinstance(records, PythonRecords):
        return records.failure
    try:
        tls.recv(1)  # the native part has left the words where pyOpenSSL looks for them
    except SSL.Error as error:
        return describe(error)
    return describe(SSL.Error())


def describe(error: SSL.Error) -> str:
    """Return what OpenSSL says, without what the peer may have put in."""
    details = error.args[0] if error.args else ()
    return str(details[0][-1]) if details and details[0] else "the connection ended"


class Native(Protocol):
    """The extension module `_records`, optional at installation."""

    def bind(self, *addresses: int) -> None:
        """OpenSSL's functions are there, in the order of `_FUNCTIONS`."""
        ...

    def Records(self, owner: object, ssl: int, into: int, out: int, /) -> Records:  # noqa: N802 - a class
        """Return the records of the connection whose structures are there; it is kept alive."""
        ...


def bind_native(module: Native) -> bool:
    """Whether the module knows now where the functions of pyOpenSSL's own OpenSSL are, and they are what it expects.

    That OpenSSL is inside of `cryptography`, and nothing else can be linked with it. No interface of either promises
    this way to it, so that whatever is not as expected is no error.
    """
    try:
        openssl: Any = import_module("cryptography.hazmat.bindings._rust")._openssl  # noqa: SLF001 - Any: it has no types
        addresses: list[int] = []
        for name, kind in _FUNCTIONS:
            function = openssl.ffi.addressof(openssl.lib, name)
            if openssl.ffi.typeof(function) is not openssl.ffi.typeof(kind):
                return False
            addresses.append(int(openssl.ffi.cast("uintptr_t", function)))
    except (ImportError, AttributeError, TypeError, ValueError):
        return False
    module.bind(*addresses)
    return True


def _load_native() -> Native | None:
    try:
        module = cast("Native", import_module("radius.tls._records"))  # the tests hold it to the protocol
    except ImportError:  # it was not asked for at installation
        return None
    return module if bind_native(module) else None


native: Native | None = _load_native()
"""None: there is none, or it can not be used here."""


def open_records(tls: SSL.Connection) -> Records:
    """Return the records of a connection over memory, which nobody else reads or writes from then on."""
    if native is not None:
        structures: list[Any] = [getattr(tls, name, None) for name in ("_ssl", "_into_ssl", "_from_ssl")]  # Any: cffi's
        if all(structures):
            ffi: Any = getattr(SSL, "_ffi")  # noqa: B009 - as above
            return native.Records(tls, *(int(ffi.cast("uintptr_t", each)) for each in structures))
    return PythonRecords(tls)
