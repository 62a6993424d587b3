"""`biebroam apply` and `export`: the federation as one file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.client import Place, fail, open_api
from api.commands.output import print_json
from federation.errors import InvalidDocument

_SIGNS = {"add": "+", "remove": "-"}


def register_documents(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The commands on the federation file."""

    @app.command("apply")
    def apply(
        context: typer.Context,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A federation file (TOML)")],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing")] = False,  # noqa: FBT002 - flags of the command line
        prune: Annotated[bool, typer.Option("--prune", help="Remove what the file does not name")] = False,  # noqa: FBT002
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002
    ) -> None:
        """Make the federation as the file says; prints the difference. A second time nothing changes."""
        from federation.services.document import find_line  # noqa: PLC0415 - loads pydantic; `--help` does without

        text, document = _read(file)

        def locate(pointer: str) -> str:
            line = find_line(text, pointer)
            return f"{file}: line {line}: {pointer}" if line else f"{file}: {pointer}"

        with open_api(place_of(context)) as api:
            done = api.put("/v1/federation", document, locate=locate, dry_run=_flag(dry_run), prune=_flag(prune))
        if as_json:
            print_json(done)
        else:
            _print_difference(done, dry_run=dry_run)

    @app.command("export")
    def export(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of TOML")] = False,  # noqa: FBT002
    ) -> None:
        """Print the federation as such a file, secrets left out."""
        with open_api(place_of(context)) as api:
            document = api.get("/v1/federation")
        if as_json:
            print_json(document)
        else:
            import tomli_w  # noqa: PLC0415 - as below

            typer.echo(tomli_w.dumps(document), nl=False)

    _ = apply, export  # registered by their decorators


def _flag(value: bool) -> str | None:  # noqa: FBT001 - one value in, one out
    return "true" if value else None


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    from federation.services.document import parse_federation_file  # noqa: PLC0415 - as above

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"can not read {file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is no UTF-8 text")

    def read_secret(key: str, value: str) -> str:
        return os.environ[value] if key == "secret_env" else (file.parent / value).read_text(encoding="utf-8")

    try:
        return text, parse_federation_file(text, file=str(file), read_secret=read_secret)
    except InvalidDocument as error:
        fail(f"nothing was changed\n{error}")


def _print_difference(done: dict[str, Any], *, dry_run: bool) -> None:
    steps: list[dict[str, Any]] = done["steps"]
    for step in steps:
        verb = str(step["action"]).rpartition(".")[2]
        typer.echo(f"{_SIGNS.get(verb, '~')} {step['subject']}{_changes(step)}")
    if not steps:
        typer.echo("nothing to change")
    elif dry_run:
        typer.echo(f"{len(steps)} changes; none was made (--dry-run)")
    else:
        typer.echo(f"{len(steps)} changes; the federation is at revision {done['revision']}")
    for secret in done.get("secrets", ()):
        typer.echo(f"secret of {secret['subject']} (shown this once): {secret['secret']}")


def _changes(step: dict[str, Any]) -> str:
    before: dict[str, Any] = step.get("before") or {}
    after: dict[str, Any] = step.get("after") or {}
    if not before or not after:
        return ""
    parts = [f"{key}: {before.get(key)} → {after[key]}" for key in after if before.get(key) != after[key]]
    return f"  ({'; '.join(parts)})" if parts else ""
