"""`biebroam dns-records`: what a library publishes, so that others find it."""

from collections.abc import Callable
from typing import Annotated

import typer

from api.commands.client import Place, open_api, quoted
from api.commands.output import print_json


def register_dns_records(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The command."""

    @app.command("dns-records")
    def show(
        context: typer.Context,
        library: Annotated[str, typer.Argument(metavar="LIBRARY", help="Id of the library")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Print the DNS records that a library publishes, so that others find its realms, as a zone file has them."""
        with open_api(place_of(context)) as api:
            records = list(api.list(f"/v1/libraries/{quoted(library)}/dns-records"))
        if as_json:
            print_json(records)
        else:
            for record in records:
                typer.echo(record["text"])

    _ = show  # registered by its decorator
