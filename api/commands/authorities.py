"""`biebroam cert authority`: a root that is kept elsewhere.

The commands that end in `-offline` are for the machine where the root is: they read and write files, and know no
registry and no network.
"""

import base64
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from api.commands.client import Place, fail, open_api, read_secret_file
from api.commands.output import print_json

if TYPE_CHECKING:
    from cryptography import x509

    from federation.trust.authority import KeyedCertificate
    from federation.trust.profiles import Purpose

_PATH = "/v1/trust/authorities"
Result = TypeVar("Result")

PurposeOption = Annotated[str, typer.Option("--purpose", help="peers or eap: whose authority")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON")]
RootKey = Annotated[Path, typer.Option("--root-key", help="File of the root's key, encrypted PEM")]
RootFile = Annotated[Path, typer.Option("--root", help="File of the root's certificate, PEM")]
PassphraseFile = Annotated[str, typer.Option("--passphrase-file", help="File with the key's passphrase, or -")]
Out = Annotated[Path, typer.Option("--out", help="File to write; it must not be there yet")]


def register_authorities(certificates: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """The commands, below those on certificates."""
    commands = typer.Typer(help="Authorities whose root is kept elsewhere.", no_args_is_help=True)
    certificates.add_typer(commands, name="authority")
    _register_online(commands, place_of)
    _register_export(commands, place_of)
    _register_offline(commands)


def _register_online(commands: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    @commands.command("request")
    def request(
        context: typer.Context,
        purpose: PurposeOption = "peers",
        new_root: Annotated[bool, typer.Option("--new-root", help="For another root")] = False,  # noqa: FBT002 - flags
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Make a request for an issuing authority; prints it, to be taken to where the root is."""
        with open_api(place_of(context)) as api:
            made = api.post(f"{_PATH}/{purpose}/request", {"new_root": new_root})
        if as_json:
            print_json(made)
        else:
            typer.echo(made["request_pem"], nl=False)

    @commands.command("import")
    def import_(
        context: typer.Context,
        issuing: Annotated[Path, typer.Option("--issuing", help="File of the issuing certificate, PEM")],
        root: RootFile,
        crl: Annotated[Path | None, typer.Option("--crl", help="File of the root's revocation list, PEM")] = None,
        purpose: PurposeOption = "peers",
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Put in place what the root has signed; a root that is new begins a roll-over."""
        body = {"issuing": _read(issuing), "root": _read(root), "root_list": _read(crl) if crl else None}
        with open_api(place_of(context)) as api:
            made = api.post(f"{_PATH}/{purpose}/import", body)
        if as_json:
            print_json(made)
        elif made["began_rollover"]:
            typer.echo(f"planned: see biebroam cert rollover status --purpose {purpose}")
        else:
            typer.echo("the issuing authority has its new term")

    @commands.command("import-list")
    def import_list(
        context: typer.Context,
        crl: Annotated[Path, typer.Option("--crl", help="File of the root's revocation list, PEM")],
        purpose: PurposeOption = "peers",
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Publish the revocation list of a root that is kept elsewhere."""
        with open_api(place_of(context)) as api:
            made = api.post(f"{_PATH}/{purpose}/root-list", {"root_list": _read(crl)})
        if as_json:
            print_json(made)
        else:
            typer.echo(f"holds until {made['holds_until']}")

    _ = request, import_, import_list  # registered by their decorators


def _register_export(commands: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    @commands.command("export-root")
    def export_root(
        context: typer.Context,
        root_key: RootKey,
        root: RootFile,
        passphrase_file: PassphraseFile,
        purpose: PurposeOption = "peers",
        as_json: Json = False,  # noqa: FBT002
    ) -> None:
        """Take the root's key out of the registry into a file, encrypted; the registry then forgets it."""
        from federation.trust.outside import open_root, sign_proof  # noqa: PLC0415 - `--help` does without

        passphrase = read_secret_file(passphrase_file)
        with open_api(place_of(context)) as api:
            found = api.post(f"{_PATH}/{purpose}/export-root", {"passphrase": passphrase})
            _write(root_key, found["key_pem"].encode())
            _write(root, found["certificate_pem"].encode())
            # What was written is read again and used before the registry gives the key up.
            opened = open_root(root_key.read_bytes(), root.read_bytes(), passphrase)
            proof = base64.b64encode(sign_proof(opened)).decode()
            made = api.post(f"{_PATH}/{purpose}/forget-root", {"proof": proof})
        if as_json:
            print_json({**made, "crl_number": found["crl_number"] + 1})
        else:
            typer.echo(f"{root_key} is the only one with the root's key: keep it, and a copy, off this machine.")
            typer.echo(f"The root's revocation list {found['crl_number'] + 1} holds until {made['holds_until']}.")

    _ = export_root  # registered by its decorator


def _register_offline(commands: typer.Typer) -> None:
    @commands.command("create-offline")
    def create_offline(
        name: Annotated[str, typer.Option(help="The federation's name")],
        root_key: RootKey,
        root: RootFile,
        passphrase_file: PassphraseFile,
        purpose: PurposeOption = "peers",
        generation: Annotated[int, typer.Option(min=1, help="As the request for it says")] = 2,
    ) -> None:
        """Make a root on this machine: two files, its key encrypted."""
        from federation.trust.authority import create_root  # noqa: PLC0415 - `--help` does without
        from federation.trust.outside import encrypt_root_key  # noqa: PLC0415

        made = create_root(_purpose(purpose), name, datetime.now(UTC), generation)
        _write(root_key, _refusing(lambda: encrypt_root_key(made, read_secret_file(passphrase_file))))
        _write(root, made.certificate_pem)

    @commands.command("sign-offline")
    def sign_offline(
        csr: Annotated[Path, typer.Option("--csr", help="File of the request, PEM")],
        root_key: RootKey,
        root: RootFile,
        passphrase_file: PassphraseFile,
        out: Out,
        purpose: PurposeOption = "peers",
    ) -> None:
        """Sign a request for an issuing authority with a root on this machine."""
        from federation.trust.outside import sign_authority_request  # noqa: PLC0415 - `--help` does without

        opened = _open(root_key, root, passphrase_file)
        now, wanted = datetime.now(UTC), _purpose(purpose)
        signed = _refusing(lambda: sign_authority_request(opened, _read(csr).encode(), wanted, now))
        _write(out, _encode(signed))

    @commands.command("list-offline")
    def list_offline(
        number: Annotated[int, typer.Option(min=1, help="Higher than that of the one before")],
        root_key: RootKey,
        root: RootFile,
        passphrase_file: PassphraseFile,
        out: Out,
    ) -> None:
        """Make the revocation list of a root on this machine; it holds for 180 days."""
        from federation.trust.authority import build_crl  # noqa: PLC0415 - `--help` does without
        from federation.trust.profiles import OUTSIDE_CRL_LIFETIME  # noqa: PLC0415

        opened = _open(root_key, root, passphrase_file)
        _write(out, _encode(build_crl(opened, (), number, datetime.now(UTC), OUTSIDE_CRL_LIFETIME)))

    _ = create_offline, sign_offline, list_offline  # registered by their decorators


def _open(root_key: Path, root: Path, passphrase_file: str) -> "KeyedCertificate":
    from federation.trust.outside import open_root  # noqa: PLC0415 - `--help` does without

    passphrase = read_secret_file(passphrase_file)
    return _refusing(lambda: open_root(_read(root_key).encode(), _read(root).encode(), passphrase))


def _purpose(text: str) -> "Purpose":
    from federation.trust.profiles import Purpose  # noqa: PLC0415 - `--help` does without

    try:
        return Purpose(text)
    except ValueError:
        fail(f"{text!r} is no purpose: peers or eap", 2)


def _encode(thing: "x509.Certificate | x509.CertificateRevocationList") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - `--help` does without

    return thing.public_bytes(Encoding.PEM)


def _refusing(action: Callable[[], Result]) -> Result:
    """What the action returns; what it refuses ends the command with its words."""
    from federation.errors import FederationError  # noqa: PLC0415 - `--help` does without

    try:
        return action()
    except FederationError as error:
        fail(str(error))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        fail(f"can not read PEM from {path}")


def _write(path: Path, octets: bytes) -> None:
    """A new file for its owner only, on the disk when this returns."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fail(f"can not write {path}: {error.strerror}")
