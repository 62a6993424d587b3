"""`biebroam cert days-left`: how long everything lives that is presented or accepted."""

from collections.abc import Callable
from typing import Annotated

import typer

from api.commands.client import Place, open_api
from api.commands.output import print_json, print_rows

_COLUMNS = ("name", "kind", "library", "days_left", "is_due", "serial")


def register_expiry(certificates: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The command, below those on certificates."""

    @certificates.command("days-left")
    def days_left(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """List all that is presented or accepted, authorities too, with the days that each has left."""
        with open_api(place_of(context)) as api:
            rows = api.get("/v1/trust/days-left")["items"]
        if as_json:
            print_json(rows)
        else:
            print_rows([row | {"days_left": round(row["days_left"], 1)} for row in rows], _COLUMNS)

    _ = days_left  # registered by its decorator
