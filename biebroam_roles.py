"""How the roles of a node are put together from their parts, and run: by `serve`, or one alone.

Beside `biebroam` the only module that may import everything. Everything is imported where it is used: a worker loads
what its role needs and no more.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from typing import TypeAlias

    from api.ports import ProbeTarget
    from config.settings import Settings
    from federation.services.explain import RealmLookup
    from federation.services.registry import Registry
    from federation.snapshot import Snapshot
    from federation.statistics.worker import Role
    from federation.trust.keystore import Sealer
    from radius.supervisor import BoundGroup, Lifeline

    Sockets: TypeAlias = Mapping[str, Sequence[socket.socket]]

SETTINGS_VARIABLE = "BIEBROAM_SETTINGS"  # how `serve` hands its settings to its workers
LOOPBACK = "127.0.0.1"
MAX_RECORDS_TOLD = 16  # of one answer, by `explain`
DRAIN_SECONDS = 5.0
COMMAND_LINE = Path(__file__).resolve().with_name("biebroam.py")  # what a worker is started with


def open_registry(settings: "Settings") -> "Registry":
    """The registry of a data directory that has been initialised; changes are announced to this node's processes.

    Raises:
        TrustError: the node key is missing or can not be read.
    """
    from federation.services.registry import Registry
    from federation.store.announcements import announce
    from federation.store.session import Store

    sealer = open_node_key(settings)

    def tell(revision: int) -> None:
        announce(settings.directory.run, revision)

    return Registry(Store(settings.store_url), sealer, tell)


def open_node_key(settings: "Settings") -> "Sealer":
    """What opens the secrets of a data directory that has been initialised.

    Raises:
        TrustError: the node key is missing or can not be read.
    """
    from federation.errors import TrustError
    from federation.trust.keystore import load_sealer

    directory = settings.directory
    if not directory.node_key.exists() and directory.database.exists() and not settings.database_url:
        raise TrustError(f"the node key {directory.node_key} is missing: without it nothing opens; restore a backup")
    if not directory.node_key.exists():
        raise TrustError(f"{directory.root} is no data directory of Biebroam's yet: run `biebroam init` first")
    return load_sealer(directory.node_key)


def build_api(settings: "Settings", listener: "socket.socket", *, runs_workers: bool) -> "Role":
    """The management API on a listening socket."""
    from api.app import create_app
    from api.ports import Ports
    from api.server import ApiServer
    from federation.statistics.reports import read_reports

    registry = open_registry(settings)
    ports = Ports(
        read_reports=lambda: read_reports(settings.directory.run),
        find_probe_target=lambda: find_probe_target(settings, registry),
        look_up_realm=lambda snapshot, realm: look_up_realm(settings, snapshot, realm),
        runs_workers=runs_workers,
    )
    return ApiServer(create_app(registry, ports), listener)


def find_probe_target(settings: "Settings", registry: "Registry") -> "ProbeTarget | None":
    """This node's proxy and the secret of a client that may ask it from this machine; None when there is no such."""
    from api.ports import ProbeTarget
    from config.paths import read_ports
    from federation.services.feed import compile_for_proxy, find_client_secret

    port = read_ports(settings.directory).get("auth")
    with registry.read() as session:
        snapshot = compile_for_proxy(session, registry.sealer, settings.hosted_addresses)
    secret = find_client_secret(snapshot, LOOPBACK)
    return ProbeTarget(LOOPBACK, port, secret) if isinstance(port, int) and secret is not None else None


def look_up_realm(settings: "Settings", snapshot: "Snapshot", realm: str) -> "RealmLookup":
    """What the DNS says of a realm now, asked and judged as this node's proxy would, with nothing remembered."""
    import asyncio

    from federation.reasons import RefusalReason
    from federation.services.explain import RealmLookup
    from radius.discovery.guards import Refusal, Rules
    from radius.discovery.records import Naptr, Srv
    from radius.transport.discovery import is_own_address, trace

    def describe(record: object) -> str:
        match record:
            case Naptr():
                fields = f'"{record.flags}" "{record.service}" "{record.regexp}" {record.replacement}'
                return f"{record.order} {record.preference} {fields}"
            case Srv():
                return f"{record.priority} {record.weight} {record.port} {record.target}"
            case _:
                return str(record)

    policy = snapshot.discovery
    assert policy is not None  # who asks has looked
    rules = Rules(
        services=policy.services,
        allowed_networks=policy.allowed_networks,
        own_names=frozenset({snapshot.federation.eap_server_name}),
        own_ports=frozenset({settings.radsec_port}),
        is_own=is_own_address,
    )
    finding, log = asyncio.run(trace(realm, rules, settings.nameserver_addresses))
    records: list[str] = []
    for question, answer in log:
        asked = f"{question.name} {question.kind}"
        if not answer.records:
            records.append(f"{asked}: {answer.status.value.replace('_', ' ')}")
        records += (f"{asked} {describe(each)} (TTL {answer.ttl} s)" for each in answer.records[:MAX_RECORDS_TOLD])
    if isinstance(finding, Refusal):
        return RealmLookup(tuple(records), (), (), 0, RefusalReason(finding.value))
    servers = tuple(f"{target.host}:{target.port}" for target in finding.targets)
    addresses = tuple(str(address) for target in finding.targets for address in target.addresses)
    return RealmLookup(tuple(records), servers, addresses, finding.seconds, None)


