"""Debian's radclient: a plain RADIUS client that builds packets by attribute name."""

import subprocess
from dataclasses import dataclass

from tests.support.processes import require_program


@dataclass(frozen=True, slots=True)
class RadclientResult:
    """What the server answered, in radclient's words ("Access-Accept", …; "" when it said nothing)."""

    code: str
    attributes: dict[str, str]
    output: str


def ask_with_radclient(
    *, port: int, secret: str, kind: str, attributes: str, host: str = "127.0.0.1", seconds: float = 3, tries: int = 1
) -> RadclientResult:
    """Send one request (kind "auth", "acct", "status", "coa", "disconnect") with attributes as `A = b, C = d`."""
    program = require_program("radclient", "freeradius-utils")
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    run = subprocess.run(
        [program, "-x", "-r", str(tries), "-t", str(seconds), target, kind, secret],
        input=attributes,
        capture_output=True,
        text=True,
        timeout=seconds * tries + 10,
        check=False,
    )
    code, found = "", dict[str, str]()
    for line in run.stdout.splitlines():
        if line.startswith("Received "):
            code = line.split()[1]
        elif code and "=" in line:
            name, _, value = line.strip().partition(" = ")
            found[name] = value.strip('"')
    return RadclientResult(code, found, run.stdout + run.stderr)
