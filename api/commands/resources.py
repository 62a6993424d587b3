"""`biebroam library|realm|access-point|home-server|token`: one description each, and the commands made from it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from api.commands.client import Api, Place, open_api, quoted, read_secret_file
from api.commands.output import print_json, print_rows, print_thing


@dataclass(frozen=True, slots=True)
class Option:
    """One value that `add` and `change` take."""

    field: str  # of the API's JSON
    help: str
    kind: type = str  # str, int, bool, or list for texts that may be repeated
    is_secret_file: bool = False  # the option names a file; its content is the value
    only_add: bool = False
    zero_is_none: bool = False  # 0 takes the value away

    @property
    def flag(self) -> str:
        """How it is written."""
        name = self.field.replace("_", "-").removeprefix("is-").removeprefix("includes-")
        if self.is_secret_file:
            return f"--{name}-file"
        return f"--{name}/--no-{name}" if self.kind is bool else f"--{name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of thing that the API has."""

    command: str
    noun: str
    path: str  # of the list; {library} where it lies under one
    key: str  # the field that names it
    columns: tuple[str, ...]
    options: tuple[Option, ...]
    may_change: bool = True
    may_remove: bool = True
    names_itself: bool = True  # `add` takes the key; else the API makes it

    @property
    def plural(self) -> str:
        """The noun for several."""
        return f"{self.noun[:-1]}ies" if self.noun.endswith("y") else f"{self.noun}s"

    @property
    def is_of_library(self) -> bool:
        """Whether it lies under a library."""
        return "{library}" in self.path


_SECRET = Option("secret", "File with the shared secret, or - for standard input; none: generated", is_secret_file=True)
_REQUIRE = Option("require_message_authenticator", "Refuse packets without Message-Authenticator (CVE-2024-3596)", bool)

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "library",
        "library",
        "/v1/libraries",
        "id",
        ("id", "name", "realms", "is_hosted", "is_active"),
        (
            Option("name", "Its name for people"),
            Option("roles", "home or visited; repeat for both", list),
            Option("operator_name", "Operator-Name of its access points; default: its first realm"),
            Option("realms", "A realm that it owns; repeat for more", list, only_add=True),
            Option("is_active", "Whether it takes part", bool),
        ),
    ),
    Resource(
        "realm",
        "realm",
        "/v1/libraries/{library}/realms",
        "name",
        ("name", "library", "includes_subrealms"),
        (Option("includes_subrealms", "What lies under it is the library's too", bool),),
    ),
    Resource(
        "access-point",
        "access point",
        "/v1/libraries/{library}/access-points",
        "name",
        ("name", "kind", "address", "certificate", "guest_vlan", "secret_changed_at"),
        (
            Option("address", "Address or prefix that its UDP comes from, such as 192.0.2.0/24"),
            Option("certificate", "RADIUS/TLS: the name in its client certificate"),
            Option("kind", "access-point, or proxy for a library's own proxy"),
            Option("guest_vlan", "VLAN that visitors get here", int),
            Option("allow_pap", "Readable passwords, for the library's own patrons only", bool),
            Option("request_cui", "Ask home servers for Chargeable-User-Identity", bool),
            Option(
                "coa_port",
                "Where it takes CoA and Disconnect from visitors' libraries, usually 3799; 0: nowhere",
                int,
                zero_is_none=True,
            ),
            Option("coa_host", "The host of that port; default: its address"),
            Option("require_event_timestamp", "CoA and Disconnect have to say when they were sent", bool),
            Option("protocol_errors", "It understands Protocol-Error (RFC 7930)", bool),
            Option("on_timeout", "auto, reject, drop or protocol-error: what it gets when nobody answers in time"),
            _REQUIRE,
            _SECRET,
        ),
    ),
    Resource(
        "home-server",
        "home server",
        "/v1/libraries/{library}/home-servers",
        "name",
        ("name", "position", "weight", "transport", "host", "port", "secret_changed_at"),
        (
            Option("host", "IP address or DNS name"),
            Option("port", "Default: 1812, or 2083 for tls", int),
            Option("transport", "udp or tls"),
            Option("position", "0 is asked first", int),
            Option(
                "accounting_port",
                "Where accounting of its patrons goes, usually 1813; 0: it stays where they are",
                int,
                zero_is_none=True,
            ),
            Option("weight", "Its share of the devices among neighbours with a weight; 0: asked in its order", int),
            _REQUIRE,
            _SECRET,
        ),
    ),
    Resource(
        "token",
        "token",
        "/v1/tokens",
        "id",
        ("id", "name", "role", "library", "expires_at", "revoked_at", "last_used_at"),
        (
            Option("name", "What it is for"),
            Option("role", "operator, library or reader"),
            Option("library", "The library that it is bound to"),
            Option("expires_at", "When it ends, such as 2027-01-31T00:00:00Z"),
        ),
        may_change=False,
        may_remove=False,
        names_itself=False,
    ),
)


