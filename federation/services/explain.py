"""What would be decided about a request, step by step, without sending one.

The steps are the packet path's own, in its order, with the same functions; each refusal carries the code that log and
metrics would show.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from federation.errors import NotFound
from federation.model import Actor
from federation.names import UserName, parse_user_name
from federation.policy import (
    MAX_SESSION_SECONDS,
    Credentials,
    Crossing,
    DenyList,
    RealmPatterns,
    decide_credentials,
    decide_direction,
)
from federation.reasons import RefusalReason
from federation.routing import find_realm
from federation.snapshot import Client, HomeServer, Realm, Snapshot, Transport


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """One decision."""

    # "name", "deny_list", "realm", "discovery", "client", "direction", "credentials", "answer", "home_server" or
    # "accounting"
    step: str
    verdict: str  # "pass", "refuse", or "note"
    text: str  # for a person
    reason: RefusalReason | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a request would go, and why."""

    name: str
    client: str | None
    revision: int
    outcome: str  # "forward" or "refuse"
    reason: RefusalReason | None  # of the first refusal
    realm: str | None
    library: str | None
    home_servers: tuple[str, ...]
    steps: tuple[ExplainedStep, ...]


@dataclass(frozen=True, slots=True)
class RealmLookup:
    """What the DNS says of a realm, asked now."""

    records: tuple[str, ...]  # each question with its answer, in words
    servers: tuple[str, ...]  # HOST:PORT, the first to be asked first
    addresses: tuple[str, ...]  # of all of them
    seconds: int  # for which that holds
    refusal: RefusalReason | None  # None: there are servers


LookUp = Callable[[Snapshot, str], RealmLookup]


def explain(
    snapshot: Snapshot, actor: Actor, *, name: str, client: str | None = None, look_up: LookUp | None = None
) -> Explanation:
    """What a proxy with this snapshot would do with an EAP request of that name from that client.

    `look_up` asks the DNS for a realm that no library has, where the federation's discovery would; it may take seconds.

    A client's key is `library/name`. Without a client only the name and its route are judged. A library's token may ask
    about its own clients; home servers of other libraries are named and nothing more is told of them.

    Raises:
        NotFound: there is no such client that the actor may see.
    """
    asking = _find_client(snapshot, actor, client) if client is not None else None
    found: list[str] = []
    steps = list(_judge(snapshot, actor, name, asking, _Discovery(look_up, found)))
    refusal = next((step.reason for step in steps if step.verdict == "refuse"), None)
    realm = _route(snapshot, name)
    servers = realm.home_servers if realm else tuple(found)
    return Explanation(
        name=name,
        client=client,
        revision=snapshot.revision,
        outcome="refuse" if refusal is not None else "forward",
        reason=refusal,
        realm=realm.name if realm else None,
        library=realm.library if realm else None,
        home_servers=servers if refusal is None else (),
        steps=tuple(steps),
    )


@dataclass(frozen=True, slots=True)
class _Discovery:
    """How the DNS is asked, and the servers that it named."""

    look_up: LookUp | None
    found: list[str]


def _encode_name(name: str) -> bytes:
    # A terminal's octets that are no UTF-8 arrive as surrogates; as octets they are judged like any others.
    return name.encode(errors="surrogatepass")


def _find_client(snapshot: Snapshot, actor: Actor, key: str) -> Client:
    for client in snapshot.clients:
        if client.key == key and actor.library in (None, client.library):
            return client
    raise NotFound(f"there is no access point {key!r}; its key is LIBRARY/NAME")


def _route(snapshot: Snapshot, name: str) -> Realm | None:
    parsed = parse_user_name(_encode_name(name))
    return find_realm(snapshot, parsed.realm) if isinstance(parsed, UserName) else None


def _refuse(step: str, text: str, reason: RefusalReason) -> ExplainedStep:
    return ExplainedStep(step, "refuse", text, reason)


def _judge(
    snapshot: Snapshot, actor: Actor, name: str, client: Client | None, discovery: _Discovery
) -> Iterator[ExplainedStep]:
    parsed = parse_user_name(_encode_name(name))
    if not isinstance(parsed, UserName):
        yield _refuse("name", f"{name!r} may not travel", parsed)
        return
    yield ExplainedStep("name", "pass", f"the realm of {name!r} is {parsed.realm}")
    if DenyList(snapshot.denied_realms).denies(parsed.realm):
        yield _refuse("deny_list", f"{parsed.realm} is on the federation's deny list", RefusalReason.REALM_DENIED)
        return
    realm = find_realm(snapshot, parsed.realm)
    if realm is None and _may_be_discovered(snapshot, parsed.realm):
        yield from _discover(snapshot, parsed.realm, client, discovery)
        return
    if realm is None:
        yield _refuse("realm", f"no library owns {parsed.realm}", RefusalReason.UNROUTABLE)
        return
    how = "" if realm.name == parsed.realm else f", under {realm.name} with its sub-realms"
    yield ExplainedStep("realm", "pass", f"{parsed.realm} belongs to {realm.library}{how}")
    servers = [snapshot.home_servers[key] for key in realm.home_servers]
    if client is not None:
        yield from _judge_client(client, realm, servers)
    yield from _name_servers(servers, actor)
    if realm.accounting_servers:
        goes = f"accounting goes to {', '.join(realm.accounting_servers)}, without addresses and VLANs from elsewhere"
    else:
        goes = "accounting is answered here and goes no further"
    yield ExplainedStep("accounting", "note", goes)


