"""Retransmission as RFC 5080 §2.2.1 has it."""

import pytest

from radius.exchange.outstanding import DEFAULT_POLICY, RetransmissionPolicy, first_interval, next_interval


class TestIntervals:
    @pytest.mark.parametrize(("random", "expected"), [(0.0, 1.8), (0.5, 2.0), (1.0, 2.2)])
    def test_first_interval_is_irt_with_a_tenth_of_jitter(self, random: float, expected: float) -> None:
        """RT = IRT + RAND*IRT."""
        assert first_interval(DEFAULT_POLICY, random) == pytest.approx(expected)

    @pytest.mark.parametrize(("random", "expected"), [(0.0, 3.8), (0.5, 4.0), (1.0, 4.2)])
    def test_next_interval_doubles(self, random: float, expected: float) -> None:
        """RT = 2*RTprev + RAND*RTprev."""
        assert next_interval(DEFAULT_POLICY, 2.0, random) == pytest.approx(expected)

    def test_interval_stays_below_mrt(self) -> None:
        """RT = MRT + RAND*MRT where it would exceed MRT."""
        assert next_interval(RetransmissionPolicy(maximum_seconds=5.0), 4.0, 0.5) == pytest.approx(5.0)

    def test_default_duration_is_below_three_tries_of_an_access_point(self) -> None:
        """MRD is within the 5 to 30 seconds of the RFC, and an answer is given before access points give up."""
        assert 5 <= DEFAULT_POLICY.duration_seconds <= 30