def build_role(name: str, settings: "Settings", sockets: "Sockets", *, is_alone: bool) -> "Role":
    """A role with the sockets that it needs; `is_alone`: it was not started by `serve`."""
    kind, _, number = name.partition("-")
    directory = settings.directory
    if kind == "api":
        return build_api(settings, sockets["api"][0], runs_workers=not is_alone)
    if kind == "recorder":
        from federation.services.recorder import Recorder, RecorderSettings

        return Recorder(open_registry(settings), directory.run, RecorderSettings.parse(*settings.recording))
    from federation.services.feed import ProxyCompiler, SnapshotFeed, SnapshotRole, compile_for_home, hosted_secret
    from federation.snapshot import HomeSnapshot, Snapshot
    from federation.statistics.outlet import Outlet
    from federation.trust.keystore import load_sealer

    sealer = load_sealer(directory.node_key)
    common: dict[str, Any] = {  # Any: keyword arguments of one constructor
        "name": name,
        "store_url": settings.store_url,
        "run_directory": directory.run,
        "sealer": sealer,
        "saves": number in ("", "0"),
    }
    if kind == "proxy":
        from radius.proxy.service import ProxyService, ProxySockets

        proxy = ProxyService(
            ProxySockets(sockets["auth"], sockets["acct"], sockets["radsec"]),
            loop_key=sealer.derive(b"proxy-state"),
            nameservers=settings.nameserver_addresses,
        )
        compiler = ProxyCompiler(sealer, settings.hosted_addresses)
        feed = SnapshotFeed(
            Snapshot,
            saved_path=directory.snapshot,
            swap=proxy.swap,
            compile_newest=compiler.compile,
            resume=compiler.resume,
            prepare=compiler.prepare,
            **common,
        )
        return SnapshotRole(proxy, feed, Outlet(proxy.take_events, directory.run))
    from federation.identity.local import LocalStore
    from federation.trust.folder import TrustFolder
    from radius.home.service import HomeService

    radsec = sockets.get("radsec", ())
    folder = TrustFolder(settings.radsec_directory) if radsec else None
    home = HomeService(
        sockets["auth"],
        {"local": LocalStore(open_registry(settings).store, sealer)},
        radsec_sockets=radsec,
        alias_key=sealer.derive(b"chargeable-user-identity"),
        loopback_secret=hosted_secret(sealer),
        serves_access_points=is_alone,
        requires_crypto_binding=settings.require_crypto_binding,
    )
    home_feed = SnapshotFeed(
        HomeSnapshot,
        saved_path=directory.home_snapshot,
        swap=home.swap,
        compile_newest=lambda session: compile_for_home(session, sealer, folder),
        is_stale=folder.has_changed if folder is not None else lambda: False,
        **common,
    )
    return SnapshotRole(home, home_feed)


def run_roles(
    names: "Sequence[str]",
    settings: "Settings",
    sockets: "Mapping[str, Sockets]",
    *,
    lifeline: "Lifeline | None" = None,
    on_ready: "Callable[[], None]" = lambda: None,
) -> int:
    """Run these roles in one event loop until a signal ends them, in their order. Returns the exit status."""
    import asyncio
    import logging

    import uvloop

    from config.logging import configure_logging
    from federation.statistics.worker import live
    from radius.transport.udp import choose_segmentation

    configure_logging(settings.log_level, settings.log_format, fields={"worker": "+".join(names)})
    choose_segmentation(wanted=settings.udp_segmentation)
    beat = lifeline.beat if lifeline is not None else lambda: None
    try:
        is_alone = lifeline is None and len(names) == 1
        roles = {name: build_role(name, settings, sockets.get(name, {}), is_alone=is_alone) for name in names}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live(roles, settings.directory.run, beat=beat, on_ready=on_ready))
    except Exception:  # the top of the process: whoever started it tries again
        logging.getLogger(__name__).exception("worker_failed")
        return 1
    return 0


# serve, and one role alone


def bind_radius(settings: "Settings", port: int, workers: int) -> "BoundGroup":
    """UDP sockets on every address of RADIUS, with large receive buffers."""
    import socket

    from config.settings import ALL_ADDRESSES
    from radius.supervisor import bind_group
    from radius.transport.udp import ask_for_buffer

    bound = bind_group(
        settings.listen,
        port,
        kind=socket.SOCK_DGRAM,
        workers=workers,
        skips_missing_families=settings.listen == ALL_ADDRESSES,
    )
    for udp in (udp for group in bound.by_worker for udp in group):
        ask_for_buffer(udp)
    return bound


