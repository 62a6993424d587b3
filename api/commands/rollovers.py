"""`biebroam cert rollover`: from one root to the next, a step at a time, each with those who would break by it."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from api.commands.client import Place, fail, open_api
from api.commands.output import print_json, print_rows

_PATH = "/v1/trust/rollovers"
_COLUMNS = (
    "library",
    "old_certificates",
    "new_certificates",
    "is_delivered",
    "confirmed_at",
    "peers",
    "presenting",
    "accepting",
)

PurposeOption = Annotated[str, typer.Option("--purpose", help="peers or eap: whose root")]
Force = Annotated[bool, typer.Option("--force", help="Although somebody would break; the audit log has their names")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


def register_rollovers(certificates: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The commands, below those on certificates."""
    commands = typer.Typer(help="Replace a root, with nobody left behind.", no_args_is_help=True)
    certificates.add_typer(commands, name="rollover")

    @commands.command("plan")
    def plan(context: typer.Context, purpose: PurposeOption = "peers", as_json: Json = False) -> None:  # noqa: FBT002
        """Make the next root and its issuing authority; nobody is told of them yet."""
        with open_api(place_of(context)) as api:
            _print(api.post(_PATH, {"purpose": purpose}), as_json=as_json)

    @commands.command("status")
    def status(context: typer.Context, purpose: PurposeOption = "peers", as_json: Json = False) -> None:  # noqa: FBT002
        """Show how far it is, and who would break by the next step; status 1 when somebody would."""
        with open_api(place_of(context)) as api:
            found = api.get(f"{_PATH}/{purpose}")
        _print(found, as_json=as_json)
        if found["blockers"]:
            raise typer.Exit(1)

    @commands.command("advance")
    def advance(
        context: typer.Context,
        purpose: PurposeOption = "peers",
        force: Force = False,  # noqa: FBT002 - flags of the command line
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Take the next step: publish both roots, switch to the new one, retire the old one."""
        with open_api(place_of(context)) as api:
            step = api.get(f"{_PATH}/{purpose}")["next_step"]
            if step is None:
                fail(f"the roll-over of {purpose} has ended: plan another")
            _print(api.post(f"{_PATH}/{purpose}/steps", {"step": step, "force": force}), as_json=as_json)

    _register_trial(commands, place_of)
    for name, text in (
        ("revert", "Go back to the old authority, while both are trusted."),
        ("abort", "Give the new root up, before the switch; nothing of it remains trusted."),
    ):
        _register_step(commands, place_of, name, text)

    @commands.command("confirm")
    def confirm(
        context: typer.Context,
        library: Annotated[str, typer.Argument(metavar="LIBRARY", help="Id of the library")],
        purpose: PurposeOption = "peers",
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Say for a library that all that is its own knows the new root."""
        with open_api(place_of(context)) as api:
            made = api.post(f"{_PATH}/{purpose}/confirmations", {"library": library})
        if as_json:
            print_json(made)
        else:
            typer.echo(f"{library} has the new root of {purpose}")

    _ = plan, status, advance, confirm  # registered by their decorators


def _register_trial(commands: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    @commands.command("try")
    def attempt(context: typer.Context, purpose: PurposeOption = "peers", as_json: Json = False) -> None:  # noqa: FBT002
        """Try the new chain on every RADIUS/TLS home server, before the switch; status 1 when one refuses it."""
        with open_api(place_of(context)) as api:
            made = api.post(f"{_PATH}/{purpose}/trials", {})
        if as_json:
            print_json(made)
        else:
            print_rows(made["items"], ("peer", "verdict", "tried_at", "detail"))
        if any(each["verdict"] == "refused" for each in made["items"]):
            raise typer.Exit(1)

    _ = attempt  # registered by its decorator


def _register_step(commands: typer.Typer, place_of: Callable[[typer.Context], Place], step: str, text: str) -> None:
    @commands.command(step, help=text)
    def take(
        context: typer.Context,
        purpose: PurposeOption = "peers",
        force: Force = False,  # noqa: FBT002 - flags of the command line
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        with open_api(place_of(context)) as api:
            _print(api.post(f"{_PATH}/{purpose}/steps", {"step": step, "force": force}), as_json=as_json)

    _ = take  # registered by its decorator


def _print(rollover: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(rollover)
        return
    typer.echo(f"{rollover['purpose']}: {rollover['state']} since {rollover['changed_at']}")
    for age in ("old", "new"):
        root = rollover[age]
        typer.echo(f"{age}  {root['standing']:<9}  {root['subject']}  {root['fingerprint']}")
    if rollover["libraries"]:
        typer.echo("")
        print_rows(rollover["libraries"], _COLUMNS)
    if rollover["next_step"] is not None:
        count = len(rollover["blockers"])
        typer.echo(f"\nnext: {rollover['next_step']}" + (f"; {count} would break by it" if count else ""))
    for blocker in rollover["blockers"]:
        typer.echo(f"  {blocker['subject']}: {blocker['detail']}")
