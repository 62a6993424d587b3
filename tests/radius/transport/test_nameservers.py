"""Asking nameservers."""

import asyncio
import random
import struct
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from radius.discovery.records import Answer, Kind, Naptr, Question, Srv, Status
from radius.transport.nameservers import (
    MAX_ANSWERS,
    MAX_CNAMES,
    MAX_DATAGRAMS,
    MAX_MESSAGE_OCTETS,
    MAX_TRIES,
    TRY_SECONDS,
    Nameserver,
    Resolver,
    read_answer,
    read_nameservers,
)
from tests.support.nameserver import answer_with, scripted_nameserver
from tests.support.processes import free_port

ADDRESS = Question("radius.lib.example", Kind.A)

OTHER = dns.message.make_response(dns.message.make_query("other.example", "A")).to_wire()


async def ask(*nameservers: Nameserver, question: Question = ADDRESS, seconds: float = 3.0) -> Answer:
    return await Resolver(nameservers).ask(question, asyncio.get_running_loop().time() + seconds)


def message(*records: str, question: str = "a.example A", rcode: int = dns.rcode.NOERROR) -> dns.message.Message:
    """A response as it would come, with these records as in a zone file."""
    name, kind = question.split()
    reply = dns.message.make_response(dns.message.make_query(name, kind))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    reply.answer += [dns.rrset.from_text(*_parts(record)) for record in records]
    return dns.message.from_wire(reply.to_wire())


def _parts(record: str) -> tuple[str, int, str, str, str]:
    owner, ttl, kind, value = record.split(" ", 3)
    return owner, int(ttl), "IN", kind, value


