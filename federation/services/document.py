"""The federation as one document: the shape of the federation file and of `/v1/federation`.

Parsing says what is wrong with the document by itself, all of it at once, each with its JSON pointer. Whether it fits
the registry is found by applying it (`federation.services.apply`).
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator

from federation.errors import InvalidDocument, InvalidInput
from federation.model import ClientKind, DiscoverySettings, MemberRole, StoreKind
from federation.snapshot import OnTimeout, Transport

Secret = Annotated[str | None, Field(repr=False)]
_SECRET_KEYS = ("secret", "secret_file", "secret_env")


class Section(BaseModel):
    """A part of the document; a key that it does not know is an error, since it is a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class DiscoveryAuthoritySection(Section):
    """A root of another authority that may vouch for servers which the DNS names."""

    anchor: str
    policies: tuple[str, ...] = ()
    require_realm: StrictBool = True


class DiscoverySection(Section):
    """Whether realms that no library has are looked for in the DNS, which, and whom to believe there."""

    enabled: StrictBool = False
    services: tuple[str, ...] = DiscoverySettings().services
    realms: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    authorities: tuple[DiscoveryAuthoritySection, ...] = ()


class FederationSection(Section):
    """What holds for the federation as a whole; what is left out stays as it is."""

    name: str | None = None
    country: str | None = None
    eap_server_name: str | None = None
    denied_realms: tuple[str, ...] | None = None
    public_url: str | None = None
    discovery: DiscoverySection | None = None


class AccessPointSection(Section):
    """Who may ask."""

    name: str
    kind: ClientKind = ClientKind.ACCESS_POINT
    address: str | None = None
    certificate: str | None = None
    secret: Secret = None
    guest_vlan: StrictInt | None = None
    allow_pap: StrictBool = False
    request_cui: StrictBool = False
    coa_port: StrictInt | None = None
    coa_host: str | None = None
    require_event_timestamp: StrictBool = True
    protocol_errors: StrictBool = False
    on_timeout: OnTimeout = OnTimeout.AUTO
    require_message_authenticator: StrictBool = True


class HomeServerSection(Section):
    """One of the library's own RADIUS servers, asked in their order in the document, or by weight."""

    name: str
    host: str
    port: StrictInt | None = None
    transport: Transport = Transport.UDP
    accounting_port: StrictInt | None = None
    weight: Annotated[StrictInt, Field(ge=0, le=1000)] = 0
    secret: Secret = None
    require_message_authenticator: StrictBool = True


class IdentitySection(Section):
    """Where a hosted library's patrons are checked."""

    kind: StoreKind = StoreKind.LOCAL
    mschapv2: StrictBool = False


class RealmSection(Section):
    """A realm with its sub-realms; a plain realm is written as text."""

    name: str
    subrealms: StrictBool = False


