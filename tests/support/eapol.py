"""Debian's eapol_test as the access point and the device of a patron."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import require_program

PHASE2 = {"ttls-pap": "auth=PAP", "ttls-mschapv2": "auth=MSCHAPV2", "peap-mschapv2": "auth=MSCHAPV2"}


@dataclass(frozen=True, slots=True)
class EapolResult:
    """What one run of eapol_test said."""

    succeeded: bool
    keys_matched: int
    keys_mismatched: int
    tls_version: str
    output: str

    @property
    def is_complete(self) -> bool:
        """The patron is in, and the access point has the same keys as the device."""
        return self.succeeded and self.keys_matched >= 1 and self.keys_mismatched == 0


def log_in_with_eapol(
    folder: Path,
    *,
    port: int,
    secret: str,
    user: str,
    password: str,
    ca: Path,
    server_name: str,
    method: str = "ttls-pap",
    tls: str = "1.3",
    fragment_octets: int = 1024,
    anonymous: str | None = None,
    host: str = "127.0.0.1",
    source: str = "127.0.0.1",
    seconds: int = 15,
    rounds: int = 1,
    attributes: Sequence[str] = (),
) -> EapolResult:
    """One login (or `rounds` of them) through the RADIUS server at host:port.

    `source` is the access point's own address: on loopback any of 127.0.0.0/8 will do, so one machine can be several
    libraries. The device trusts only `ca` and insists on `server_name`. TLS 1.3 is off in eapol_test unless it is told
    otherwise, and switching 1.2 off would make it offer 1.1: for 1.3 the switch for 1.2 is left alone. `attributes` are
    added to each request, as `type:s:text` or `type:x:hexadecimal`.
    """
    program = require_program("eapol_test", "eapoltest")
    realm = user.rpartition("@")[2]
    phase1 = "tls_disable_tlsv1_3=0" if tls == "1.3" else "tls_disable_tlsv1_3=1"
    if method.startswith("peap"):
        phase1 += " peapver=0"
    outer = f"anonymous@{realm}" if anonymous is None else anonymous
    network = {
        "ssid": '"biebroam"',
        "key_mgmt": "WPA-EAP",
        "eap": "PEAP" if method.startswith("peap") else "TTLS",
        "identity": f'"{user}"',
        "anonymous_identity": f'"{outer}"',
        "password": f'"{password}"',
        "ca_cert": f'"{ca}"',
        "domain_match": f'"{server_name}"',
        "phase1": f'"{phase1}"',
        "phase2": f'"{PHASE2[method]}"',
        "fragment_size": str(fragment_octets),
    }
    configuration = folder / f"eapol-{source}-{port}-{method}-{tls}-{fragment_octets}.conf"
    lines = "".join(f" {key}={value}\n" for key, value in network.items())
    configuration.write_text(f"fast_reauth=0\nnetwork={{\n{lines}}}\n")
    run = subprocess.run(
        [
            *(
                program,
                "-c",
                str(configuration),
                "-a",
                host,
                "-A",
                source,
                "-p",
                str(port),
                "-s",
                secret,
                "-t",
                str(seconds * rounds),  # for all of them
            ),
            *("-M", _new_station(), "-N", "30:s:02-00-5E-20-00-01:biebroam"),
            *(("-r", str(rounds - 1)) if rounds > 1 else ()),
            *(word for attribute in attributes for word in ("-N", attribute)),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds * rounds + 10,
        check=False,
    )
    output = run.stdout + run.stderr
    matched, mismatched, version = 0, 0, ""
    for line in output.splitlines():
        if line.startswith("MPPE keys OK:"):
            words = line.split()
            matched, mismatched = int(words[3]), int(words[5])
        elif "Using TLS version" in line:
            version = line.rsplit("TLSv", 1)[-1].strip()
    lines_out = output.rstrip().splitlines()
    succeeded = run.returncode == 0 and bool(lines_out) and lines_out[-1] == "SUCCESS"
    return EapolResult(succeeded, matched, mismatched, version, output)


def _new_station() -> str:
    """A MAC address that nobody had: a proxy remembers devices that were refused again and again."""
    return ":".join(f"{octet:02x}" for octet in b"\x02" + os.urandom(5))