class TestAsk:
    """One question to nameservers of all kinds."""

    async def test_answer_has_records_and_ttl(self) -> None:
        """What the nameserver says is returned as plain values."""
        async with scripted_nameserver(answer_with("9.9.9.9", "9.9.9.10", ttl=77)) as server:
            answer = await ask(server.nameserver)
        assert answer.status is Status.FOUND
        assert set(answer.records) == {ip_address("9.9.9.9"), ip_address("9.9.9.10")}
        assert answer.ttl == 77

    async def test_ttl_of_two_to_the_31_counts_as_nothing(self) -> None:
        """A TTL with the highest bit set is 0 (RFC 2181 §8)."""
        async with scripted_nameserver(answer_with("9.9.9.9", ttl=2**31)) as server:
            assert (await ask(server.nameserver)).ttl == 0

    async def test_other_nameserver_is_asked_when_one_fails(self) -> None:
        """SERVFAIL of one nameserver, or nobody there, is no answer while another may have one."""
        async with (
            scripted_nameserver(answer_with(rcode=dns.rcode.SERVFAIL)) as failing,
            scripted_nameserver(answer_with("9.9.9.9")) as good,
        ):
            closed = ("127.0.0.1", free_port())
            answer = await ask(failing.nameserver, closed, good.nameserver)
        assert answer.status is Status.FOUND
        assert failing.asked == 1

    async def test_failure_everywhere_is_failure_at_once(self) -> None:
        """When every nameserver has failed, nobody waits for the deadline, and each was asked once."""
        async with scripted_nameserver(answer_with(rcode=dns.rcode.REFUSED)) as failing:
            async with asyncio.timeout(0.8):
                answer = await ask(failing.nameserver, ("127.0.0.1", free_port()))
        assert answer.status is Status.FAILED
        assert failing.asked == 1

    async def test_silent_nameserver_is_asked_again_until_the_deadline(self) -> None:
        """A datagram may be lost; the question is repeated, and given up at the deadline."""
        began = asyncio.get_running_loop().time()
        async with scripted_nameserver(lambda _: None) as silent:
            answer = await ask(silent.nameserver, seconds=TRY_SECONDS * 1.5)
        assert answer.status is Status.TIMED_OUT
        assert silent.asked == 2 <= MAX_TRIES
        assert asyncio.get_running_loop().time() - began == pytest.approx(TRY_SECONDS * 1.5, abs=0.4)

    async def test_past_deadline_asks_nobody(self) -> None:
        """When time is up nothing is sent."""
        async with scripted_nameserver(answer_with("9.9.9.9")) as server:
            assert (await ask(server.nameserver, seconds=-1)).status is Status.TIMED_OUT
            assert server.asked == 0

    async def test_forged_answers_are_not_heard(self) -> None:
        """An answer with another id, to another question, or of noise is passed over; the right one counts."""
        right = answer_with("9.9.9.9")
        replies: list[bytes] = []

        def forge(query: dns.message.Message) -> bytes | None:
            other = dns.message.make_query("other.example", "A", id=query.id)
            strange = dns.message.make_query(query.question[0].name, "A", id=query.id ^ 1)
            replies[:] = [
                struct.pack("!H", query.id) + random.Random(1).randbytes(60),
                b"",
                struct.pack("!H", query.id),
                struct.pack("!6H", query.id, 0x8000, 2, 0, 0, 0),
                answer_with("6.6.6.6")(other) or b"",
                answer_with("6.6.6.6")(strange) or b"",
                query.to_wire(),
            ]
            return right(query)

        async with scripted_nameserver(forge, before=replies) as server:
            answer = await ask(server.nameserver)
        assert answer.records == (ip_address("9.9.9.9"),)

    async def test_flood_of_forged_answers_ends_the_question(self) -> None:
        """After some datagrams that are no answer the question is given up, whatever comes next."""
        async with scripted_nameserver(answer_with("9.9.9.9"), before=[bytes(12)] * MAX_DATAGRAMS) as server:
            assert (await ask(server.nameserver)).status is Status.FAILED

    async def test_truncated_answer_without_tcp_is_a_failure(self) -> None:
        """A nameserver that says "by TCP" and is not there by TCP has failed; its half answer is not used."""
        async with scripted_nameserver(answer_with("9.9.9.9", flags=dns.flags.TC)) as server:
            assert (await ask(server.nameserver)).status is Status.FAILED

    @pytest.mark.parametrize(
        ("tcp", "status"),
        [
            (struct.pack("!H", MAX_MESSAGE_OCTETS + 1), Status.TOO_LARGE),
            (b"", Status.FAILED),
            (b"\x00", Status.FAILED),
            (struct.pack("!H", 20) + bytes(19), Status.FAILED),
            (struct.pack("!H", 12) + bytes(12), Status.FAILED),
            (struct.pack("!H", 12) + b"\xff" * 12, Status.FAILED),
            (struct.pack("!H", len(OTHER)) + OTHER, Status.FAILED),
        ],
        ids=["too large", "empty", "half a length", "cut short", "header alone", "no header", "other question"],
    )
    async def test_bad_tcp_answer_is_refused(self, tcp: bytes, status: Status) -> None:
        """What is too large is not fetched; what ends early, or is no answer to the question, is a failure."""
        async with scripted_nameserver(answer_with(flags=dns.flags.TC), tcp=tcp) as server:
            assert (await ask(server.nameserver)).status is status

    async def test_answer_with_hundreds_of_records_is_not_read(self) -> None:
        """Reading hundreds of records would keep everybody else waiting; the header tells how many there are."""
        many = [f"9.9.9.{n}" for n in range(MAX_ANSWERS + 1)]
        async with scripted_nameserver(answer_with(*many)) as server:
            assert (await ask(server.nameserver)).status is Status.TOO_LARGE

    async def test_other_sections_are_not_looked_into(self) -> None:
        """What a nameserver adds to its answer is not read, be it wrong or much."""

        def answer(query: dns.message.Message) -> bytes:
            octets = answer_with("9.9.9.9")(query) or b""
            return octets[:8] + b"\xff\xff\xff\xff" + octets[12:] + bytes(100)

        async with scripted_nameserver(answer) as server:
            assert (await ask(server.nameserver)).records == (ip_address("9.9.9.9"),)

    async def test_datagram_that_is_too_large_is_not_read(self) -> None:
        """A datagram beyond the bound is not parsed, also when it answers the question."""
        async with scripted_nameserver(lambda query: query.to_wire() + bytes(MAX_MESSAGE_OCTETS)) as server:
            assert (await ask(server.nameserver)).status is Status.TOO_LARGE


