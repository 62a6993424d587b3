"""The command line; `biebroam_roles` puts the parts together that it starts.

Everything is imported where it is used: `--help` answers at once, and a worker loads what its role needs and no more.
"""

import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from biebroam_roles import (
    SETTINGS_VARIABLE,
    find_probe_target,
    look_up_realm,
    open_registry,
    run_roles,
    serve,
    serve_alone,
)
from config.version import __version__

if TYPE_CHECKING:
    import typer

    from api.ports import ProbeTarget
    from config.settings import Settings
    from federation.services.registry import Actor

Result = TypeVar("Result")

LONE_ROLES = ("proxy", "home", "api", "recorder")


def main(arguments: Sequence[str] | None = None) -> None:
    """The `biebroam` command with these arguments, else its own; a worker of `serve` goes straight to its role."""
    settings_text = os.environ.get(SETTINGS_VARIABLE)
    if settings_text is not None:
        sys.exit(run_worker(settings_text))
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) == 1 and words[0] in LONE_ROLES:  # nothing to parse: it answers a tenth of a second earlier
        sys.exit(Node().serve_alone(words[0], None))
    from api.commands.registration import hoist_place

    build_command_line()(hoist_place(words))


def run_worker(settings_text: str) -> int:
    """Run one role with the settings of the process that started this one; returns the exit status."""
    from config.settings import Settings
    from radius.supervisor import adopt_lifeline

    settings = Settings.from_json(settings_text)
    lifeline = adopt_lifeline()
    if lifeline is None:
        return refusing(lambda: serve_alone(sys.argv[1], settings))
    lifeline.watch_parent()
    return run_roles([lifeline.name], settings, {lifeline.name: lifeline.sockets}, lifeline=lifeline)


# What commands, roles and `api.commands` share


def load_settings(data: Path | None = None, workers: int | None = None) -> "Settings":
    """The settings of this node; a refusal is printed and ends the program with status 1."""
    from config.settings import SettingsError
    from config.sources import load_settings as load

    try:
        return load(data=data, workers=workers)
    except SettingsError as error:
        fail(str(error))


def fail(message: str, status: int = 1) -> NoReturn:
    """Print what is wrong and end the program."""
    print(f"biebroam: {message}", file=sys.stderr)  # noqa: T201 - the command line speaks
    sys.exit(status)


def local_actor() -> "Actor":
    """Who acts at a terminal of this machine: whoever may read the node key may do everything."""
    import getpass

    from federation.model import Actor, Role

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        name = f"uid {os.getuid()}"
    return Actor(f"{name} (local)", Role.OPERATOR, source_address="local")


# init


def initialise(settings: "Settings", *, name: str, country: str, eap_server_name: str) -> str:
    """The data directory is complete; returns the first operator's token, which is kept nowhere.

    Raises:
        FederationError: there is a federation already, a value can not be, or the directory can not be written.
    """
    from federation.errors import TrustError
    from federation.services.initialisation import initialise as make
    from federation.store.session import Store

    directory = settings.directory
    try:
        directory.make()
        if not settings.database_url:
            directory.database.touch(mode=0o600)
    except OSError as error:
        raise TrustError(f"can not make {directory.root}: {error.strerror}") from None
    store = Store(settings.store_url)
    try:
        return make(
            store, directory.node_key, local_actor(), name=name, country=country, eap_server_name=eap_server_name
        )
    finally:
        store.close()


# The command line


class Node:
    """What the commands on the node itself do; see `api.commands.service`."""

    version = __version__

    def initialise(self, data: Path | None, federation: Mapping[str, str]) -> tuple[Path, str]:
        """The data directory, made now, and the first operator's token."""
        settings = load_settings(data)
        return settings.data, refusing(lambda: initialise(settings, **federation))

    def is_initialised(self, data: Path | None) -> bool:
        """Whether there is anything to serve."""
        return load_settings(data).directory.node_key.exists()

    def serve(self, data: Path | None, workers: int | None, *, is_single: bool) -> int:
        """The exit status of the service, when it has ended."""
        return refusing(lambda: serve(load_settings(data, workers), is_single=is_single))

    def serve_alone(self, role: str, data: Path | None) -> int:
        """The exit status of that role, when it has ended."""
        settings = load_settings(data)
        environment = {**os.environ, SETTINGS_VARIABLE: settings.to_json()}
        # The same process without what the command line had to load: a third of its memory.
        os.execve(sys.executable, [sys.executable, __file__, role], environment)  # noqa: S606 - no shell is meant

    def find_directory(self, data: Path | None) -> tuple[Path, bool]:
        """The data directory, and whether the database is in it."""
        settings = load_settings(data)
        return settings.data, not settings.database_url

    def examine(self, data: Path | None) -> Sequence[Mapping[str, Any]]:  # Any: the values of a finding
        """What was found about this node."""
        from dataclasses import asdict

        from config.diagnosis import diagnose
        from federation.services.doctor import build_probes

        settings = load_settings(data)
        probes = build_probes(lambda: open_registry(settings), settings.hosted_addresses)
        return [asdict(finding) for finding in diagnose(settings, os.environ, probes)]


@contextmanager
def open_application(data: Path | None) -> Generator[Any]:  # Any: an ASGI application, as `api.commands` takes it
    """The API's application over the data directory, for the person at this terminal."""
    from api.app import create_app
    from api.ports import Ports
    from federation.statistics.reports import read_reports

    settings = load_settings(data)
    registry = refusing(lambda: open_registry(settings))
    ports = Ports(
        read_reports=lambda: read_reports(settings.directory.run),
        find_probe_target=lambda: find_probe_target(settings, registry),
        look_up_realm=lambda snapshot, realm: look_up_realm(settings, snapshot, realm),
    )
    try:
        yield create_app(registry, ports, local_actor=local_actor())
    finally:
        registry.store.close()


def find_target_here(data: Path | None) -> "ProbeTarget | None":
    """This node's proxy, for `probe`; None when none runs here."""
    settings = load_settings(data)
    registry = refusing(lambda: open_registry(settings))
    return find_probe_target(settings, registry)


def build_command_line() -> "typer.Typer":
    """Every command."""
    import typer

    from api.commands.registration import register_commands
    from api.commands.service import register_service

    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    register_service(app, Node())
    register_commands(app, open_application, find_target_here)
    return app


def refusing(action: Callable[[], Result]) -> Result:
    """What the action returns; what the registry or the system refuses is printed, and ends with status 1."""
    from federation.errors import FederationError

    try:
        return action()
    except FederationError as error:
        fail(str(error))
    except OSError as error:
        fail(error.strerror or str(error))


if __name__ == "__main__":
    main()
