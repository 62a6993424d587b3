"""`biebroam sign-ins`: what happened lately."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import typer

from api.commands.client import Place, fail, open_api
from api.commands.output import print_json

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register_sign_ins(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The command that lists sign-ins."""

    @app.command("sign-ins")
    def sign_ins(
        context: typer.Context,
        library: Annotated[
            str | None, typer.Option(metavar="ID", help="Its patrons, and who was at its access points")
        ] = None,
        realm: Annotated[str | None, typer.Option(help="Of the outer name")] = None,
        outcome: Annotated[str | None, typer.Option(help="accepted, rejected or unanswered")] = None,
        reason: Annotated[str | None, typer.Option(help="Of the refusal, such as unroutable")] = None,
        since: Annotated[
            str | None, typer.Option(metavar="AGE|TIME", help="Such as 30m, 2h, 1d, or 2026-11-24T12:00:00Z")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, help="At most so many")] = 50,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """List what happened lately, the newest first: who was refused, where, and why."""
        query = {
            "library": library,
            "realm": realm,
            "outcome": outcome,
            "reason": reason,
            "since": None if since is None else parse_moment(since, datetime.now(UTC)),
        }
        with open_api(place_of(context)) as api:
            found = list(islice(api.list("/v1/sign-ins", **query), limit))
        if as_json:
            print_json(found)
        else:
            typer.echo("\n".join(map(_line, found)) or "none")

    _ = sign_ins  # registered by its decorator


def parse_moment(text: str, now: datetime) -> str:
    """The moment in the form of RFC 3339; an age counts back from now. What is neither ends the command."""
    age = _AGE.fullmatch(text.strip().lower())
    if age:
        return (now - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])).isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is neither an age, such as 2h, nor a time, such as 2026-11-24T12:00:00Z", 2)
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()


def _line(item: dict[str, Any]) -> str:  # Any: JSON of the API
    """One line for each, of one shape: people look for a word in it with other programs."""
    at = datetime.fromisoformat(item["at"]).astimezone().isoformat(sep=" ", timespec="seconds")
    where = item["client"] or item["visited"]
    who = f"{item['realm'] or '-'} of {item['home'] or 'nobody'}"
    return f"{at}  {item['outcome']:<10}  {item['reason'] or '-':<20}  {who} at {where}  {item['milliseconds']} ms"
