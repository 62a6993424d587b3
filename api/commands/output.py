"""What commands print: tables for people, JSON for programs, secrets once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(value: object) -> None:
    """The value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of the columns, the first of which names the thing."""
    found = list(rows)
    if not found:
        typer.echo("none")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column == columns[0])
    for row in found:
        table.add_row(*(Text(format_value(row.get(column))) for column in columns))
    Console(soft_wrap=False).print(table)


def print_thing(thing: Mapping[str, Any]) -> None:
    """One thing, a line for each of its values; a secret that was made for it apart."""
    shown = {key: value for key, value in thing.items() if key not in {"secret", "token"} and value is not None}
    width = max((len(key) for key in shown), default=0)
    for key, value in shown.items():
        typer.echo(f"{key.replace('_', ' '):<{width}}  {format_value(value)}")
    for key in ("secret", "token"):
        if thing.get(key):
            typer.echo(f"\n{key} (shown this once): {thing[key]}")


def format_value(value: object) -> str:
    """A value of JSON as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, cast("list[object]", value))) or "-"  # of JSON: anything
    return str(value)