def _may_be_discovered(snapshot: Snapshot, realm: str) -> bool:
    policy = snapshot.discovery
    if policy is None:
        return False
    return not policy.realms or RealmPatterns(policy.realms, field="discovery/realms").match(realm)


def _discover(snapshot: Snapshot, realm: str, client: Client | None, discovery: _Discovery) -> Iterator[ExplainedStep]:
    """The realm is no library's: the records of its DNS, and what they come to."""
    yield ExplainedStep("realm", "note", f"no library owns {realm}: it is looked for in the DNS")
    if client is not None:
        yield from _judge_client(client, Realm(realm, "", (), is_discovered=True), [])
    if discovery.look_up is None:
        return
    found = discovery.look_up(snapshot, realm)
    for record in found.records:
        yield ExplainedStep("discovery", "note", record)
    if found.refusal is not None:
        yield _refuse("discovery", f"the DNS leads to no home server of {realm}", found.refusal)
    elif client is not None and _leads_back(client, found):
        yield _refuse("discovery", f"the DNS leads back to {client.key}", RefusalReason.DISCOVERY_LOOP_TO_ASKER)
    else:
        discovery.found.extend(f"discovered:{realm}/{server}" for server in found.servers)
        yield ExplainedStep(
            "discovery",
            "pass",
            f"RADIUS/TLS to {', '.join(found.servers)}, for {found.seconds} s; its certificate has to prove the realm",
        )


def _leads_back(client: Client, found: RealmLookup) -> bool:
    names = {server.rpartition(":")[0] for server in found.servers}
    if client.certificate_name is not None and client.certificate_name.lower() in names:
        return True
    networks = client.networks if client.is_proxy else [each for each in client.networks if each.num_addresses == 1]
    return any(ip_address(address) in network for address in found.addresses for network in networks)


def _judge_client(client: Client, realm: Realm, servers: list[HomeServer]) -> Iterator[ExplainedStep]:
    where = ", ".join(str(network) for network in client.networks) or f"certificate {client.certificate_name}"
    yield ExplainedStep("client", "pass", f"{client.key} asks from {where}, as {client.operator_name}")
    refusal = decide_direction(client, realm)
    if refusal is not None:
        yield _refuse("direction", f"{client.key} is {realm.library}'s own proxy: it answers for {realm.name}", refusal)
        return
    yield ExplainedStep("direction", "pass", "at home" if client.library == realm.library else "a visitor")
    next_hop_is_udp = any(server.transport is Transport.UDP for server in servers)
    for credentials, words in ((Credentials.EAP, "EAP"), (Credentials.PAP, "a readable password (PAP)")):
        refusal = decide_credentials(Crossing(client, realm, credentials, next_hop_is_udp))
        if refusal is None:
            yield ExplainedStep("credentials", "pass", f"{words} may go there")
        else:
            yield ExplainedStep("credentials", "note", f"{words} would be refused", refusal)
    if client.library != realm.library:
        yield ExplainedStep(
            "answer",
            "note",
            "VLAN, filter and role attributes of the home library are removed; Session-Timeout is at most "
            f"{MAX_SESSION_SECONDS} s",
        )
        if client.dynamic_authorization_server:
            yield ExplainedStep(
                "answer", "note", "the home library may end the session here, and set how long it lasts"
            )
        if client.guest_vlan is not None:
            yield ExplainedStep("answer", "note", f"visitors get VLAN {client.guest_vlan} here")


def _name_servers(servers: list[HomeServer], actor: Actor) -> Iterator[ExplainedStep]:
    if not servers:
        yield _refuse("home_server", "no home server is there to ask", RefusalReason.NO_LIVE_HOME_SERVER)
    for position, server in enumerate(servers, start=1):
        what = "hosted by Biebroam" if server.is_hosted else str(server.transport)
        if not server.is_hosted and actor.library in (None, server.library):
            what += f" to {server.host}:{server.port}"
        yield ExplainedStep("home_server", "pass", f"{position}. {server.key}, {what}")
