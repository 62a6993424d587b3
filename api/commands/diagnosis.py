"""`biebroam explain` and `probe`: ask before it hurts, and try as a device would."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from api.commands.client import Place, fail, open_api, read_secret_file
from api.commands.output import print_json

_MARKS = {"pass": "✓", "refuse": "✗", "note": "·"}


class ProbeTarget(Protocol):
    """Where a probe goes: a proxy, and the secret of a client that may ask it from here."""

    @property
    def host(self) -> str:
        """Its address."""
        ...

    @property
    def port(self) -> int:
        """Its port for authentication."""
        ...

    @property
    def secret(self) -> bytes:
        """The shared secret."""
        ...


class FindProbeTarget(Protocol):
    """Finds this node's own proxy; the composition root makes it."""

    def __call__(self, data: Path | None, /) -> ProbeTarget | None:
        """The running proxy of that data directory, and a client that may ask from loopback; None without either."""
        ...


def register_diagnosis(
    app: typer.Typer, place_of: Callable[[typer.Context], Place], find_probe_target: FindProbeTarget
) -> None:
    """The commands that ask and change nothing."""

    @app.command("explain")
    def explain(
        context: typer.Context,
        name: Annotated[str, typer.Argument(metavar="USER@REALM", help="The name of the request")],
        client: Annotated[str | None, typer.Option(metavar="LIBRARY/NAME", help="The access point that asks")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Say how a request would be routed and why, without sending it; status 1 when it would be refused."""
        with open_api(place_of(context)) as api:
            found = api.post("/v1/explain", {"name": name, "client": client})
        if as_json:
            print_json(found)
        else:
            _print_explanation(found)
        if found["outcome"] != "forward":
            raise typer.Exit(1)

    @app.command("probe")
    def probe(
        context: typer.Context,
        name: Annotated[str, typer.Argument(metavar="USER@REALM", help="The patron")],
        method: Annotated[str, typer.Option(help="ttls-pap, ttls-mschapv2 or peap-mschapv2")] = "ttls-pap",
        password_file: Annotated[
            str | None, typer.Option("--password-file", help="File with the password, or - for standard input")
        ] = None,
        server: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Default: this node's proxy")] = None,
        secret_file: Annotated[str | None, typer.Option("--secret-file", help="File with the shared secret")] = None,
        ca_file: Annotated[
            Path | None, typer.Option("--ca-file", help="Trust anchors; default: the federation's")
        ] = None,
        server_name: Annotated[
            str | None,
            typer.Option("--server-name", help="Name in the server's certificate; default: the federation's"),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,  # noqa: FBT002
    ) -> None:
        """Log in as a device would, through a proxy, as an access point would relay it; status 1 when refused."""
        from radius.supplicant.client import LoginRequest, log_in  # noqa: PLC0415 - TLS is loaded for a probe only

        place = place_of(context)
        host, port, secret = _target(place, server, secret_file, find_probe_target)
        password = _password(password_file)
        anchors, expected_name = _trust(place, ca_file, server_name)
        request = LoginRequest(
            host=host,
            port=port,
            secret=secret,
            user=name,
            password=password,
            method=method,
            ca_pem=anchors,
            server_name=expected_name,
        )
        try:
            result = asyncio.run(log_in(request))
        except ValueError as error:
            fail(str(error), 2)
        except OSError as error:
            fail(f"there is no way to {host}: {error.strerror}")
        if as_json:
            print_json(result.as_json())
        else:
            for step in result.steps:
                typer.echo(f"{step.seconds * 1000:8.1f} ms  {step.text}")
            typer.echo(result.summary)
        if not result.is_accepted:
            raise typer.Exit(1)

    _ = explain, probe  # registered by their decorators


def _print_explanation(found: dict[str, Any]) -> None:
    for step in found["steps"]:
        reason = f"  [{step['reason']}]" if step.get("reason") else ""
        typer.echo(f"{_MARKS[step['verdict']]} {step['text']}{reason}")
    if found["outcome"] == "forward":
        typer.echo(f"→ {', '.join(found['home_servers'])}")
    else:
        typer.echo(f"→ refused: {found['reason']}")


def _target(
    place: Place, server: str | None, secret_file: str | None, find_probe_target: FindProbeTarget
) -> tuple[str, int, bytes]:
    if server is None:
        target = None if place.api else find_probe_target(place.data)
        if target is None:
            fail("no proxy runs here that this machine may ask; name one with --server HOST:PORT --secret-file F", 2)
        return target.host, target.port, target.secret
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        fail(f"{server!r} is no server: HOST:PORT", 2)
    if secret_file is None:
        fail("name the file with the shared secret: --secret-file F", 2)
    return host.strip("[]"), int(port), read_secret_file(secret_file).encode()


def _password(password_file: str | None) -> str:
    if password_file is not None:
        return read_secret_file(password_file)
    if not sys.stdin.isatty():
        fail("name the file with the password: --password-file F, or - for standard input", 2)
    return str(typer.prompt("Password", hide_input=True))


def _trust(place: Place, ca_file: Path | None, server_name: str | None) -> tuple[bytes, str]:
    if ca_file is not None and server_name is not None:
        try:
            return ca_file.read_bytes(), server_name
        except OSError as error:
            fail(f"can not read {ca_file}: {error.strerror}")
    with open_api(place) as api:
        anchors = ca_file.read_bytes() if ca_file else api.get_text("/v1/trust/eap.pem").encode()
        name = server_name or api.get("/v1/federation")["federation"]["eap_server_name"]
    return anchors, name
