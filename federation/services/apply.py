"""Making the registry what a document says, in one change; and the document that the registry is.

A dry run is the same change, not kept: so what it tells is what would be done. The difference is what the audit trail
would hold, so nothing can be done that is not in it. Applying a document twice changes nothing the second time.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from federation.errors import Conflict, InvalidDocument, InvalidInput, NotFound
from federation.model import Actor, Created, DiscoverySettings, DiscoveryTrust, MemberRole
from federation.names import normalise_realm
from federation.policy import DEFAULT_DENIED_REALMS
from federation.services import access_points, home_servers, identity_settings, libraries, realms, settings
from federation.services.cycles import find_cycles
from federation.services.discovery import to_json
from federation.services.document import DiscoverySection, FederationDocument, LibrarySection
from federation.services.registry import Change, Registry, require_operator
from federation.services.values import parse_realm
from federation.snapshot import OnTimeout, Transport
from federation.store.compile import validate_candidate
from federation.store.tables.registry import LibraryRow, RealmRow


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was, or would be, done."""

    action: str  # "realm.add", "access-point.change", …
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A secret that was made because the document had none; it is seen this once."""

    subject: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a document did, or would do."""

    steps: tuple[Step, ...]
    secrets: tuple[GeneratedSecret, ...]  # empty for a dry run
    revision: int  # of the registry afterwards


def apply_document(
    registry: Registry,
    actor: Actor,
    document: FederationDocument,
    *,
    prune: bool = False,
    dry_run: bool = False,
    reason: str = "",
) -> Applied:
    """The registry is as the document says; with `prune`, what the document does not name is gone.

    Without `prune`, what the document does not name stays; a realm that it gives to another library moves.

    Raises:
        Forbidden: the actor is no operator.
        InvalidDocument: something in it can not be; the JSON pointer says where. Nothing is changed.
    """
    require_operator(actor)
    with registry.change(actor, reason, dry_run=dry_run) as change:
        work = _Work(change, actor, document)
        if prune:
            work.prune()
        work.apply()
        _check_routes(change.session, document)
        steps = tuple(Step(row.action, row.subject, row.before, row.after) for row in change.records)
        revision = change.revision if steps else change.revision - 1
    return Applied(steps, () if dry_run else tuple(work.secrets), revision)


def export_document(session: Session) -> dict[str, Any]:
    """The registry as such a document, secrets left out; applied again it changes nothing."""
    current = settings.show_settings(session)
    federation: dict[str, Any] = {
        "name": current.name,
        "country": current.country,
        "eap_server_name": current.eap_server_name,
    }
    if current.public_url:
        federation["public_url"] = current.public_url
    if current.denied_realms != DEFAULT_DENIED_REALMS:
        federation["denied_realms"] = list(current.denied_realms)
    if current.discovery != DiscoverySettings():
        federation["discovery"] = to_json(current.discovery)
    query = (
        select(LibraryRow)
        .order_by(LibraryRow.id)
        .options(
            selectinload(LibraryRow.realms),
            selectinload(LibraryRow.access_points),
            selectinload(LibraryRow.home_servers),
            selectinload(LibraryRow.identity),
        )
    )
    return {"federation": federation, "libraries": [_export_library(row) for row in session.scalars(query)]}


