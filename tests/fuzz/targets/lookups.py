"""A realm whose owner writes the map: whatever its nameserver says, what is found may be gone to, and it ends.

Each field of the script is an answer: flags, the number of records, and the answer section as it comes from the wire.
"""

import struct
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Final

import dns.name
import dns.rdatatype

from radius.discovery.guards import MAX_SECONDS, MIN_SECONDS, Refusal, Rules, judge_address
from radius.discovery.records import Answer, Question, check_host, check_owner
from radius.discovery.walk import MAX_ADDRESSES, MAX_BRANCHES, MAX_STEPS, MAX_TARGETS, Found, walk
from radius.transport.nameservers import parse_answer
from tests.fuzz.script import Script

REALM: Final = "lib.example"
RULES: Final = Rules(own_names=frozenset({"login.test.example"}), allowed_networks=(ip_network("10.1.0.0/16"),))
_ROUNDS: Final = MAX_STEPS + 2  # of NAPTR, one of SRV, one of addresses


def exercise(octets: bytes) -> None:
    """The walk asks, the script answers."""
    script = Script(octets)
    fractions = script.take_octet() / 256
    steps = walk(REALM, RULES, lambda: fractions)
    rounds = 0
    try:
        questions = next(steps)
        while True:
            rounds += 1
            _check(questions, rounds)
            questions = steps.send([_answer(question, script.take_field()) for question in questions])
    except StopIteration as end:
        finding = end.value
    if isinstance(finding, Refusal):
        return
    assert isinstance(finding, Found)
    assert 0 < len(finding.targets) <= MAX_TARGETS
    assert MIN_SECONDS <= finding.seconds <= MAX_SECONDS
    for target in finding.targets:
        assert check_host(target.host) == target.host
        assert target.host not in RULES.own_names
        assert 0 < target.port <= 0xFFFF
        assert 0 < len(target.addresses) <= 2 * MAX_ADDRESSES
        assert all(judge_address(address, target.port, RULES) is None for address in target.addresses)


def _check(questions: Sequence[Question], rounds: int) -> None:
    assert rounds <= _ROUNDS
    assert len(questions) <= max(MAX_BRANCHES, 2 * MAX_TARGETS)
    assert all(check_owner(question.name) == question.name for question in questions)


def _answer(question: Question, field: bytes) -> Answer:
    asked = dns.name.from_text(question.name).to_wire()
    assert asked is not None
    tail = asked + struct.pack("!HH", dns.rdatatype.from_text(question.kind.value), 1)
    flags, count = (field[:2] + b"\0\0")[:2], field[2:3]
    head = b"\0\1" + bytes((0x80 | flags[0], flags[1] & 0x8F)) + b"\0\1\0" + (count or b"\0") + bytes(4)
    answer = parse_answer(head + tail + field[3:])
    assert isinstance(answer, Answer)
    return answer