def bind_radsec(settings: "Settings", workers: int) -> "BoundGroup":
    """Listening TCP sockets on every address of RADIUS, for RADIUS/TLS."""
    import socket

    from config.settings import ALL_ADDRESSES
    from radius.supervisor import bind_group

    return bind_group(
        settings.listen,
        settings.radsec_port,
        kind=socket.SOCK_STREAM,
        workers=workers,
        skips_missing_families=settings.listen == ALL_ADDRESSES,
    )


def bind_api(settings: "Settings") -> "BoundGroup":
    """The listening socket of the API."""
    import socket

    from radius.supervisor import bind_group

    return bind_group([settings.api_listen], settings.api_port, kind=socket.SOCK_STREAM)


def serve(settings: "Settings", *, is_single: bool) -> int:
    """Run the whole service; returns the exit status.

    Raises:
        OSError: a port is taken.
        FederationError: the data directory is not initialised, or its key can not be read.
    """
    import logging
    import socket
    from dataclasses import replace

    from config.logging import configure_logging
    from config.paths import write_ports
    from federation.statistics.reports import clear_reports
    from radius.supervisor import ChildPlan, Supervisor, bind_group

    configure_logging(settings.log_level, settings.log_format, fields={"worker": "serve"})
    directory = settings.directory
    registry = open_registry(settings)
    try:
        registry.store.migrate()
    except Exception as error:  # noqa: BLE001 - the database is away: proxies work from the saved snapshot
        logging.getLogger(__name__).warning("database_unavailable", extra={"error": type(error).__name__})
    registry.store.close()
    directory.make()
    directory.ports.unlink(missing_ok=True)
    clear_reports(directory.run)
    workers = 1 if is_single else settings.workers
    auth = bind_radius(settings, settings.auth_port, workers)
    acct = bind_radius(settings, settings.acct_port, workers)
    radsec = bind_radsec(settings, workers)
    home = bind_group([LOOPBACK], 0, kind=socket.SOCK_DGRAM)
    api = bind_api(settings)
    settings = replace(settings, hosted_homes=(f"{LOOPBACK}:{home.port}",))
    sockets: dict[str, Sockets] = {
        f"proxy-{number}": {
            "auth": auth.by_worker[number],
            "acct": acct.by_worker[number],
            "radsec": radsec.by_worker[number],
        }
        for number in range(workers)
    }
    sockets |= {"api-0": {"api": api.by_worker[0]}, "recorder-0": {}, "home-0": {"auth": home.by_worker[0]}}
    ports = {"auth": auth.port, "acct": acct.port, "radsec": radsec.port, "api": api.port, "home": [home.port]}

    def tell_ports() -> None:
        write_ports(directory, ports)
        logging.getLogger(__name__).info("service_ready", extra={**ports, "listen": settings.listen})

    if is_single:
        return run_roles(list(sockets), settings, sockets, on_ready=tell_ports)
    plans = [
        ChildPlan(
            name,
            (sys.executable, str(COMMAND_LINE), name.partition("-")[0]),
            inherited,
            {SETTINGS_VARIABLE: settings.to_json()},
            stage=1 if name.startswith("home") else 0,  # proxies that drain still need it
            drain_seconds=DRAIN_SECONDS + 1.0,
            overlaps=not name.startswith("home"),  # a conversation is with one process
        )
        for name, inherited in sockets.items()
    ]
    return Supervisor(plans, on_ready=tell_ports).run()


def serve_alone(role: str, settings: "Settings") -> int:
    """Run one role with sockets of its own, for systemd or Kubernetes; returns the exit status.

    Raises:
        OSError: a port is taken.
        FederationError: the data directory is not initialised, or its key can not be read.
    """
    from config.logging import configure_logging
    from config.paths import write_ports

    open_node_key(settings)  # a refusal comes before the role begins
    configure_logging(settings.log_level, settings.log_format, fields={"worker": role})
    settings.directory.make()
    sockets: dict[str, Sequence[socket.socket]] = {}
    ports: dict[str, object] = {}
    bound: dict[str, BoundGroup] = {}
    if role in ("proxy", "home"):
        bound["auth"] = bind_radius(settings, settings.auth_port, 1)
    if role == "proxy":
        bound["acct"] = bind_radius(settings, settings.acct_port, 1)
        bound["radsec"] = bind_radsec(settings, 1)
    if role == "home" and settings.radsec_directory.is_dir():  # the library has been given a certificate
        bound["radsec"] = bind_radsec(settings, 1)
    if role == "api":
        bound["api"] = bind_api(settings)
    sockets = {name: group.by_worker[0] for name, group in bound.items()}
    ports = {name: group.port for name, group in bound.items()}

    def tell_ports() -> None:
        import logging

        write_ports(settings.directory, ports, keeps_others=True)
        logging.getLogger(__name__).info("service_ready", extra=ports)

    return run_roles([role], settings, {role: sockets}, on_ready=tell_ports)
