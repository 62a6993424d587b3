"""`biebroam cert anchor`: roots of other authorities, each for some libraries' peers."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.client import Place, fail, open_api, quoted
from api.commands.output import print_json, print_rows

_PATH = "/v1/trust/foreign-anchors"
_COLUMNS = ("name", "libraries", "policy", "is_believed", "not_after", "lists")

Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name here")]


def register_foreign_anchors(certificates: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The commands, below those on certificates."""
    commands = typer.Typer(help="Roots of other authorities.", no_args_is_help=True)
    certificates.add_typer(commands, name="anchor")

    @commands.command("add")
    def add(
        context: typer.Context,
        name: Name,
        file: Annotated[Path, typer.Option("--file", help="PEM: the root, then authorities below it that sign lists")],
        library: Annotated[
            list[str] | None,
            typer.Option("--library", help="Whom it may speak for; repeat for more. None: for discovery alone"),
        ] = None,
        crl: Annotated[list[str] | None, typer.Option("--crl", help="URL of a revocation list; repeatable")] = None,
        policy: Annotated[
            str, typer.Option(help="When a list is out of date: soft (go on) or hard (believe nothing)")
        ] = "soft",
        as_json: Json = False,  # noqa: FBT002 - a flag of the command line
    ) -> None:
        """Trust the root of another authority for the peers of some libraries, and for nobody else's."""
        try:
            pem = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            fail(f"can not read certificates in PEM from {file}")
        body = {"name": name, "certificates": pem, "libraries": library or [], "list_urls": crl or [], "policy": policy}
        with open_api(place_of(context)) as api:
            made = api.post(_PATH, body)
        if as_json:
            print_json(made)
        else:
            typer.echo(f"{made['name']}: {made['subject']}, SHA-256 {made['fingerprint']}")

    @commands.command("list")
    def list_(context: typer.Context, as_json: Json = False) -> None:  # noqa: FBT002
        """List them, with how their revocation lists are."""
        with open_api(place_of(context)) as api:
            items = api.get(_PATH)["items"]
        if as_json:
            print_json(items)
        else:
            print_rows([{**item, "lists": [_describe(each) for each in item["lists"]]} for item in items], _COLUMNS)

    @commands.command("remove")
    def remove(context: typer.Context, name: Name) -> None:
        """Believe nothing below that root any more."""
        with open_api(place_of(context)) as api:
            api.delete(f"{_PATH}/{quoted(name)}")
        typer.echo(f"removed {name}")

    _ = add, list_, remove  # registered by their decorators


def _describe(entry: dict[str, Any]) -> str:
    state = f"until {entry['next_update']}" if entry["next_update"] else "none yet"
    return f"{entry['url']} ({state}{'; ' + entry['error'] if entry['error'] else ''})"
