"""The settings of the federation as a whole."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from federation.errors import InvalidInput, NotFound
from federation.model import Actor, DiscoverySettings, FederationSettings
from federation.policy import DEFAULT_DENIED_REALMS, DenyList
from federation.services.authorities import renew_due
from federation.services.discovery import parse_settings, to_json
from federation.services.registry import Change, check_version, require_operator
from federation.services.values import parse_host
from federation.store.discovery import read_discovery_settings
from federation.store.tables.registry import FederationRow
from federation.trust.distribution import MAX_URL_CHARACTERS, is_public_url

MAX_NAME_CHARACTERS = 64


def create_settings(change: Change, *, name: str, country: str, eap_server_name: str) -> FederationSettings:
    """The federation has settings, if it had none; what `init` begins with."""
    row = change.session.get(FederationRow, 1)
    if row is None:
        row = FederationRow(
            id=1,
            name=_parse_name(name),
            country=_parse_country(country),
            eap_server_name=_parse_server_name(eap_server_name),
            denied_realms=list(DEFAULT_DENIED_REALMS),
            discovery={},
            revision=change.revision,
            version=1,
        )
        change.session.add(row)
        change.session.flush()
        change.record("federation.create", "federation", after={"name": row.name})
    return _describe(row)


def show_settings(session: Session) -> FederationSettings:
    """The settings.

    Raises:
        NotFound: there are none yet.
    """
    return _describe(_find(session))


def change_settings(
    change: Change,
    actor: Actor,
    *,
    name: str,
    country: str,
    eap_server_name: str,
    denied_realms: Sequence[str],
    public_url: str = "",
    discovery: DiscoverySettings | None = None,
    expected_version: int | None = None,
) -> FederationSettings:
    """The settings are these; with another server name the hosted home server has a new certificate at once.

    With another public URL the proxy has one, which leads to the revocation list there; others come with their renewal.
    Without *discovery* that stays as it is.

    Raises:
        Forbidden: the actor is no operator.
        InvalidInput: a value can not be.
        Conflict: they have changed since *expected_version*.
    """
    require_operator(actor)
    row = _find(change.session)
    check_version(row.version, expected_version)
    DenyList(denied_realms)  # raises for a pattern that can not be
    values: dict[str, object] = {
        "name": _parse_name(name),
        "country": _parse_country(country),
        "eap_server_name": _parse_server_name(eap_server_name),
        "denied_realms": [pattern.lower() for pattern in denied_realms],
        "public_url": _parse_public_url(public_url),
    }
    if discovery is not None:
        values["discovery"] = to_json(parse_settings(change.session, discovery))
    before = {key: getattr(row, key) for key in values}
    if before != values:
        for key, value in values.items():
            setattr(row, key, value)
        row.version += 1
        change.session.flush()
        change.record("federation.change", "federation", before=before, after=values)
        if any(before[key] != values[key] for key in ("eap_server_name", "public_url")):
            renew_due(change)
    return _describe(row)


def _find(session: Session) -> FederationRow:
    row = session.get(FederationRow, 1)
    if row is None:
        raise NotFound("the federation has no settings yet: run `biebroam init`")
    return row


def _describe(row: FederationRow) -> FederationSettings:
    return FederationSettings(
        row.name,
        row.country,
        row.eap_server_name,
        tuple(row.denied_realms),
        row.public_url,
        read_discovery_settings(row),
        row.version,
    )


def _parse_name(name: str) -> str:
    # It stands in F-Ticks lines, where "#" and "/" separate.
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.replace("-", "").replace("_", "").isalnum():
        raise InvalidInput(
            f"{name!r} is no federation name: 1 to {MAX_NAME_CHARACTERS} letters, digits, - and _",
            field="/federation/name",
        )
    return name


def _parse_country(country: str) -> str:
    upper = country.upper()
    if len(upper) != 2 or not upper.isascii() or not upper.isalpha():
        raise InvalidInput(f"{country!r} is no country: two letters (ISO 3166-1)", field="/federation/country")
    return upper


def _parse_server_name(name: str) -> str:
    host = parse_host(name, "/federation/eap_server_name")
    if "." not in host or ":" in host or host.replace(".", "").isdigit():
        raise InvalidInput(
            f"{name!r} is no DNS name, such as login.library.example", field="/federation/eap_server_name"
        )
    return host


def _parse_public_url(url: str) -> str:
    """Without a slash at its end; empty: there is none."""
    stripped = url.rstrip("/")
    if url and not is_public_url(stripped):
        raise InvalidInput(
            f"{url[:100]!r} is no public URL: http or https, a host, no user, query or fragment,"
            f" {MAX_URL_CHARACTERS} characters at most, such as http://biebroam.example",
            field="/federation/public_url",
        )
    return stripped
