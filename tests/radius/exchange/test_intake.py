from radius.errors import DropReason
from radius.exchange.admission import MAX_STATUS_WAITING, MAX_WAIT_SECONDS, KnownStates
from radius.exchange.intake import MAX_TAKEN, PORTIONS_PER_TURN, Intake, Source
from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import Code

STATUS = sign_request(Code.STATUS_SERVER, 1, bytes(16), b"", KeyedSecret(b"secret of the client"))


class Desk:
    """Works on nothing and remembers everything; a host that begins with "client" is known."""

    def __init__(self, slice_size: int = 4) -> None:
        self.taken: list[bytes] = []
        self.dropped: list[tuple[DropReason, str]] = []
        self.intake: Intake[str] = Intake(
            KnownStates(),
            find_client=lambda host: host if host.startswith("client") else None,
            take=self._take,
            drop=lambda reason, who, _now: self.dropped.append((reason, who)),
            slice_size=slice_size,
        )

    def _take(self, origin: str, datagram: bytes, source: Source, now: float) -> None:
        assert (origin, source[0][:6], now) == ("a listener", "client", 1.0)
        self.taken.append(datagram)

    def put(self, datagram: bytes = b"new", host: str = "client", arrived_at: float = 1.0) -> None:
        self.intake.put("a listener", datagram, (host, 1), arrived_at)


class TestIntake:
    def test_slice_is_what_is_worked_on(self) -> None:
        """The rest waits for the next turn."""
        desk = Desk(slice_size=2)
        for _ in range(5):
            desk.put()
        desk.intake.work_off(1.0)
        assert (len(desk.taken), len(desk.intake)) == (2, 3)
        desk.intake.work_off(1.0)
        desk.intake.work_off(1.0)
        assert (len(desk.taken), len(desk.intake)) == (5, 0)

    def test_what_is_too_old_takes_no_place_in_a_slice(self) -> None:
        """A flooder's stale packets keep nobody waiting: they are dropped before the turn ends."""
        desk = Desk(slice_size=1)
        for _ in range(100):
            desk.put(host="client that floods", arrived_at=1.0 - MAX_WAIT_SECONDS - 0.1)
        desk.put(b"in time")
        desk.intake.work_off(1.0)
        assert desk.taken == [b"in time"]
        assert desk.dropped == [(DropReason.WAITED_TOO_LONG, "client that floods")] * 100

    def test_dropping_ends_too(self) -> None:
        """However much is stale, the loop has its turn."""
        desk = Desk()
        for _ in range(MAX_TAKEN + 1):
            desk.put(arrived_at=-1.0)
        desk.intake.work_off(1.0)
        assert len(desk.intake) == 1

    def test_stranger_takes_no_place(self) -> None:
        """Nobody would answer it (RFC 2865 §3)."""
        desk = Desk()
        desk.put(host="stranger")
        assert (desk.dropped, len(desk.intake)) == ([(DropReason.UNKNOWN_CLIENT, "stranger")], 0)

    def test_what_finds_no_place_is_dropped_with_its_reason(self) -> None:
        """So it is with a client's fifth Status-Server, of which it needs one."""
        desk = Desk()
        for _ in range(MAX_STATUS_WAITING + 1):
            desk.put(STATUS)
        assert desk.dropped == [(DropReason.RATE_LIMITED, "client")]

    def test_reading_ends_with_a_portion_that_is_not_full(self) -> None:
        """Nothing more waits in the kernel."""
        portions = [True, True, False, True]
        Desk().intake.collect(lambda: portions.pop(0))
        assert portions == [True]

    def test_reading_ends_however_much_comes(self) -> None:
        """A flood that never lets up leaves time for work."""
        portions: list[bool] = []

        def reads() -> bool:
            portions.append(True)
            return True

        Desk().intake.collect(reads)
        assert len(portions) == PORTIONS_PER_TURN
