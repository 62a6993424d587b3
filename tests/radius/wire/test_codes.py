"""Tests of the numbers and what goes with them."""

import pytest

from radius.wire.codes import EXPECTED_RESPONSES, Code


class TestExpectedResponses:
    @pytest.mark.parametrize(
        ("request_code", "responses"),
        [
            (Code.ACCESS_REQUEST, {2, 3, 11, 52}),
            (Code.ACCOUNTING_REQUEST, {5, 52}),
            (Code.STATUS_SERVER, {2, 3, 5}),
            (Code.DISCONNECT_REQUEST, {41, 42, 52}),
            (Code.COA_REQUEST, {44, 45, 52}),
        ],
    )
    def test_each_request_has_its_answers(self, request_code: Code, responses: set[int]) -> None:
        """No other code answers it: an Access-Accept never answers an Accounting-Request."""
        assert EXPECTED_RESPONSES[request_code] == responses

    def test_answers_have_no_answers(self) -> None:
        """What is itself an answer is answered by nothing."""
        assert not set(EXPECTED_RESPONSES) & frozenset().union(*EXPECTED_RESPONSES.values())
