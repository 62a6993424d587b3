"""The commands that make and run a node: `init`, `serve`, the roles, `doctor`, `version`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from api.commands.backup import register_backup

Data = Annotated[Path | None, typer.Option("--data", help="The data directory (default BIEBROAM_DATA, biebroam-data)")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]

FEDERATION_NAME = "biebroam"
COUNTRY = "NL"
EAP_SERVER_NAME = "login.biebroam.example"
ROLES = {
    "proxy": "Route requests between access points and home servers; one role alone.",
    "home": "End EAP for the hosted realms and check their patrons; one role alone.",
    "api": "Serve the management API; one role alone.",
    "recorder": "Keep certificates and revocation lists in force; one role alone.",
}


class Node(Protocol):
    """What these commands do; the composition root does it. A refusal ends the program with its words."""

    version: str

    def initialise(self, data: Path | None, federation: Mapping[str, str]) -> tuple[Path, str]:
        """The data directory, made now, and the first operator's token."""
        ...

    def is_initialised(self, data: Path | None) -> bool:
        """Whether there is anything to serve."""
        ...

    def serve(self, data: Path | None, workers: int | None, *, is_single: bool) -> int:
        """The exit status of the service, when it has ended."""
        ...

    def serve_alone(self, role: str, data: Path | None) -> int:
        """The exit status of that role, when it has ended."""
        ...

    def find_directory(self, data: Path | None) -> tuple[Path, bool]:
        """The data directory, and whether the database is in it."""
        ...

    def examine(self, data: Path | None) -> Sequence[Mapping[str, Any]]:
        """What was found about this node: check, passes, detail, remedy."""
        ...


def register_service(app: typer.Typer, node: Node) -> None:
    """The commands on the node itself."""

    @app.command("init")
    def init(
        data: Data = None,
        name: Annotated[str, typer.Option(help="The federation's name")] = FEDERATION_NAME,
        country: Annotated[str, typer.Option(help="Its country, two letters")] = COUNTRY,
        eap_server_name: Annotated[str, typer.Option(help="The name that devices check")] = EAP_SERVER_NAME,
        as_json: Json = False,  # noqa: FBT002 - a flag of the command line
    ) -> None:
        """Make the data directory: database, node key, two authorities, and the first operator's token."""
        federation = {"name": name, "country": country, "eap_server_name": eap_server_name}
        made, token = node.initialise(data, federation)
        if as_json:
            typer.echo(json.dumps({"token": token}))
        else:
            typer.echo(f"{made} is ready.\n\nThe operator's token (shown this once): {token}")

    @app.command("serve")
    def serve(
        data: Data = None,
        workers: Annotated[int | None, typer.Option(help="Proxy processes")] = None,
        single: Annotated[bool, typer.Option("--single", help="Everything in one process")] = False,  # noqa: FBT002 - as above
    ) -> None:
        """Run proxy, home server and API; initialise first where there is nothing yet."""
        if not node.is_initialised(data):
            federation = {"name": FEDERATION_NAME, "country": COUNTRY, "eap_server_name": EAP_SERVER_NAME}
            _, token = node.initialise(data, federation)
            typer.echo(f"The operator's token (shown this once): {token}")
        raise typer.Exit(node.serve(data, workers, is_single=single))

    for role, text in ROLES.items():
        _register_role(app, node, role, text)

    _register_examination(app, node)
    register_backup(app, node)


def _register_examination(app: typer.Typer, node: Node) -> None:
    @app.command("doctor")
    def doctor(data: Data = None, as_json: Json = False) -> None:  # noqa: FBT002 - as above
        """Look at what may be wrong here, and say what to do."""
        findings = node.examine(data)
        if as_json:
            typer.echo(json.dumps(list(findings), indent=2))
        else:
            for each in findings:
                typer.echo(f"{'ok ' if each['passes'] else 'BAD'}  {each['check']}: {each['detail']}")
                if not each["passes"]:
                    typer.echo(f"     do: {each['remedy']}")
        raise typer.Exit(0 if all(each["passes"] for each in findings) else 1)

    @app.command("version")
    def show_version() -> None:
        """Print the version."""
        typer.echo(node.version)


def _register_role(app: typer.Typer, node: Node, role: str, text: str) -> None:
    @app.command(role, help=text)
    def serve_role(data: Data = None) -> None:
        raise typer.Exit(node.serve_alone(role, data))
