"""All management commands, and the two options that say which registry they work on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.commands.certificates import register_certificates
from api.commands.client import OpenApplication, Place
from api.commands.diagnosis import FindProbeTarget, register_diagnosis
from api.commands.dns_records import register_dns_records
from api.commands.documents import register_documents
from api.commands.patrons import register_patrons
from api.commands.posture import register_posture
from api.commands.resources import RESOURCES, register_resources
from api.commands.sign_ins import register_sign_ins

MANAGEMENT_COMMANDS = frozenset(
    {resource.command for resource in RESOURCES}
    | {"apply", "export", "explain", "probe", "patron", "cert", "sign-ins", "posture", "dns-records"}
)
PLACE_OPTIONS = ("--api", "--data")


def register_commands(app: typer.Typer, open_application: OpenApplication, find_probe_target: FindProbeTarget) -> None:
    """The application has every management command, and `--api` and `--data` before them.

    `open_application` gives the API over a data directory; `find_probe_target` where this node's own proxy listens.
    """

    @app.callback()
    def choose(
        context: typer.Context,
        api: Annotated[
            str | None, typer.Option(metavar="URL", help="Manage the federation behind this API; needs BIEBROAM_TOKEN")
        ] = None,
        data: Annotated[Path | None, typer.Option(metavar="DIR", help="Manage this data directory")] = None,
    ) -> None:
        """Eduroam for public libraries."""
        context.obj = Place(open_application, data, api)

    def place_of(context: typer.Context) -> Place:
        place: Place = context.find_root().obj
        return place

    register_documents(app, place_of)
    register_resources(app, place_of)
    register_patrons(app, place_of)
    register_certificates(app, place_of)
    register_dns_records(app, place_of)
    register_sign_ins(app, place_of)
    register_posture(app, place_of)
    register_diagnosis(app, place_of, find_probe_target)

    @app.command("demo")
    def demo(
        once: Annotated[bool, typer.Option("--once", help="End after the logins")] = False,  # noqa: FBT002 - a flag
    ) -> None:
        """Show a federation of two libraries and real roaming logins; status 0 when all went as it should."""
        from api.commands.demo import run_demo  # noqa: PLC0415 - loads TLS, which `--help` does without

        run_demo(open_application, once=once)

    _ = choose, demo  # registered by their decorators


def hoist_place(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--api` and `--data` of a management command before it, wherever they were written.

    People write `biebroam library list --api URL` as well as `biebroam --api URL library list`. After `--` nothing
    moves.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    command = next((each for each in arguments[:end] if not each.startswith("-")), None)
    if command not in MANAGEMENT_COMMANDS:
        return list(arguments)
    hoisted: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments[:end])
    for each in waiting:
        name = each.partition("=")[0]
        if name not in PLACE_OPTIONS:
            rest.append(each)
        elif "=" in each:
            hoisted.append(each)
        else:
            hoisted += [each, *([value] if (value := next(waiting, None)) is not None else [])]
    return [*hoisted, *rest, *arguments[end:]]
