"""A real radsecproxy with a configuration of its own."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.freeradius import NextHop
from tests.support.processes import Program, require_program


def start_radsecproxy(
    folder: Path,
    *,
    port: int,
    secret: str,
    realms: Mapping[str, NextHop],
    host: str = "127.0.0.1",
    source: str = "127.0.0.1",
) -> Program:
    """A proxy on UDP that sends each realm ("*" for all others) to its next hop, which sees it at `source`."""
    program = require_program("radsecproxy", "radsecproxy")
    folder.mkdir(parents=True, exist_ok=True)
    hops = {hop: f"hop{number}" for number, hop in enumerate(dict.fromkeys(realms.values()))}
    servers = "".join(
        f"server {name} {{\n  host {hop.host}\n  port {hop.port}\n  type udp\n  secret {hop.secret}\n}}\n"
        for hop, name in hops.items()
    )
    routes = "".join(f"realm {realm} {{\n  server {hops[hop]}\n}}\n" for realm, hop in realms.items())
    configuration = folder / "radsecproxy.conf"
    configuration.write_text(
        f"ListenUDP {host}:{port}\nSourceUDP {source}\nLogLevel 3\n"
        f"client test {{\n  host 127.0.0.1\n  type udp\n  secret {secret}\n}}\n{servers}{routes}"
    )
    process = Program([program, "-f", "-c", configuration, "-i", folder / "radsecproxy.pid"], folder / "output.log")
    return process.wait_ready(lambda: "listening for udp" in process.output)
