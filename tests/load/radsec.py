"""Proxies under measurement that speak RADIUS/TLS on one side; a radsecproxy beside the generator speaks it with them.

    out:  generator ──UDP──▶ proxy ──TLS──▶ radsecproxy ──UDP──▶ home server
    in:   generator ──UDP──▶ radsecproxy ──TLS──▶ proxy ──UDP──▶ home server

Only the proxy is counted. All certificates come from the authority of one data directory.
"""

import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from socket import SOCK_STREAM
from typing import Final

from tests.load.laboratory import CLIENT_SECRET, HOME_SECRET, pinned, realm_names
from tests.load.peers import COMPILED, PROXY_CPU, Job
from tests.support.biebroam import COMMAND, DataDirectory
from tests.support.processes import Program, free_port, require_program

OTHER_CPU: Final = 1
FEDERATION_NAME: Final = "login.bench.example"
NEAR_NAME: Final = "near.visited.example"
FEDERATION: Final = """
[federation]
name = "bench"
country = "NL"
eap_server_name = "{name}"

[[libraries]]
id = "visited"
name = "Where the load comes from"
realms = ["visited.example"]
{access_point}
[[libraries.home_servers]]
name = "nobody"
host = "127.0.0.1"
port = 9
secret = "{home_secret}"

[[libraries]]
id = "home"
name = "Whose patrons ask"
realms = [{realms}]
[[libraries.home_servers]]
name = "homesim"
host = "127.0.0.1"
port = {port}
{transport}
"""
UDP_CLIENT: Final = f"""[[libraries.access_points]]
name = "loadgen"
address = "127.0.0.1/32"
secret = "{CLIENT_SECRET}"
"""
TLS_CLIENT: Final = f"""[[libraries.access_points]]
name = "near"
kind = "proxy"
certificate = "{NEAR_NAME}"
"""


class Members:
    """A data directory, and the folders of certificates that its authority has issued."""

    def __init__(self, job: Job, command: Path) -> None:
        """The directory is initialised; nothing is applied yet."""
        self.data = DataDirectory(job.folder / "biebroam", command=command)
        self.data.initialise()
        self._folder = job.folder

    def apply(self, job: Job, *, client: str, port: int, transport: str) -> None:
        """The federation has this client, and a home server there."""
        realms = ", ".join(f'"{name}"' for name in realm_names(job.realms))
        text = FEDERATION.format(
            name=FEDERATION_NAME,
            access_point=client,
            home_secret=HOME_SECRET,
            realms=realms,
            port=port,
            transport=transport,
        )
        self.data.apply(text)

    def issue(self, library: str, name: str, realm: str) -> Path:
        """A folder with key.pem, chain.pem and anchors.pem."""
        folder = self._folder / name
        folder.mkdir()
        alternative = f"subjectAltName=DNS:{name},otherName:1.3.6.1.5.5.7.8.8;UTF8:{realm}"
        subprocess.run(
            [
                *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-keyout", folder / "key.pem", "-out", folder / "request.pem", "-subj", "/", "-addext", alternative),
            ],
            check=True,
            capture_output=True,
        )
        chain = self.data.run("cert", "issue", "--csr", folder / "request.pem", "--library", library).stdout
        (folder / "chain.pem").write_text(chain)
        with self.data.start("api"):
            (folder / "anchors.pem").write_text(self.data.fetch_text("/v1/trust/peers.pem"))
        return folder


