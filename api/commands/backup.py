"""The commands that keep a node safe: `backup` and `restore`. They work on the data directory itself."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn, Protocol, TypeVar

import typer

from api.commands.output import print_json

Result = TypeVar("Result")

Data = Annotated[Path | None, typer.Option("--data", help="The data directory (default BIEBROAM_DATA, biebroam-data)")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
WITH_SERVER = (
    "this node's database is a server's: back it up with its own tool (pg_dump), and keep node.key and biebroam.toml "
    "of the data directory in a safe place"
)


class Place(Protocol):
    """What these commands need to know of the node."""

    version: str

    def find_directory(self, data: Path | None) -> tuple[Path, bool]:
        """The data directory, and whether the database is in it."""
        ...


def register_backup(app: typer.Typer, node: Place) -> None:
    """`backup` and `restore`."""

    @app.command("backup")
    def back_up(
        file: Annotated[Path, typer.Argument(help="The file to write; it holds every secret of the federation")],
        data: Data = None,
        force: Annotated[bool, typer.Option("--force", help="Replace the file")] = False,  # noqa: FBT002 - a flag
        as_json: Json = False,  # noqa: FBT002 - as above
    ) -> None:
        """Write database, node key and settings into one file; the service may run meanwhile."""
        from federation.services import backup  # noqa: PLC0415 - `--help` does without SQLAlchemy

        root = _find_directory(node, data)
        now = datetime.now(UTC)
        made = _refusing(
            lambda: backup.back_up(
                file, root, version=node.version, created=now.isoformat(timespec="seconds"), replaces=force
            )
        )
        if as_json:
            print_json(asdict(made))
        else:
            octets = sum(int(member["size"]) for member in made.members.values())
            typer.echo(f"{file}: {', '.join(made.members)}, {octets} octets, revision {made.revision}.")
            typer.echo("It holds the node key: whoever reads it has every secret of the federation.")

    @app.command("restore")
    def restore(
        file: Annotated[Path, typer.Argument(help="A file that `backup` wrote")],
        data: Data = None,
        force: Annotated[bool, typer.Option("--force", help="Move what is there aside")] = False,  # noqa: FBT002 - as above
        as_json: Json = False,  # noqa: FBT002 - as above
    ) -> None:
        """Make the data directory from a backup, after everything in it was verified."""
        from federation.services import backup  # noqa: PLC0415 - as above

        root = _find_directory(node, data)
        mark = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        made, earlier = _refusing(lambda: backup.restore(file, root, mark=mark, replaces=force))
        if as_json:
            print_json({**asdict(made), "data": str(root), "earlier": str(earlier) if earlier else None})
            return
        typer.echo(f"{root} is as it was at {made.created}, revision {made.revision}.")
        if earlier is not None:
            typer.echo(f"What was there before is in {earlier}.")


def _find_directory(node: Place, data: Path | None) -> Path:
    root, has_database = node.find_directory(data)
    if not has_database:
        _refuse(WITH_SERVER)
    return root


def _refusing(action: Callable[[], Result]) -> Result:
    from federation.errors import FederationError  # noqa: PLC0415 - as above

    try:
        return action()
    except FederationError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))


def _refuse(message: str) -> NoReturn:
    typer.echo(f"biebroam: {message}", err=True)
    raise typer.Exit(1)