def register_resources(app: typer.Typer, place_of: Callable[[typer.Context], Place]) -> None:
    """Every resource has its commands."""
    for resource in RESOURCES:
        commands = typer.Typer(
            help=f"{resource.plural[:1].upper()}{resource.plural[1:]} of the federation.", no_args_is_help=True
        )
        _Maker(resource, place_of).add_to(commands)
        app.add_typer(commands, name=resource.command)


class _Maker:
    """Makes the commands of one resource."""

    def __init__(self, resource: Resource, place_of: Callable[[typer.Context], Place]) -> None:
        self._resource = resource
        self._place_of = place_of

    def add_to(self, commands: typer.Typer) -> None:
        resource = self._resource
        make = self._make(commands)
        make("list", f"List the {resource.plural}.", self._list, takes_key=False)
        make("show", f"Show one {resource.noun}.", self._show)
        make("add", f"Add a {resource.noun}.", self._add, takes_key=resource.names_itself, options=resource.options)
        if resource.may_change:
            options = [option for option in resource.options if not option.only_add]
            make("change", f"Change a {resource.noun}; what is not named stays.", self._change, options=options)
        if resource.may_remove:
            make("remove", f"Remove a {resource.noun}.", self._remove)
        else:
            make("revoke", f"Revoke a {resource.noun}; it opens nothing any more.", self._revoke)

    def _make(self, commands: typer.Typer) -> Callable[..., None]:
        def make(
            name: str,
            description: str,
            work: Callable[[Api, str, dict[str, Any], bool], None],
            *,
            takes_key: bool = True,
            options: Sequence[Option] = (),
        ) -> None:
            def command(**given: Any) -> None:  # noqa: ANN401 - typer hands in what the signature below names
                context, as_json = given.pop("context"), given.pop("as_json")
                library, key = given.pop("library_id", None), given.pop("key", None)
                path = self._resource.path.format(library=quoted(library or ""))
                place = self._place_of(context)
                body = _body(given, options)
                if name == "add" and key is not None:
                    body[self._resource.key] = key
                with open_api(place) as api:
                    work(api, path if key is None or name == "add" else f"{path}/{quoted(key)}", body, as_json)

            parameters = _parameters(self._resource, options, takes_key=takes_key)
            command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] - what typer reads
            command.__annotations__ = {each.name: each.annotation for each in parameters}
            commands.command(name, help=description)(command)

        return make

    def _list(self, api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001 - one of four of a kind
        del body
        rows = list(api.list(path))
        if as_json:
            print_json(rows)
        else:
            print_rows(rows, self._resource.columns)

    @staticmethod
    def _show(api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
        del body
        _print(api.get(path), as_json=as_json)

    @staticmethod
    def _add(api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
        _print(api.post(path, body), as_json=as_json)

    @staticmethod
    def _change(api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
        _print(api.change(path, body), as_json=as_json)

    @staticmethod
    def _remove(api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
        del body
        api.delete(path)
        if as_json:
            print_json({"removed": True})
        else:
            typer.echo("removed")

    @staticmethod
    def _revoke(api: Api, path: str, body: dict[str, Any], as_json: bool) -> None:  # noqa: FBT001
        _print(api.post(f"{path}/revoke", body or None), as_json=as_json)


def _print(thing: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(thing)
    else:
        print_thing(thing)


def _body(given: dict[str, Any], options: Sequence[Option]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for option in options:
        value = given.get(option.field)
        if value is None or value == []:
            continue
        if option.zero_is_none and value == 0:
            body[option.field] = None
        else:
            body[option.field] = read_secret_file(value) if option.is_secret_file else value
    return body


def _parameters(resource: Resource, options: Sequence[Option], *, takes_key: bool) -> list[inspect.Parameter]:
    def parameter(name: str, annotation: object, default: object = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    found = [parameter("context", typer.Context)]
    if resource.is_of_library:
        found.append(
            parameter("library_id", Annotated[str, typer.Argument(metavar="LIBRARY", help="Id of the library")])
        )
    if takes_key:
        metavar = resource.key.upper()
        found.append(parameter("key", Annotated[str, typer.Argument(metavar=metavar, help=f"The {resource.noun}")]))
    for option in options:
        kind: Any = list[str] if option.kind is list else option.kind  # a type, chosen at run time
        annotation = Annotated[kind | None, typer.Option(option.flag, help=option.help, show_default=False)]
        found.append(parameter(option.field, annotation, None))
    found.append(parameter("as_json", Annotated[bool, typer.Option("--json", help="Print JSON")], default=False))
    return found