class LibrarySection(Section):
    """A member and all that is its own."""

    id: str
    name: str
    realms: tuple[RealmSection, ...] = ()
    roles: tuple[MemberRole, ...] = (MemberRole.HOME, MemberRole.VISITED)
    operator_name: str = ""
    active: StrictBool = True
    access_points: tuple[AccessPointSection, ...] = ()
    home_servers: tuple[HomeServerSection, ...] = ()
    identity: IdentitySection | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_plain_realms(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the document holds
        if not isinstance(value, dict):
            return value
        section = cast("dict[str, Any]", value)  # keys of JSON and TOML are text
        realms = section.get("realms")
        if not isinstance(realms, list | tuple):
            return section
        entries = cast("Sequence[object]", realms)
        return section | {"realms": [{"name": each} if isinstance(each, str) else each for each in entries]}

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind in ("realms", "access_points", "home_servers"):
            twice = _find_twice([each.name for each in getattr(self, kind)])
            if twice is not None:
                raise ValueError(f"{kind} has {twice!r} more than once")
        return self


class FederationDocument(Section):
    """The whole."""

    federation: FederationSection = FederationSection()
    libraries: tuple[LibrarySection, ...] = ()

    @model_validator(mode="after")
    def _owners_are_unique(self) -> Self:
        twice = _find_twice([library.id for library in self.libraries])
        if twice is not None:
            raise ValueError(f"there is more than one library {twice!r}")
        owners: dict[str, str] = {}
        for library in self.libraries:
            for realm in library.realms:
                owner = owners.setdefault(realm.name.lower(), library.id)
                if owner != library.id:
                    raise ValueError(f"realm {realm.name!r} belongs to both {owner!r} and {library.id!r}")
        return self


def _find_twice(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def parse_document(content: Mapping[str, Any]) -> FederationDocument:
    """The document that the content is.

    Raises:
        InvalidDocument: it is none; every problem is named with its JSON pointer.
    """
    try:
        return FederationDocument.model_validate(content)
    except ValidationError as error:
        raise InvalidDocument(tuple(_problems(error))) from None


def parse_federation_file(
    text: str, *, file: str, read_secret: Callable[[str, str], str] | None = None
) -> dict[str, Any]:
    """The content of a federation file in TOML, its secrets brought in.

    Args:
        text: of the file.
        file: its name, for messages.
        read_secret: gives the secret that ("secret_file", path) or ("secret_env", name) stands for; it may raise
            OSError or KeyError.

    Raises:
        InvalidDocument: it is no TOML, is no such document, or a secret can not be read; places come with their lines.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidDocument((InvalidInput(str(error), field=""),), file=file) from None
    except RecursionError:
        raise InvalidDocument((InvalidInput("it is nested too deep", field=""),), file=file) from None
    problems = list(_bring_secrets_in(content, read_secret))
    if not problems:
        try:
            parse_document(content)
        except InvalidDocument as error:
            problems = list(error.problems)
    if problems:
        raise InvalidDocument(tuple(locate_problem(problem, text) for problem in problems), file=file)
    return content


def locate_problem(problem: InvalidInput, text: str) -> InvalidInput:
    """The same problem, its place led by the line of the file where it stands or should."""
    line = find_line(text, problem.field)
    return InvalidInput(problem.message, field=f"line {line}: {problem.field}" if line else problem.field)


def find_line(text: str, pointer: str) -> int | None:
    """The line of a TOML file that a JSON pointer leads to, or of the nearest table around it."""
    parts = [part for part in pointer.split("/") if part]
    best: tuple[int, int] | None = None  # how much of the pointer agrees, line
    counts: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            names = tuple(name.strip().strip('"') for name in stripped.split("]")[0].strip("[] ").split("."))
            table = _place_of_table(names, counts, is_array=stripped.startswith("[["))
            place = table
        elif "=" in stripped and not stripped.startswith("#"):
            place = (*table, stripped.split("=")[0].strip().strip('"'))
        else:
            continue
        if list(place) == parts[: len(place)] and (best is None or len(place) > best[0]):
            best = (len(place), number)
    return best[1] if best else None


def _place_of_table(names: tuple[str, ...], counts: dict[tuple[str, ...], int], *, is_array: bool) -> tuple[str, ...]:
    place: tuple[str, ...] = ()
    for depth, name in enumerate(names):
        place = (*place, name)
        if depth == len(names) - 1 and is_array:
            counts[place] = counts.get(place, -1) + 1
            for longer in [known for known in counts if len(known) > len(place) and known[: len(place)] == place]:
                del counts[longer]
        if place in counts:
            place = (*place, str(counts[place]))
    return place


def _bring_secrets_in(content: dict[str, Any], read_secret: Callable[[str, str], str] | None) -> list[InvalidInput]:
    problems: list[InvalidInput] = []
    for index, library in enumerate(_tables(content.get("libraries"))):
        for kind in ("access_points", "home_servers"):
            for number, entry in enumerate(_tables(library.get(kind))):
                problem = _bring_secret_in(entry, f"/libraries/{index}/{kind}/{number}", read_secret)
                if problem is not None:
                    problems.append(problem)
    return problems


def _tables(value: object) -> list[dict[str, Any]]:
    """The value if it is an array of tables; what else it may be is for the validation to say."""
    if not isinstance(value, list):
        return []
    entries = cast("list[object]", value)  # whatever stands in it is looked at here
    return [cast("dict[str, Any]", entry) if isinstance(entry, dict) else {} for entry in entries]


def _bring_secret_in(
    entry: dict[str, Any], pointer: str, read_secret: Callable[[str, str], str] | None
) -> InvalidInput | None:
    given = [key for key in _SECRET_KEYS if key in entry]
    if len(given) > 1:
        return InvalidInput(f"one of {', '.join(given)} is enough; leave the others out", field=f"{pointer}/{given[1]}")
    if not given or given[0] == "secret":
        return None
    key, value = given[0], entry.pop(given[0])
    if read_secret is None or not isinstance(value, str):
        return InvalidInput(
            "secrets of files and of the environment are read by `biebroam apply`", field=f"{pointer}/{key}"
        )
    try:
        entry["secret"] = read_secret(key, value).strip()
    except KeyError:
        return InvalidInput(f"there is no environment variable {value}", field=f"{pointer}/{key}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        return InvalidInput(f"can not read {value}: {reason}", field=f"{pointer}/{key}")
    return None


def _problems(error: ValidationError) -> list[InvalidInput]:
    found: list[InvalidInput] = []
    for each in error.errors(include_input=False, include_url=False):
        pointer = "".join(f"/{part}" for part in each["loc"])
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            message = "there is no such key; see docs/federation-file.md"
        found.append(InvalidInput(message, field=pointer))
    return found
