"""`--api` and `--data` may stand before or after the command."""

import pytest

from api.commands.registration import MANAGEMENT_COMMANDS, hoist_place


class TestHoistPlace:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("library list --api http://x", "--api http://x library list"),
            ("library list --api=http://x --json", "--api=http://x library list --json"),
            ("--api http://x library list", "--api http://x library list"),
            ("apply file.toml --data d --dry-run", "--data d apply file.toml --dry-run"),
            ("library list --api", "--api library list"),
            ("serve --data d", "serve --data d"),
            ("init --data d --json", "init --data d --json"),
            ("patron add x -- --data d", "patron add x -- --data d"),
            ("", ""),
            ("--help", "--help"),
        ],
    )
    def test_moves_them_to_the_front_of_management_commands_only(self, given: str, expected: str) -> None:
        """People write them where they think of them; commands with an option of that name keep it."""
        assert hoist_place(given.split()) == expected.split()

    def test_option_before_the_command_takes_its_value(self) -> None:
        """The value of an option is not mistaken for the command."""
        assert hoist_place(["--data", "apply", "library", "list"])[:2] == ["--data", "apply"]

    def test_knows_every_management_command(self) -> None:
        """The names of the fixed outside are among them."""
        wanted = {"apply", "export", "explain", "probe", "library", "realm", "access-point", "home-server", "token"}
        assert wanted | {"cert", "patron"} <= MANAGEMENT_COMMANDS
