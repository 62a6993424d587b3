"""`biebroam posture`: who signs what it sends, and of whom it could be required (CVE-2024-3596)."""

from collections.abc import Callable
from typing import Annotated

import typer

from api.commands.client import Place, open_api
from api.commands.output import print_json, print_rows

_COLUMNS = ("peer", "kind", "transport", "first", "later", "missing", "if_required")


def register_posture(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The command that lists peers by what requiring Message-Authenticator of them would do."""

    @app.command("posture")
    def posture(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Say of each peer how often Message-Authenticator was there, and what would change if it were required."""
        with open_api(place_of(context)) as api:
            found = api.get("/v1/posture")["items"]
        if as_json:
            print_json(found)
        else:
            print_rows(found, _COLUMNS)

    _ = posture  # registered by its decorator