def start_radsecproxy(folder: Path, certificates: Path, lines: str, cpu: int) -> Program:
    """A radsecproxy with those certificates, on that processor."""
    program = require_program("radsecproxy", "radsecproxy")
    folder.mkdir(parents=True)
    (folder / "radsecproxy.conf").write_text(
        f"LogLevel 3\ntls t {{\n  CACertificateFile {certificates}/anchors.pem\n"
        f"  CertificateFile {certificates}/chain.pem\n  CertificateKeyFile {certificates}/key.pem\n}}\n{lines}"
    )
    process = Program(
        [program, "-f", "-c", folder / "radsecproxy.conf", "-i", folder / "pid"], folder / "output.log"
    ).wait_ready(lambda: "listening for" in process_output(folder))
    for thread in Path(f"/proc/{process.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu % (os.cpu_count() or 1)})
    return process


def process_output(folder: Path) -> str:
    """What the program has said so far."""
    path = folder / "output.log"
    return path.read_text(errors="replace") if path.exists() else ""


_TLS = "type tls\n  secret radsec\n  tls t\n  certificateNameCheck off"
_UDP_CLIENT = f"client loadgen {{\n  host 127.0.0.1\n  type udp\n  secret {CLIENT_SECRET}\n}}\n"
_TLS_CLIENT = f"client peer {{\n  host 127.0.0.1\n  {_TLS}\n}}\n"


def _routes(realms: list[str]) -> str:
    return "".join(f"realm {realm} {{\n  server next\n}}\n" for realm in realms)


def _udp_server(port: int) -> str:
    return f"server next {{\n  host 127.0.0.1\n  port {port}\n  type udp\n  secret {HOME_SECRET}\n}}\n"


def _tls_server(port: int) -> str:
    return f"server next {{\n  host 127.0.0.1\n  port {port}\n  {_TLS}\n  statusServer off\n}}\n"


class Outward:
    """A proxy between the generator and a radsecproxy at the far end of a TLS connection."""

    def __init__(self, job: Job, command: Path) -> None:
        """The certificates are issued; nothing runs yet."""
        self._job = job
        self._port = free_port(SOCK_STREAM)
        self._members = Members(job, command)
        self._members.apply(job, client=UDP_CLIENT, port=self._port, transport='transport = "tls"')
        self._realms = realm_names(job.realms)
        self._certificates = self._members.issue("home", f"radius.{self._realms[0]}", self._realms[0])
        self._starts = 0

    def start_far(self) -> Program:
        """The far end, in a folder of its own each time."""
        self._starts += 1
        lines = f"ListenTLS 127.0.0.1:{self._port}\n{_TLS_CLIENT}{_udp_server(self._job.home_port)}{_routes(['*'])}"
        return start_radsecproxy(self._job.folder / f"far-{self._starts}", self._certificates, lines, OTHER_CPU)

    def start_proxy(self, *, is_ours: bool) -> Program:
        """The proxy that is measured."""
        job = self._job
        if is_ours:
            return self._members.data.start("proxy", port=job.port, wrap=partial(pinned, PROXY_CPU))
        lines = f"ListenUDP 127.0.0.1:{job.port}\n{_UDP_CLIENT}{_tls_server(self._port)}{_routes(self._realms)}"
        return start_radsecproxy(job.folder / "proxy", self._certificates, lines, PROXY_CPU)


def start_out(job: Job, *, is_ours: bool, stack: ExitStack, command: Path) -> Program:
    """The proxy that is measured; TLS is towards the home server."""
    outward = Outward(job, command)
    stack.enter_context(outward.start_far())
    return outward.start_proxy(is_ours=is_ours)


def start_in(job: Job, *, is_ours: bool, stack: ExitStack, command: Path) -> Program:
    """The proxy that is measured, between a radsecproxy at the near end of a TLS connection and the home server."""
    tls_port = free_port(SOCK_STREAM)
    members = Members(job, command)
    members.apply(job, client=TLS_CLIENT, port=job.home_port, transport=f'secret = "{HOME_SECRET}"')
    near = members.issue("visited", NEAR_NAME, "visited.example")
    if is_ours:
        members.data.environment["BIEBROAM_RADSEC_PORT"] = str(tls_port)
        proxy = members.data.start("proxy", wrap=partial(pinned, PROXY_CPU))
    else:
        routes = _routes(realm_names(job.realms))
        lines = f"ListenTLS 127.0.0.1:{tls_port}\n{_TLS_CLIENT}{_udp_server(job.home_port)}{routes}"
        proxy = start_radsecproxy(job.folder / "proxy", near, lines, PROXY_CPU)
    lines = f"ListenUDP 127.0.0.1:{job.port}\n{_UDP_CLIENT}{_tls_server(tls_port)}{_routes(['*'])}"
    stack.enter_context(start_radsecproxy(job.folder / "near", near, lines, OTHER_CPU))
    return proxy


Start = Callable[[Job, ExitStack], Program]


def _starters(start: Callable[..., Program]) -> dict[str, Start]:
    def ours(job: Job, stack: ExitStack) -> Program:
        return start(job, is_ours=True, stack=stack, command=COMPILED)

    def interpreted(job: Job, stack: ExitStack) -> Program:
        return start(job, is_ours=True, stack=stack, command=COMMAND)

    def theirs(job: Job, stack: ExitStack) -> Program:
        return start(job, is_ours=False, stack=stack, command=COMMAND)

    return {"biebroam": ours, "interpreted": interpreted, "radsecproxy": theirs}


STARTERS: Final = {"out": _starters(start_out), "in": _starters(start_in)}
"""By side of the proxy that is TLS, then by peer."""
