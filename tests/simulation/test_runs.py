"""Federations in memory, in bad weather: a share of the seeds here, the long search by `make simulation`."""

from collections.abc import Callable

import pytest

from tests.simulation.octets import ACCESS_ACCEPT, ACCESS_CHALLENGE, EAP_MESSAGE, read
from tests.simulation.plans import make_plan
from tests.simulation.runs import Run, play, play_seed
from tests.support.tampering import tamper

SEEDS_EACH = 10
LONG_SEEDS = 3000
SPEAKING_SEED = 2  # a plan with logins that a fault of the proxy can not escape


class TestFederation:
    @pytest.mark.parametrize("first", range(0, 100, SEEDS_EACH))
    def test_no_invariant_breaks(self, first: int) -> None:
        """Whatever is lost, forged, broken and changed: nobody gets what is not theirs, and all of it works again."""
        for seed in range(first, first + SEEDS_EACH):
            failure = play_seed(seed)
            assert failure is None, str(failure)

    @pytest.mark.long
    @pytest.mark.timeout(1200)
    def test_no_invariant_breaks_for_long(self) -> None:
        """The same for some thousands of seeds."""
        for seed in range(1000, 1000 + LONG_SEEDS):
            failure = play_seed(seed)
            assert failure is None, str(failure)

    def test_seed_plays_the_same_again(self) -> None:
        """A seed that failed can be looked at."""
        logs: list[list[str] | None] = []
        for _ in range(2):
            run = Run(make_plan(7), is_logged=True)
            run.play()
            logs.append(run.network.log)
        assert logs[0]
        assert logs[0] == logs[1]


def _turn_to_accept(kind: str, octets: bytes) -> bytes:
    return bytes((ACCESS_ACCEPT,)) + octets[1:] if kind == "answer" and octets[0] == ACCESS_CHALLENGE else octets


def _spoil_eap(kind: str, octets: bytes) -> bytes:
    packet = read(octets)
    eap = packet.first(EAP_MESSAGE) if packet else b""
    return octets.replace(eap, tamper(eap)) if kind == "request" and eap else octets


def _swallow_answers(kind: str, octets: bytes) -> bytes | None:
    return None if kind == "answer" else octets


def _change_identifier(kind: str, octets: bytes) -> bytes:
    return bytes((octets[0], octets[1] ^ 1)) + octets[2:] if kind == "answer" else octets


class TestWatchfulness:
    @pytest.mark.parametrize(
        "tamper", [_turn_to_accept, _spoil_eap, _swallow_answers, _change_identifier], ids=lambda each: each.__name__
    )
    def test_unfaithful_proxy_is_found(self, tamper: Callable[[str, bytes], bytes | None]) -> None:
        """A proxy that is not what it should be does not get through a run."""
        assert play(make_plan(SPEAKING_SEED), tamper=tamper) is not None

    def test_failure_is_made_small_and_tells_how_to_see_it_again(self) -> None:
        """Steps that do not matter are left out, and the seed is told."""
        failure = play_seed(SPEAKING_SEED, tamper=_swallow_answers)
        assert failure is not None
        assert len(failure.plan.steps) <= 1
        assert f"--seed {SPEAKING_SEED}" in str(failure)
        assert failure.log
