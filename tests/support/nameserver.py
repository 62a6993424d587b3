"""Nameservers for the tests: a real Knot with zones of their own, and one that answers as it is told."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import dns.rrset

from tests.support.processes import Program, free_port, require_program

Answering = Callable[[dns.message.Message], bytes | None]  # None: silence


def start_knot(folder: Path, *, port: int, zones: Mapping[str, str | None]) -> Program:
    """Knot on 127.0.0.1, UDP and TCP, authoritative for the zones; one without text is there and fails (SERVFAIL)."""
    program = require_program("knotd", "knot")
    folder.mkdir(parents=True, exist_ok=True)
    configured = ""
    for name, text in zones.items():
        file = folder / f"{name}.zone"
        if text is not None:
            head = f"$ORIGIN {name}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 9.9.9.1\n"
            file.write_text(head + text)
        configured += f"  - domain: {name}\n    file: {file}\n"
    configuration = folder / "knot.conf"
    configuration.write_text(
        f"server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n"
        f"  background-workers: 1\nlog:\n  - target: stdout\n    any: info\n"
        f"database:\n  storage: {folder}\nzone:\n{configured}"
    )
    process = Program([program, "-c", configuration], folder / "output.log")
    loaded = [f"[{name}.] loaded" for name, text in zones.items() if text is not None]
    return process.wait_ready(
        lambda: "server started" in process.output and all(line in process.output for line in loaded)
    )


class _Responder(asyncio.DatagramProtocol):
    def __init__(self, answer: Answering, delay: float, before: Sequence[bytes]) -> None:
        self.answer = answer
        self.before = before
        self.delay = delay
        self.asked = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # which it is not by its class

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        octets = self.answer(dns.message.from_wire(data))
        for noise in self.before:
            self.send(noise, addr)
        if octets is not None:
            asyncio.get_running_loop().call_later(self.delay, self.send, octets, addr)

    def send(self, octets: bytes, addr: tuple[str, int]) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.sendto(octets, addr)


class Scripted:
    """A nameserver of the test's own: its address, and how often it was asked."""

    def __init__(self, port: int, responder: _Responder) -> None:
        self.nameserver = ("127.0.0.1", port)
        self._responder = responder

    @property
    def asked(self) -> int:
        return self._responder.asked


@asynccontextmanager
async def scripted_nameserver(
    answer: Answering, *, delay: float = 0, before: Sequence[bytes] = (), tcp: bytes | None = None
) -> AsyncGenerator[Scripted]:
    """Answer each question over UDP as told, after the delay and other datagrams; over TCP these octets."""
    port = free_port()
    loop = asyncio.get_running_loop()
    transport, responder = await loop.create_datagram_endpoint(
        lambda: _Responder(answer, delay, before), local_addr=("127.0.0.1", port)
    )
    servers: list[asyncio.Server] = []
    if tcp is not None:

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(2)
            writer.write(tcp)
            writer.close()

        servers.append(await asyncio.start_server(converse, "127.0.0.1", port))
    try:
        yield Scripted(port, responder)
    finally:
        transport.close()
        for server in servers:
            server.close()
        await asyncio.sleep(0)


def answer_with(*records: str, ttl: int = 300, flags: int = 0, rcode: int = 0) -> Answering:
    """Every question has these records, written as in a zone file, under the name that was asked for."""

    def answer(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.flags |= flags
        reply.set_rcode(dns.rcode.Rcode(rcode))
        question = query.question[0]
        if records:
            reply.answer.append(dns.rrset.from_text(question.name, ttl, "IN", question.rdtype, *records))
        return reply.to_wire()

    return answer
