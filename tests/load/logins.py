"""What a whole login costs at the home server, beside FreeRADIUS: every handshake is a full one.

    eapol_test, several at once ──UDP──▶ home server

Both present the same certificates with the same P-256 key. FreeRADIUS compares a password in clear text; Biebroam
verifies an argon2id hash when a patron signs in with PAP, which costs more than all the rest and is meant to, and not
again for ten minutes. The logins that are counted come after such a first one; what that costs more is measured beside,
on the same processor. MS-CHAP-V2 has no such hash on either side.
`python -m tests.load.logins`, after `make compiled`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from biebroam_roles import open_registry
from config.settings import Settings
from federation.services.authorities import load_anchors, load_eap_credentials
from federation.trust.profiles import Purpose
from tests.load.laboratory import cpu_seconds, descendants, pinned
from tests.load.peers import COMPILED, PROXY_CPU, pin
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.certificates import ServerCertificate
from tests.support.eapol import log_in_with_eapol
from tests.support.freeradius import start_freeradius_home
from tests.support.processes import Program, find_program, free_port

SERVER_NAME: Final = "login.bench.example"
SECRET: Final = "secret-of-the-login-laboratory"
PATRON, PASSWORD = "anna@bench.example", "Strandlezer-1"
METHODS: Final = ("ttls-pap", "ttls-mschapv2", "peap-mschapv2")
TLS: Final = ("1.3", "1.2")
HASHES_MEASURED: Final = 40
MEASURE_HASH: Final = f"""
import sys, time
from federation.identity.passwords import default_hashes
hashes = default_hashes()
encoded = hashes.hash(b"{PASSWORD}")
began = time.process_time()
for _ in range({HASHES_MEASURED}):
    assert hashes.verify(encoded, b"{PASSWORD}")
print((time.process_time() - began) / {HASHES_MEASURED})
"""


@dataclass(frozen=True, slots=True)
class HomeServer:
    """A home server that runs, and what a device has to know of it."""

    program: Program
    port: int
    ca: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost: CPU milliseconds of the server's processes for each login, and how many failed."""

    peer: str
    method: str
    tls: str
    milliseconds: float
    failed: int


@dataclass(frozen=True, slots=True)
class Library:
    """A data directory with one patron, and the certificates of its home server."""

    data: DataDirectory
    certificate: ServerCertificate


