from radius.home.guesses import (
    DEVICE_SECONDS,
    DEVICE_TRIES,
    MAX_DEVICES,
    MAX_PATRONS,
    PATRON_SECONDS,
    PATRON_TRIES,
    Guesses,
)

KEY = b"k" * 32
REALM = "west.example"


def guess(guesses: Guesses, count: int, now: float = 0.0, *, user: str = "anna", device: bytes = b"") -> int:
    """Try so often, each time wrong, from as many devices if none is named; how often it was looked at."""
    looked_at = 0
    for number in range(count):
        station = device or b"02-%d" % number
        if guesses.may_try(REALM, user, station, now):
            looked_at += 1
            guesses.count(REALM, user, station, now)
    return looked_at


class TestGuesses:
    def test_patron_has_some_tries(self) -> None:
        """However many devices somebody pretends to be."""
        assert guess(Guesses(KEY), 1000) == PATRON_TRIES

    def test_device_has_fewer(self) -> None:
        """A device that keeps an old password does not use up its owner's tries."""
        guesses = Guesses(KEY)
        assert guess(guesses, 1000, device=b"02-AA") == DEVICE_TRIES
        assert guesses.may_try(REALM, "anna", b"02-BB", 0.0)

    def test_tries_come_back_slowly(self) -> None:
        """A day of guessing is some thousand tries, no more."""
        guesses = Guesses(KEY)
        guess(guesses, 1000)
        assert not guesses.may_try(REALM, "anna", b"x", PATRON_SECONDS - 1)
        assert guess(guesses, 1000, PATRON_SECONDS) == 1
        day = sum(guess(guesses, 3, 1000.0 + second) for second in range(0, 86_400, 5))
        assert day <= 86_400 / PATRON_SECONDS + PATRON_TRIES

    def test_stale_device_leaves_tries_for_others(self) -> None:
        """Hours of its knocking do not keep a new device out."""
        guesses = Guesses(KEY)
        for second in range(0, 36_000, 10):
            guess(guesses, 1, float(second), device=b"02-AA")
        assert DEVICE_SECONDS > PATRON_SECONDS
        assert guesses.may_try(REALM, "anna", b"02-BB", 36_000.0)

    def test_device_that_signed_in_counts_by_itself(self) -> None:
        """Who guesses elsewhere does not keep it out; it has its own bound all the same."""
        guesses = Guesses(KEY)
        guesses.forget(REALM, "anna", b"02-AA")
        guess(guesses, 1000)
        assert guesses.may_try(REALM, "anna", b"02:aa", 0.0)
        assert guess(guesses, 1000, device=b"02-AA") == DEVICE_TRIES
        assert not guesses.may_try(REALM, "anna", b"", 0.0)

    def test_request_without_a_device_is_never_known(self) -> None:
        """Else nobody's device would be everybody's."""
        guesses = Guesses(KEY)
        guesses.forget(REALM, "anna", b"")
        guess(guesses, 1000)
        assert not guesses.may_try(REALM, "anna", b"", 0.0)

    def test_guesses_that_were_looked_at_together_all_count(self) -> None:
        """A hundred at once are paid for afterwards."""
        guesses = Guesses(KEY)
        for number in range(100):
            guesses.count(REALM, "anna", b"02-%d" % number, 0.0)
        assert not guesses.may_try(REALM, "anna", b"x", 80 * PATRON_SECONDS)
        assert guesses.may_try(REALM, "anna", b"x", 91 * PATRON_SECONDS)

    def test_name_is_one_however_it_is_written(self) -> None:
        """Capitals, spaces and full-width letters, which a store may take for the same, give no further tries."""
        guesses = Guesses(KEY)
        assert guess(guesses, 1000) == PATRON_TRIES
        for user in ("Anna", "ANNA", " anna", "an na", "\uff41nna"):
            assert not guesses.may_try(REALM, user, b"x", 0.0)
        assert guesses.may_try(REALM, "bram", b"x", 0.0)
        assert guesses.may_try("east.example", "anna", b"x", 0.0)

    def test_memory_is_bounded(self) -> None:
        """Names that somebody makes up push out the longest untouched only."""
        guesses = Guesses(KEY)
        for number in range(MAX_PATRONS + 10):
            guesses.count(REALM, f"{number}", b"02-AA", 0.0)
        tables = [getattr(guesses, name) for name in ("_patrons", "_devices")]
        assert [len(table) for table in tables] == [MAX_PATRONS, MAX_PATRONS + 10]
        assert MAX_DEVICES > MAX_PATRONS