class _Work:
    """The steps of one application, in an order in which a thing is free before another takes it."""

    def __init__(self, change: Change, actor: Actor, document: FederationDocument) -> None:
        self.secrets: list[GeneratedSecret] = []
        self._change = change
        self._session = change.session
        self._actor = actor
        self._document = document
        self._realms: dict[str, tuple[str, bool]] = {}  # of those that are there: library, with sub-realms

    def prune(self) -> None:
        named = {library.id: library for library in self._document.libraries}
        for row in list(self._session.scalars(select(LibraryRow).order_by(LibraryRow.id))):
            library = named.get(row.id)
            if library is None:
                libraries.remove_library(self._change, self._actor, row.id)
                continue
            for kind, names, remove in (
                (row.realms, {realm.name.lower() for realm in library.realms}, realms.remove_realm),
                (row.access_points, {each.name for each in library.access_points}, access_points.remove_access_point),
                (row.home_servers, {each.name for each in library.home_servers}, home_servers.remove_home_server),
            ):
                for entry in list(kind):
                    if entry.name not in names:
                        remove(self._change, self._actor, row.id, entry.name)
            self._session.expire(row)

    def apply(self) -> None:
        with _at("/federation"):
            self._apply_settings()
        for index, library in enumerate(self._document.libraries):
            with _at(f"/libraries/{index}"):
                self._apply_library(library)
        self._read_realms()
        for index, library in enumerate(self._document.libraries):
            self._free_realms(index, library)
        for index, library in enumerate(self._document.libraries):
            self._apply_realms(index, library)
            self._apply_access_points(index, library)
            self._apply_home_servers(index, library)
            if library.identity is not None:
                with _at(f"/libraries/{index}/identity"):
                    identity_settings.change_identity(
                        self._change,
                        self._actor,
                        library.id,
                        kind=library.identity.kind,
                        mschapv2=library.identity.mschapv2,
                    )

    def _apply_settings(self) -> None:
        wanted = self._document.federation
        current = settings.show_settings(self._session)
        settings.change_settings(
            self._change,
            self._actor,
            name=current.name if wanted.name is None else wanted.name,
            country=current.country if wanted.country is None else wanted.country,
            eap_server_name=current.eap_server_name if wanted.eap_server_name is None else wanted.eap_server_name,
            denied_realms=current.denied_realms if wanted.denied_realms is None else wanted.denied_realms,
            public_url=current.public_url if wanted.public_url is None else wanted.public_url,
            discovery=None if wanted.discovery is None else _read_discovery(wanted.discovery),
        )

    def _apply_library(self, library: LibrarySection) -> None:
        if self._session.get(LibraryRow, library.id) is None:
            libraries.add_library(
                self._change,
                self._actor,
                library_id=library.id,
                name=library.name,
                roles=library.roles,
                operator_name=library.operator_name,
            )
            if library.active:
                return
        libraries.change_library(
            self._change,
            self._actor,
            library.id,
            name=library.name,
            roles=library.roles,
            operator_name=library.operator_name,
            is_active=library.active,
        )

    def _read_realms(self) -> None:
        """Who has each realm of the document, and whether with its sub-realms."""
        names: list[str] = []
        for index, library in enumerate(self._document.libraries):
            for number, realm in enumerate(library.realms):
                with _at(f"/libraries/{index}/realms/{number}"):
                    names.append(parse_realm(realm.name, ""))
        columns = select(RealmRow.name, RealmRow.library_id, RealmRow.includes_subrealms)
        for start in range(0, len(names), realms.NAMES_AT_A_TIME):
            found = self._session.execute(
                columns.where(RealmRow.name.in_(names[start : start + realms.NAMES_AT_A_TIME]))
            )
            self._realms.update((name, (library, includes)) for name, library, includes in found)

    def _free_realms(self, index: int, library: LibrarySection) -> None:
        """Before any realm is taken: those that move leave their owner, and sub-realms are let go."""
        for number, realm in enumerate(library.realms):
            name = normalise_realm(realm.name)
            owner, includes = self._realms.get(name, ("", False))
            with _at(f"/libraries/{index}/realms/{number}"):
                if owner and owner != library.id:
                    realms.remove_realm(self._change, self._actor, owner, name)
                    del self._realms[name]
                elif includes and not realm.subrealms:
                    realms.change_realm(self._change, self._actor, library.id, name, includes_subrealms=False)

    def _apply_realms(self, index: int, library: LibrarySection) -> None:
        names = [normalise_realm(realm.name) for realm in library.realms]
        new = [number for number, name in enumerate(names) if name not in self._realms]
        realms.add_realms(
            self._change,
            self._actor,
            library.id,
            [(names[number], library.realms[number].subrealms) for number in new],
            at=lambda place: _at(f"/libraries/{index}/realms/{new[place]}"),
        )
        for number, (name, realm) in enumerate(zip(names, library.realms, strict=True)):
            _, includes = self._realms.get(name, ("", True))
            if realm.subrealms and not includes:
                with _at(f"/libraries/{index}/realms/{number}"):
                    realms.change_realm(self._change, self._actor, library.id, name, includes_subrealms=True)
        realms.order_realms(self._change, self._actor, library.id, names)

    def _apply_access_points(self, index: int, library: LibrarySection) -> None:
        for number, point in enumerate(library.access_points):
            values = access_points.AccessPointValues(
                kind=point.kind,
                address=point.address,
                certificate=point.certificate,
                guest_vlan=point.guest_vlan,
                allow_pap=point.allow_pap,
                request_cui=point.request_cui,
                coa_port=point.coa_port,
                coa_host=point.coa_host,
                require_event_timestamp=point.require_event_timestamp,
                protocol_errors=point.protocol_errors,
                on_timeout=point.on_timeout,
                require_message_authenticator=point.require_message_authenticator,
            )
            with _at(f"/libraries/{index}/access_points/{number}"):
                try:
                    access_points.show_access_point(self._session, self._actor, library.id, point.name)
                except NotFound:
                    made = access_points.add_access_point(
                        self._change, self._actor, library.id, name=point.name, values=values, secret=point.secret
                    )
                else:
                    made = access_points.change_access_point(
                        self._change, self._actor, library.id, point.name, values=values, secret=point.secret
                    )
            self._keep(f"library/{library.id}/access-point/{point.name}", made)

    def _apply_home_servers(self, index: int, library: LibrarySection) -> None:
        for number, server in enumerate(library.home_servers):
            values = home_servers.HomeServerValues(
                host=server.host,
                port=server.port,
                transport=server.transport,
                accounting_port=server.accounting_port,
                position=number,
                weight=server.weight,
                require_message_authenticator=server.require_message_authenticator,
            )
            with _at(f"/libraries/{index}/home_servers/{number}"):
                try:
                    home_servers.show_home_server(self._session, self._actor, library.id, server.name)
                except NotFound:
                    made = home_servers.add_home_server(
                        self._change, self._actor, library.id, name=server.name, values=values, secret=server.secret
                    )
                else:
                    made = home_servers.change_home_server(
                        self._change, self._actor, library.id, server.name, values=values, secret=server.secret
                    )
            self._keep(f"library/{library.id}/home-server/{server.name}", made)

    def _keep(self, subject: str, made: Created[Any]) -> None:
        if made.secret is not None:
            self.secrets.append(GeneratedSecret(subject, made.secret))


