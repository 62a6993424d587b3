"""What would change if Message-Authenticator were required of each peer."""

from datetime import UTC, datetime

from federation.statistics.posture import IfRequired, PeerKind, PeerPosture, assess_posture
from federation.statistics.reports import WorkerReport


def counts(first: int = 0, later: int = 0, missing: int = 0, *, required: int = 0) -> dict[str, object]:
    return {
        "message_authenticator_first": first,
        "message_authenticator_later": later,
        "message_authenticator_missing": missing,
        "message_authenticator_required": required,
    }


def report(number: int = 0, **counters: object) -> WorkerReport:
    return WorkerReport("proxy", number, 1, 1, datetime.now(UTC), (), counters)


def judge(**counters: int) -> IfRequired:
    (posture,) = assess_posture([report(clients={"a/ap": counts(**counters)})])
    return posture.if_required


class TestIfRequired:
    def test_required_already(self) -> None:
        """What is missing is dropped today, and nothing would change."""
        assert judge(first=3, missing=1, required=1) is IfRequired.REQUIRED

    def test_nothing_would_change_where_all_is_signed(self) -> None:
        """Where it stands does not matter."""
        assert judge(first=3) is judge(later=3) is IfRequired.NOTHING

    def test_one_unsigned_packet_would_be_dropped(self) -> None:
        """The operator sees how many of how many."""
        assert judge(first=300, missing=1) is IfRequired.DROPS

    def test_tls_protects_what_is_not_signed(self) -> None:
        """Nobody on the way can change it, so it is not required there, and requiring it would change nothing."""
        counted = {**counts(first=1, later=2, missing=3), "transport": "tls"}
        del counted["message_authenticator_required"]
        (posture,) = assess_posture([report(home_servers={"b/1": counted})])
        assert (posture.first, posture.later, posture.missing, posture.is_tls) == (1, 2, 3, True)
        assert posture.if_required is IfRequired.PROTECTED

    def test_silent_peer_says_nothing(self) -> None:
        """Nobody knows what it will send."""
        assert judge() is IfRequired.UNKNOWN


class TestAssess:
    def test_workers_are_added_up(self) -> None:
        """Each has seen a part of what the peer sent; one that does not require it yet, or any more, decides."""
        reports = [
            report(0, home_servers={"b/1": counts(1, 2, 3, required=1)}),
            report(1, home_servers={"b/1": counts(10, 20, 30)}),
        ]
        assert assess_posture(reports) == [
            PeerPosture(PeerKind.HOME_SERVER, "b/1", is_required=False, first=11, later=22, missing=33)
        ]

    def test_clients_stand_before_home_servers_and_by_name(self) -> None:
        """The order is the same each time."""
        found = assess_posture([report(home_servers={"a/1": counts()}, clients={"c/ap": counts(), "b/ap": counts()})])
        assert [(each.kind, each.key) for each in found] == [
            (PeerKind.CLIENT, "b/ap"),
            (PeerKind.CLIENT, "c/ap"),
            (PeerKind.HOME_SERVER, "a/1"),
        ]

    def test_what_is_no_posture_is_left_out(self) -> None:
        """Another role has other counters."""
        assert (
            assess_posture([report(home_servers={"b/1": {"state": "up"}}, clients=7), report(clients={"a": 1})]) == []
        )
