"""`biebroam patron`: the patrons whose passwords Biebroam keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.commands.client import Api, Place, fail, open_api, quoted, read_secret_file
from api.commands.output import print_json, print_rows, print_thing

PIECE_LINES = 200  # of a file that is imported: each piece is one call, so that the bar moves
COLUMNS = ("name", "is_blocked", "expires_on", "has_nt_hash", "changed_at")

Name = Annotated[str, typer.Argument(metavar="USER@REALM", help="The patron")]
PasswordFile = Annotated[str, typer.Option("--password-file", help="File with the password, or - for standard input")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


def register_patrons(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The commands on patrons."""
    commands = typer.Typer(help="The patrons of hosted libraries.", no_args_is_help=True)
    app.add_typer(commands, name="patron")

    @commands.command("add")
    def add(
        context: typer.Context,
        name: Name,
        password_file: PasswordFile,
        expires_on: Annotated[str | None, typer.Option(help="Last day, such as 2027-01-31")] = None,
        as_json: Json = False,  # noqa: FBT002 - a flag of the command line
    ) -> None:
        """Add a patron, who may sign in at once."""
        body = {"name": name, "password": read_secret_file(password_file), "expires_on": expires_on}
        with open_api(place_of(context)) as api:
            _print(api.post(_patrons_of(api, name), body), as_json=as_json)

    @commands.command("set-password")
    def set_password(context: typer.Context, name: Name, password_file: PasswordFile) -> None:
        """Give a patron another password; the earlier one opens nothing any more."""
        password = read_secret_file(password_file)
        with open_api(place_of(context)) as api:
            api.change(_path(api, name), {"password": password})
        typer.echo("done")

    @commands.command("block")
    def block(context: typer.Context, name: Name) -> None:
        """Refuse a patron from now on."""
        with open_api(place_of(context)) as api:
            api.change(_path(api, name), {"is_blocked": True})
        typer.echo("blocked")

    @commands.command("unblock")
    def unblock(context: typer.Context, name: Name) -> None:
        """Let a blocked patron in again."""
        with open_api(place_of(context)) as api:
            api.change(_path(api, name), {"is_blocked": False})
        typer.echo("unblocked")

    @commands.command("remove")
    def remove(context: typer.Context, name: Name) -> None:
        """Remove a patron; nothing is kept."""
        with open_api(place_of(context)) as api:
            api.delete(_path(api, name))
        typer.echo("removed")

    @commands.command("list")
    def list_(
        context: typer.Context,
        library: Annotated[str, typer.Argument(metavar="LIBRARY", help="Id of the library")],
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """List a library's patrons; never their passwords."""
        with open_api(place_of(context)) as api:
            rows = list(api.list(f"/v1/libraries/{quoted(library)}/patrons"))
        if as_json:
            print_json(rows)
        else:
            print_rows(rows, COLUMNS)

    @commands.command("import")
    def import_(
        context: typer.Context,
        file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns: user (or name), password, expires")],
        library: Annotated[str, typer.Option(help="Id of the library")],
        replace: Annotated[bool, typer.Option("--replace", help="Patrons that are there get the new values")] = False,  # noqa: FBT002
    ) -> None:
        """Import patrons from a CSV file, with a progress bar; a piece with a wrong line is refused whole."""
        header, lines = _read_csv(file)
        with open_api(place_of(context)) as api:
            added, replaced = _import(api, library, header, lines, replaces=replace)
        typer.echo(f"added {added}, replaced {replaced}")

    _ = add, set_password, block, unblock, remove, list_, import_  # registered by their decorators


def _print(thing: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(thing)
    else:
        print_thing(thing)


def _patrons_of(api: Api, name: str) -> str:
    """The path of the patrons among whom that name belongs."""
    realm = name.rpartition("@")[2].lower()
    if "@" not in name or not realm:
        fail(f"{name!r} is no patron's name: USER@REALM", 2)
    owner = next((library["id"] for library in api.list("/v1/libraries") if realm in library["realms"]), None)
    if owner is None:
        fail(f"no library owns the realm {realm}")
    return f"/v1/libraries/{quoted(owner)}/patrons"


def _path(api: Api, name: str) -> str:
    return f"{_patrons_of(api, name)}/{quoted(name)}"


def _read_csv(file: Path) -> tuple[str, list[str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except OSError as error:
        fail(f"can not read {file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is no UTF-8 text")
    if not lines:
        fail(f"{file} is empty; its first line names the columns")
    return lines[0], lines[1:]


def _import(api: Api, library: str, header: str, lines: list[str], *, replaces: bool) -> tuple[int, int]:
    """Piece after piece; a refusal says how much is done, so that the rest can follow."""
    path = f"/v1/libraries/{quoted(library)}/patrons/import"
    added = replaced = 0
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("import", total=len(lines))
        for start in range(0, len(lines), PIECE_LINES):
            piece = lines[start : start + PIECE_LINES]
            # Empty lines keep the line numbers of the file in what is refused.
            padding = "\n" * start
            try:
                done = api.post(path, {"csv": header + padding + "".join(piece), "replaces": replaces})
            except typer.Exit:
                typer.echo(
                    f"lines 2 to {start + 1} are imported; correct the file and import it with --replace", err=True
                )
                raise
            added, replaced = added + done["added"], replaced + done["replaced"]
            progress.update(task, advance=len(piece))
    return added, replaced
