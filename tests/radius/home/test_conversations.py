from radius.home.conversations import LIFETIME_SECONDS, STATE_OCTETS, Conversations


class TestConversations:
    def test_is_found_by_its_state(self) -> None:
        """The State of an answer finds the conversation again, and counts its rounds."""
        table: Conversations[str] = Conversations()
        opened = table.open("session", "west.example", "peer", 0.0)
        assert opened is not None
        assert len(opened.state) == STATE_OCTETS
        assert table.find(opened.state, "peer", 1.0) is opened
        assert opened.rounds == 1

    def test_another_client_does_not_find_it(self) -> None:
        """A State that one client saw opens nothing for another."""
        table: Conversations[str] = Conversations()
        opened = table.open("session", "west.example", "peer", 0.0)
        assert opened is not None
        assert table.find(opened.state, "other", 1.0) is None

    def test_is_over_when_nobody_goes_on(self) -> None:
        """Each packet lets it live for a minute more; then it is gone."""
        table: Conversations[str] = Conversations()
        first = table.open("a", "r", "peer", 0.0)
        second = table.open("b", "r", "peer", 1.0)
        assert first is not None
        assert second is not None
        assert table.find(first.state, "peer", 50.0) is first
        assert table.expire(1.0 + LIFETIME_SECONDS) == 1
        assert table.find(second.state, "peer", 62.0) is None
        assert table.find(first.state, "peer", 62.0) is first

    def test_has_a_bound_for_all_and_for_one_client(self) -> None:
        """One client may have half of the table; the others have the rest."""
        table: Conversations[str] = Conversations(limit=4)
        assert [table.open("s", "r", "greedy", 0.0) is not None for _ in range(3)] == [True, True, False]
        assert [table.open("s", "r", "modest", 0.0) is not None for _ in range(3)] == [True, True, False]
        assert len(table) == 4

    def test_closing_frees_the_place_once(self) -> None:
        """A conversation that ended makes room; ending it again changes nothing."""
        table: Conversations[str] = Conversations(limit=2)
        opened = table.open("s", "r", "peer", 0.0)
        assert opened is not None
        table.close(opened)
        table.close(opened)
        assert table.open("s", "r", "peer", 0.0) is not None
        assert table.open("s", "r", "peer", 0.0) is None