class TestReadAnswer:
    """What a message says."""

    def test_chain_of_cnames_gives_its_shortest_ttl(self) -> None:
        """The TTL of each CNAME on the way counts."""
        answer = read_answer(message("a.example. 50 CNAME b.example.", "b.example. 300 A 9.9.9.9"))
        assert answer == Answer(Status.FOUND, (ip_address("9.9.9.9"),), 50)

    @pytest.mark.parametrize("length", [MAX_CNAMES + 1, 16, 30])
    def test_long_chain_is_refused(self, length: int) -> None:
        """More than a few CNAMEs in a row are not followed."""
        chain = [f"{'a' if n == 0 else f'c{n}'}.example. 300 CNAME c{n + 1}.example." for n in range(length)]
        answer = read_answer(message(*chain, f"c{length}.example. 300 A 9.9.9.9"))
        assert answer.status is Status.CHAIN_TOO_LONG

    def test_loop_of_cnames_is_refused(self) -> None:
        """CNAMEs that point at each other end."""
        answer = read_answer(message("a.example. 300 CNAME b.example.", "b.example. 300 CNAME a.example."))
        assert answer.status is Status.CHAIN_TOO_LONG

    @pytest.mark.parametrize(
        ("rcode", "status"),
        [
            (dns.rcode.NXDOMAIN, Status.NO_NAME),
            (dns.rcode.SERVFAIL, Status.FAILED),
            (dns.rcode.REFUSED, Status.FAILED),
            (dns.rcode.NOTIMP, Status.FAILED),
            (dns.rcode.NOERROR, Status.NO_DATA),
        ],
    )
    def test_status_follows_the_code(self, rcode: int, status: Status) -> None:
        """NXDOMAIN, an empty answer and the failures are told apart."""
        assert read_answer(message(rcode=rcode)).status is status

    def test_records_of_other_names_are_not_taken(self) -> None:
        """Records that nobody asked for do not get into the answer."""
        assert read_answer(message("other.example. 300 A 6.6.6.6")).status is Status.NO_DATA

    def test_odd_octets_stay_visible(self) -> None:
        """Characters of names come as escapes, those of fields one by one; nothing is cleaned."""
        answer = read_answer(
            message(
                'a.example. 300 NAPTR 1 2 "S" "X-T:radius.tls" "\\200" a\\;\\000b.example.', question="a.example NAPTR"
            )
        )
        assert answer.records == (Naptr(1, 2, "S", "X-T:radius.tls", "\xc8", "a\\;\\000b.example."),)
        answer = read_answer(message("a.example. 300 SRV 1 2 3 .", question="a.example SRV"))
        assert answer.records == (Srv(1, 2, 3, "."),)

    def test_record_of_another_kind_is_none(self) -> None:
        """Only the kinds that discovery knows are read."""
        assert read_answer(message("a.example. 300 TXT hello", question="a.example TXT")).records == ()


class TestReadNameservers:
    """Which nameservers this machine has."""

    def test_addresses_are_read_and_the_rest_is_not(self, tmp_path: Path) -> None:
        """Comments, options and lines that are no address are passed over."""
        file = tmp_path / "resolv.conf"
        file.write_text(
            "# nameserver 9.9.9.1\nsearch lib.example\nnameserver 9.9.9.9\nnameserver\nnameserver dns.example\n"
            "nameserver 2620:fe::9 ; second\noptions edns0\n\n"
        )
        assert read_nameservers(file) == (("9.9.9.9", 53), ("2620:fe::9", 53))

    def test_machine_itself_is_asked_without_a_file(self, tmp_path: Path) -> None:
        """Without the file, or without a nameserver in it, the one on this machine is meant (resolv.conf(5))."""
        assert read_nameservers(tmp_path / "missing") == (("127.0.0.1", 53),)