def _read_discovery(section: DiscoverySection) -> DiscoverySettings:
    authorities = (DiscoveryTrust(each.anchor, each.policies, each.require_realm) for each in section.authorities)
    return DiscoverySettings(
        section.enabled, section.services, section.realms, section.allowed_networks, tuple(authorities)
    )


def _check_routes(session: Session, document: FederationDocument) -> None:
    """Refuse what each thing by itself may be and all of them together may not."""
    places: dict[str, str] = {}
    for index, library in enumerate(document.libraries):
        for kind, things in (("access_points", library.access_points), ("home_servers", library.home_servers)):
            subject = f"library/{library.id}/{kind.removesuffix('s').replace('_', '-')}"
            places |= {
                f"{subject}/{each.name}": f"/libraries/{index}/{kind}/{number}" for number, each in enumerate(things)
            }
    session.flush()
    problems = [
        InvalidInput(cycle.describe(), field=places.get(cycle.home_server) or places[cycle.proxy])
        for cycle in find_cycles(session, places)
    ]
    problems += [InvalidInput(problem, field="/libraries") for problem in validate_candidate(session)]
    if problems:
        raise InvalidDocument(tuple(problems))


@contextmanager
def _at(pointer: str) -> Generator[None]:
    """What a service refuses inside the block is a problem at this place of the document."""
    try:
        yield
    except InvalidInput as error:
        place = error.field if error.field.startswith(pointer) else f"{pointer}{error.field}"
        raise InvalidDocument((InvalidInput(error.message, field=place),)) from None
    except (Conflict, NotFound) as error:
        raise InvalidDocument((InvalidInput(str(error), field=pointer),)) from None


def _export_library(row: LibraryRow) -> dict[str, Any]:
    library: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "realms": [
            {"name": realm.name, "subrealms": True} if realm.includes_subrealms else realm.name for realm in row.realms
        ],
    }
    if set(row.roles) != set(MemberRole):
        library["roles"] = list(row.roles)
    if row.operator_name:
        library["operator_name"] = row.operator_name
    if not row.is_active:
        library["active"] = False
    if row.access_points:
        library["access_points"] = [
            _without_defaults(
                {
                    "name": point.name,
                    "kind": point.kind,
                    "address": point.address,
                    "certificate": point.certificate,
                    "guest_vlan": point.guest_vlan,
                    "allow_pap": point.allow_pap,
                    "request_cui": point.request_cui,
                    "coa_port": point.coa_port,
                    "coa_host": point.coa_host,
                    "require_event_timestamp": point.require_event_timestamp,
                    "protocol_errors": point.protocol_errors,
                    "on_timeout": point.on_timeout,
                    "require_message_authenticator": point.require_message_authenticator,
                }
            )
            for point in row.access_points
        ]
    if row.home_servers:
        library["home_servers"] = [
            _without_defaults(
                {
                    "name": server.name,
                    "transport": server.transport,
                    "host": server.host,
                    "port": server.port,
                    "accounting_port": server.accounting_port,
                    "weight": server.weight,
                    "require_message_authenticator": server.require_message_authenticator,
                }
            )
            for server in row.home_servers
        ]
    if row.identity is not None:
        library["identity"] = {"kind": row.identity.kind} | ({"mschapv2": True} if row.identity.mschapv2 else {})
    return library


_DEFAULTS: Mapping[str, object] = {
    "kind": "access-point",
    "allow_pap": False,
    "request_cui": False,
    "require_event_timestamp": True,
    "protocol_errors": False,
    "on_timeout": OnTimeout.AUTO,
    "weight": 0,
    "require_message_authenticator": True,
    "transport": Transport.UDP,
}


def _without_defaults(entry: dict[str, Any]) -> dict[str, Any]:
    """What a person would write: no empty values, and none that hold anyway."""
    return {key: value for key, value in entry.items() if value is not None and _DEFAULTS.get(key) != value}
