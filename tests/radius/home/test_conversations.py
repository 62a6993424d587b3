from radius.home.conversations import LIFETIME_SECONDS, QUIET_SECONDS, STATE_OCTETS, Conversations


class TestConversations:
    def test_is_found_by_its_state(self) -> None:
        """The State of an answer finds the conversation again, and counts its rounds."""
        table: Conversations[str] = Conversations()
        opened = table.open("session", "west.example", "peer", 0.0)
        assert opened is not None
        assert len(opened.state) == STATE_OCTETS
        assert table.find(opened.state, "peer", b"", 1.0) is opened
        assert opened.rounds == 1

    def test_another_client_does_not_find_it(self) -> None:
        """A State that one client saw opens nothing for another."""
        table: Conversations[str] = Conversations()
        opened = table.open("session", "west.example", "peer", 0.0)
        assert opened is not None
        assert table.find(opened.state, "other", b"", 1.0) is None

    def test_is_over_when_nobody_goes_on(self) -> None:
        """Each packet lets it live for a minute more; then it is gone."""
        table: Conversations[str] = Conversations()
        first = table.open("a", "r", "peer", 0.0)
        second = table.open("b", "r", "peer", 1.0)
        assert first is not None
        assert second is not None
        assert table.find(first.state, "peer", b"", 50.0) is first
        assert table.expire(1.0 + LIFETIME_SECONDS) == 1
        assert table.find(second.state, "peer", b"", 62.0) is None
        assert table.find(first.state, "peer", b"", 62.0) is first

    def test_goes_on_under_its_name(self) -> None:
        """Another User-Name does not go on with a conversation; the same or none does (RFC 3579 §2.1)."""
        table: Conversations[str] = Conversations()
        opened = table.open("s", "r", "peer", 0.0, name=b"anonymous@west.example")
        assert opened is not None
        assert table.find(opened.state, "peer", b"anonymous@east.example", 1.0) is None
        assert table.find(opened.state, "peer", b"anonymous@west.example", 1.0) is opened
        assert table.find(opened.state, "peer", b"", 1.0) is opened

    def test_one_library_has_half(self) -> None:
        """One library that keeps talking has half of the table, and no more."""
        table: Conversations[str] = Conversations(limit=4)
        for visited in (b"1greedy", b"1modest"):
            for _ in range(2):
                opened = table.open("s", "r", "proxy", 0.0, visited=visited)
                assert opened is not None
                assert table.find(opened.state, "proxy", b"", 0.0) is opened
            assert table.open("s", "r", "proxy", 0.0, visited=visited) is None
        assert len(table) == 4

    def test_whoever_holds_most_makes_room(self) -> None:
        """In a full table a newcomer takes the place of the longest untouched of whoever has most."""
        table: Conversations[str] = Conversations(limit=6)
        greedy = [table.open(f"{number}", "r", "greedy", 0.0) for number in range(3)]
        others = [table.open("s", "r", f"peer {number}", 0.0) for number in range(3)]
        for number, each in enumerate((greedy[1], greedy[2], greedy[0], *others)):
            assert each is not None
            assert table.find(each.state, each.peer, b"", 0.1 * number) is each
        assert table.open("s", "r", "newcomer", 1.0) is not None
        assert len(table) == 6
        assert table.displaced == 1
        assert [table.find(each.state, "greedy", b"", 1.0) is each for each in greedy if each] == [True, False, True]

    def test_devices_that_went_make_room_for_their_own(self) -> None:
        """A flood at one library takes the place of its own quiet conversations, not of those that go on."""
        table: Conversations[str] = Conversations(limit=4)
        lively = table.open("lively", "r", "flooded", 0.0)
        quiet = table.open("quiet", "r", "flooded", 0.0)
        assert lively is not None
        assert quiet is not None
        assert table.find(quiet.state, "flooded", b"", 0.0) is quiet
        assert table.find(lively.state, "flooded", b"", QUIET_SECONDS) is lively
        newer = table.open("newer", "r", "flooded", QUIET_SECONDS)
        assert newer is not None
        assert table.find(quiet.state, "flooded", b"", QUIET_SECONDS) is None
        assert table.find(newer.state, "flooded", b"", QUIET_SECONDS) is newer
        assert table.find(lively.state, "flooded", b"", QUIET_SECONDS) is lively
        assert table.open("late", "r", "flooded", QUIET_SECONDS + 0.1) is None

    def test_flood_under_many_names_displaces_itself(self) -> None:
        """Thousands that begin and never go on, each for another library, leave those that go on alone."""
        table: Conversations[str] = Conversations(limit=100)
        lively = table.open("lively", "r", "proxy", 0.0, visited=b"1west.example")
        assert lively is not None
        for number in range(5_000):
            assert table.open("flood", "r", "proxy", number / 1_000, visited=b"%d" % number) is not None
            if number % 50 == 0:
                assert table.find(lively.state, "proxy", b"", number / 1_000) is lively
        assert len(table) == 100

    def test_check_that_runs_is_not_displaced(self) -> None:
        """A conversation whose patron is being checked keeps its place."""
        table: Conversations[str] = Conversations(limit=2)
        busy = table.open("s", "r", "peer", 0.0)
        assert busy is not None
        busy.is_busy = True
        assert table.open("s", "r", "peer", QUIET_SECONDS + 1) is None

    def test_closing_frees_the_place_once(self) -> None:
        """A conversation that ended makes room; ending it again changes nothing."""
        table: Conversations[str] = Conversations(limit=2)
        opened = table.open("s", "r", "peer", 0.0)
        assert opened is not None
        table.close(opened)
        table.close(opened)
        again = table.open("s", "r", "peer", 0.0)
        assert again is not None
        assert table.find(again.state, "peer", b"", 0.0) is again
        assert table.open("s", "r", "peer", 0.0) is None
