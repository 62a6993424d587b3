"""`biebroam cert`: certificates of peers, from requests; a private key never travels."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from api.commands.authorities import register_authorities
from api.commands.client import Place, fail, open_api, quoted
from api.commands.expiry import register_expiry
from api.commands.foreign_anchors import register_foreign_anchors
from api.commands.invitations import register_invitations
from api.commands.output import print_json, print_rows, print_thing
from api.commands.rollovers import register_rollovers

COLUMNS = ("serial", "names", "library", "state", "not_after", "days_left")

Serial = Annotated[str, typer.Argument(metavar="SERIAL", help="Serial number, hexadecimal")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]


def register_certificates(  # noqa: C901 - some commands, each a few lines
    app: typer.Typer, place_of: Callable[[typer.Context], Place]
) -> None:
    """The commands on certificates."""
    commands = typer.Typer(help="Certificates of the federation's peers.", no_args_is_help=True)
    app.add_typer(commands, name="cert")
    for register in (
        register_expiry,
        register_invitations,
        register_rollovers,
        register_authorities,
        register_foreign_anchors,
    ):
        register(commands, place_of)

    @commands.command("issue")
    def issue(
        context: typer.Context,
        csr: Annotated[Path, typer.Option(help="The request (PKCS #10, PEM)")],
        library: Annotated[str, typer.Option(help="Id of the library whose peer it is")],
        profile: Annotated[
            str | None, typer.Option(help="peer, home-server or access-point [default: all that its roles allow]")
        ] = None,
        as_json: Json = False,  # noqa: FBT002 - a flag of the command line
    ) -> None:
        """Issue a certificate from a request; prints it and its chain as PEM."""
        try:
            request = csr.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            fail(f"can not read a request in PEM from {csr}")
        with open_api(place_of(context)) as api:
            made = api.post("/v1/certificates", {"library": library, "csr": request, "profile": profile})
        if as_json:
            print_json(made)
        else:
            typer.echo(made["chain_pem"], nl=False)

    @commands.command("list")
    def list_(context: typer.Context, as_json: Json = False) -> None:  # noqa: FBT002
        """List certificates."""
        with open_api(place_of(context)) as api:
            rows = list(api.list("/v1/certificates"))
        if as_json:
            print_json(rows)
        else:
            print_rows(rows, COLUMNS)

    @commands.command("show")
    def show(context: typer.Context, serial: Serial, as_json: Json = False) -> None:  # noqa: FBT002
        """Show one certificate."""
        with open_api(place_of(context)) as api:
            found = api.get(f"/v1/certificates/{quoted(serial)}")
        if as_json:
            print_json(found)
        else:
            print_thing({key: value for key, value in found.items() if not key.endswith("_pem")})

    @commands.command("renew")
    def renew(context: typer.Context, serial: Serial, as_json: Json = False) -> None:  # noqa: FBT002
        """Issue another in the place of a certificate; prints it and its chain as PEM."""
        with open_api(place_of(context)) as api:
            made = api.post(f"/v1/certificates/{quoted(serial)}/renew", None)
        if as_json:
            print_json(made)
        else:
            typer.echo(made["chain_pem"], nl=False)

    @commands.command("revoke")
    def revoke(
        context: typer.Context,
        serial: Serial,
        reason: Annotated[str, typer.Option(help="As RFC 5280 names it, such as keyCompromise")] = "unspecified",
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Revoke a certificate; the revocation list says so at once."""
        with open_api(place_of(context)) as api:
            found = api.post(f"/v1/certificates/{quoted(serial)}/revoke", {"reason": reason})
        if as_json:
            print_json(found)
        else:
            typer.echo(f"revoked {found['serial']}")

    _ = issue, list_, show, renew, revoke  # registered by their decorators
