"""Asking nameservers, without waiting for more than one may: one question, one bounded answer (RFC 1035, RFC 6891).

The nameservers are trusted to resolve recursively; who wrote the records is not trusted with anything. So an answer is
measured before it is read, and what it says is judged elsewhere (`radius.discovery`). Each question goes out from a
port of its own, with an id of its own, and only that nameserver is heard (RFC 5452).
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from radius.discovery.records import Answer, Naptr, Question, Record, Srv, Status
from radius.discovery.walk import MAX_RECORDS

Nameserver: TypeAlias = tuple[str, int]

DNS_PORT: Final = 53
RESOLV_CONF: Final = Path("/etc/resolv.conf")
TRY_SECONDS: Final = 1.0  # then the next nameserver is asked, or the same one again
MAX_TRIES: Final = 3
MAX_DATAGRAMS: Final = 16  # to one question; a flood of others in the nameserver's name may not keep the loop busy
MAX_CNAMES: Final = 8
UDP_OCTETS: Final = 1232  # what travels without fragments (DNS flag day 2020); more comes by TCP
MAX_MESSAGE_OCTETS: Final = 8192  # a realm's records are a tenth of it
MAX_ANSWERS: Final = MAX_RECORDS + MAX_CNAMES  # reading them keeps the loop for some milliseconds, hundreds for tens
_HEADER: Final = struct.Struct("!6H")  # RFC 1035 §4.1.1

_log = logging.getLogger(__name__)


class _TooLarge(Exception):  # noqa: N818 - a condition, and never seen outside
    """An answer that is not worth reading."""


def read_nameservers(path: Path = RESOLV_CONF) -> tuple[Nameserver, ...]:
    """The nameservers of this machine; the machine itself where the file names none, as resolv.conf(5) has it."""
    found: list[Nameserver] = []
    with suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            match line.split():
                case ["nameserver", address, *_]:
                    with suppress(ValueError):
                        ip_address(address)
                        found.append((address, DNS_PORT))
                case _:
                    pass
    return tuple(found) or (("127.0.0.1", DNS_PORT),)


class Resolver:
    """Asks some nameservers in turn."""

    def __init__(self, nameservers: Sequence[Nameserver]) -> None:
        """At least one nameserver, by IP address and port; the first is preferred."""
        self._nameservers = tuple(nameservers)

    async def ask(self, question: Question, deadline: float) -> Answer:
        """Return the answer, or why there is none by `deadline` (the event loop's time); it raises nothing.

        A nameserver that fails is not asked again at once, one that is silent is. What fails everywhere has failed.
        """
        silent = list(self._nameservers) * MAX_TRIES
        outcome = Answer(Status.TIMED_OUT)
        for nameserver in silent[: max(MAX_TRIES, len(self._nameservers))]:
            now = asyncio.get_running_loop().time()
            if now >= deadline:
                return Answer(Status.TIMED_OUT)
            if nameserver not in silent:
                continue
            try:
                async with asyncio.timeout_at(min(deadline, now + TRY_SECONDS)):
                    answer = await _ask_one(question, nameserver)
            except TimeoutError:
                continue
            except (OSError, EOFError) as error:
                _log.debug("nameserver_unreachable", extra={"nameserver": nameserver[0], "error": str(error)})
                answer = Answer(Status.FAILED)
            if answer.status is not Status.FAILED:
                return answer
            outcome = answer
            silent = [each for each in silent if each != nameserver]
        return outcome


async def _ask_one(question: Question, nameserver: Nameserver) -> Answer:
    query = dns.message.make_query(
        dns.name.from_text(question.name), question.kind.value, use_edns=0, payload=UDP_OCTETS
    )
    try:
        answer = await _ask_by_udp(query, nameserver)
        if answer.flags & dns.flags.TC:
            answer = await _ask_by_tcp(query, nameserver)
        return read_answer(answer)
    except _TooLarge:
        return Answer(Status.TOO_LARGE)
    except dns.exception.DNSException:
        return Answer(Status.FAILED)


async def _ask_by_udp(query: dns.message.Message, nameserver: Nameserver) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in nameserver[0] else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) as udp:
        udp.connect(nameserver)  # a numeric address: nothing is looked up; others are not heard
        wire = query.to_wire()
        await loop.sock_sendall(udp, wire)
        for _ in range(MAX_DATAGRAMS):
            octets = await loop.sock_recv(udp, MAX_MESSAGE_OCTETS + 1)
            with suppress(dns.exception.DNSException):
                if octets[:2] == wire[:2] and query.is_response(answer := _read_message(octets)):
                    return answer
        raise dns.exception.FormError


async def _ask_by_tcp(query: dns.message.Message, nameserver: Nameserver) -> dns.message.Message:
    """RFC 7766; an answer that is too large is not even fetched."""
    reader, writer = await asyncio.open_connection(*nameserver, limit=MAX_MESSAGE_OCTETS)
    try:
        wire = query.to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        if length > MAX_MESSAGE_OCTETS:
            raise _TooLarge
        answer = _read_message(await reader.readexactly(length))
    finally:
        writer.transport.abort()
    if not query.is_response(answer):
        raise dns.exception.FormError
    return answer


def _read_message(octets: bytes) -> dns.message.Message:
    """The question and the answer section of a message; the others are not looked into, and cost nothing."""
    if len(octets) < _HEADER.size:
        raise dns.exception.FormError
    identifier, flags, questions, answers, _, _ = _HEADER.unpack_from(octets)
    if questions != 1:
        raise dns.exception.FormError
    if len(octets) > MAX_MESSAGE_OCTETS or answers > MAX_ANSWERS:
        raise _TooLarge
    head = _HEADER.pack(identifier, flags, questions, answers, 0, 0)
    return dns.message.from_wire(head + octets[_HEADER.size :], ignore_trailing=True)


def parse_answer(octets: bytes) -> Answer:
    """What a message says, as it came from the wire."""
    try:
        return read_answer(_read_message(octets))
    except _TooLarge:
        return Answer(Status.TOO_LARGE)
    except dns.exception.DNSException:
        return Answer(Status.FAILED)


def read_answer(message: dns.message.Message) -> Answer:
    """What a message says to its question."""
    if message.rcode() == dns.rcode.NXDOMAIN:
        return Answer(Status.NO_NAME)
    if message.rcode() != dns.rcode.NOERROR or not isinstance(message, dns.message.QueryMessage):
        return Answer(Status.FAILED)
    try:
        chain = message.resolve_chaining()
    except dns.message.ChainTooLong:
        return Answer(Status.CHAIN_TOO_LONG)
    if len(chain.cnames) > MAX_CNAMES:
        return Answer(Status.CHAIN_TOO_LONG)
    if chain.answer is None:
        return Answer(Status.NO_DATA)
    answer = cast("Iterable[object]", chain.answer)  # a set of dnspython's, which does not say of what
    records = tuple(record for each in answer if (record := read_record(each)) is not None)
    return Answer(Status.FOUND, records, chain.minimum_ttl)


def read_record(record: object) -> Record | None:
    """A record as plain values: names as text with escapes, so that no octet of them is lost or interpreted."""
    match record:
        case NAPTR():
            return Naptr(
                record.order,
                record.preference,
                _text(record.flags),
                _text(record.service),
                _text(record.regexp),
                record.replacement.to_text(),
            )
        case SRV():
            return Srv(record.priority, record.weight, record.port, record.target.to_text())
        case A() | AAAA():
            return ip_address(record.address)
        case _:
            return None


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")
