"""`biebroam cert invite`: how a library gets its first certificate."""

from collections.abc import Callable
from typing import Annotated

import typer

from api.commands.client import Place, open_api, quoted
from api.commands.output import print_json


def register_invitations(commands: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The command, among those on certificates."""

    @commands.command("invite")
    def invite(
        context: typer.Context,
        library: Annotated[str, typer.Argument(metavar="LIBRARY", help="Id of the library")],
        days: Annotated[int, typer.Option(help="How long it can be used")] = 7,
        profile: Annotated[
            str | None, typer.Option(help="peer, home-server or access-point [default: all that its roles allow]")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Make an invitation: one secret, for one certificate; printed this once."""
        with open_api(place_of(context)) as api:
            made = api.post(f"/v1/libraries/{quoted(library)}/invitations", {"days": days, "profile": profile})
        if as_json:
            print_json(made)
        else:
            typer.echo(made["invitation"])

    _ = invite  # registered by its decorator