def make_library(folder: Path) -> Library:
    """One hosted library, with no proxy before it."""
    data = DataDirectory(folder / "biebroam", command=COMPILED if COMPILED.exists() else COMMAND)
    data.initialise()
    data.apply(f"""
[federation]
name = "bench"
country = "NL"
eap_server_name = "{SERVER_NAME}"
[[libraries]]
id = "bench"
name = "Whose patrons ask"
realms = ["bench.example"]
[[libraries.access_points]]
name = "eapol"
address = "127.0.0.1/32"
secret = "{SECRET}"
[libraries.identity]
kind = "local"
mschapv2 = true
""")
    data.add_patron(PATRON, PASSWORD)
    registry = open_registry(Settings(data=data.folder))
    with registry.read() as session:
        credentials = load_eap_credentials(session, registry.sealer)
        anchors = load_anchors(session, Purpose.EAP).encode()
    registry.store.close()
    certificate = ServerCertificate(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    certificate.ca.write_bytes(anchors)
    certificate.certificate.write_bytes(credentials.certificate_chain_pem)
    certificate.key.write_bytes(credentials.private_key_pem)
    return Library(data, certificate)


def start_biebroam(folder: Path) -> HomeServer:
    """`biebroam home`."""
    library, port = make_library(folder), free_port()
    program = library.data.start("home", port=port, wrap=lambda command: pinned(PROXY_CPU, command))
    return HomeServer(program, port, library.certificate.ca)


def start_freeradius(folder: Path) -> HomeServer:
    """FreeRADIUS with the least configuration that ends the methods."""
    certificate, port = make_library(folder).certificate, free_port()
    program = start_freeradius_home(
        folder / "freeradius", port=port, secret=SECRET, users={PATRON: PASSWORD}, server=certificate
    )
    return HomeServer(pin(program), port, certificate.ca)


PEERS: Final[dict[str, Callable[[Path], HomeServer]]] = {"biebroam": start_biebroam, "freeradius": start_freeradius}


def log_in_often(folder: Path, home: HomeServer, method: str, tls: str, rounds: int, devices: int) -> int:
    """How many logins failed, of `rounds` by each of the devices, which sign in at the same time."""

    def one(number: int) -> int:
        place = folder / f"device-{number}"
        place.mkdir(exist_ok=True)
        result = log_in_with_eapol(
            place,
            port=home.port,
            secret=SECRET,
            user=PATRON,
            password=PASSWORD,
            ca=home.ca,
            server_name=SERVER_NAME,
            method=method,
            tls=tls,
            rounds=rounds,
        )
        return rounds - min(rounds, result.keys_matched)

    with ThreadPoolExecutor(devices) as pool:
        return sum(pool.map(one, range(devices)))


def measure(peer: str, method: str, tls: str, rounds: int, devices: int) -> Cost:
    """One run of one server, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="logins-") as name:
        folder = Path(name)
        home = PEERS[peer](folder)
        running: AbstractContextManager[Program] = home.program
        with running:
            log_in_often(folder, home, method, tls, 2, devices)
            processes = descendants(home.program.process.pid)
            before = cpu_seconds(processes)
            failed = log_in_often(folder, home, method, tls, rounds, devices)
            spent = cpu_seconds(processes) - before
        return Cost(peer, method, tls, spent * 1000 / (rounds * devices), failed)


def measure_hash() -> float:
    """CPU milliseconds of one verification of a patron's password, on the server's processor."""
    python = (COMPILED if COMPILED.exists() else COMMAND).parent / "python"
    run = subprocess.run(
        pinned(PROXY_CPU, [python, "-c", MEASURE_HASH]), capture_output=True, text=True, check=True, timeout=60
    )
    return float(run.stdout) * 1000


def tell(ours: Sequence[Cost], its: Sequence[Cost]) -> str:
    """One line of the table: medians, and the ratios round by round with their spread."""
    ratios = [mine.milliseconds / theirs.milliseconds for mine, theirs in zip(ours, its, strict=True)]
    mine, theirs = (statistics.median(cost.milliseconds for cost in costs) for costs in (ours, its))
    return (
        f"| {ours[0].method} | {ours[0].tls} | {mine:.2f} | {theirs:.2f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
        f"| {sum(cost.failed for cost in (*ours, *its))} |"
    )


def main() -> int:
    """Measure, print and write JSON; 1 when a login failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.logins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--logins", type=int, default=30, help="of each device in a round")
    parser.add_argument("--devices", type=int, default=32, help="at the same time")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--output", type=Path, default=Path("bench-results"), help="folder for figures")
    options = parser.parse_args()
    if find_program("freeradius") is None:
        sys.exit("FreeRADIUS is not installed: make peers")
    costs: list[Cost] = []
    print("CPU milliseconds of the home server for each login.\n")
    print("| method | TLS | biebroam | freeradius | ours/its (min to max) | failed |")
    print("|---|---|---|---|---|---|")
    for method in options.methods:
        for tls in TLS:
            found: dict[str, list[Cost]] = {peer: [] for peer in PEERS}
            for round_number in range(1, options.rounds + 1):
                for peer, runs in found.items():
                    print(f"\r\033[K{method}, {tls}: round {round_number}, {peer}", end="", file=sys.stderr, flush=True)
                    runs.append(measure(peer, method, tls, options.logins, options.devices))
            print("\r\033[K", end="", file=sys.stderr)
            print(tell(found["biebroam"], found["freeradius"]), flush=True)
            costs += [*found["biebroam"], *found["freeradius"]]
    print(f"\nThe first login of a patron with PAP in ten minutes costs {measure_hash():.1f} ms more: argon2id.")
    options.output.mkdir(parents=True, exist_ok=True)
    figures = [{"peer": c.peer, "method": c.method, "tls": c.tls, "cpu_ms": c.milliseconds} for c in costs]
    (options.output / "logins.json").write_text(json.dumps(figures, indent=1))
    return 1 if any(cost.failed for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
