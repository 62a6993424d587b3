"""A supervisor as a program of its own, so that tests can send it signals."""

import logging
import socket
import sys
from pathlib import Path

from radius import supervisor
from radius.supervisor import ChildPlan, Supervisor

port_file = Path(sys.argv[1])
behaviours = sys.argv[2:]
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
supervisor.SILENCE_SECONDS = 1.0
if "late" in behaviours:
    supervisor.START_SECONDS = 0.5
plans: list[ChildPlan] = []
ports: list[str] = []
for number, behaviour in enumerate(behaviours):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    ports.append(str(udp.getsockname()[1]))
    kind, _, stage = behaviour.partition(":")
    plans.append(
        ChildPlan(
            f"{kind}-{number}",
            (sys.executable, "-m", "tests.radius.toy_child", kind),
            {"udp": [udp]},
            stage=int(stage or 0),
            drain_seconds=1.0,
            overlaps=kind != "alone",
        )
    )


def write_ports() -> None:
    temporary = port_file.with_suffix(".new")
    temporary.write_text(" ".join(ports))
    temporary.replace(port_file)


if "crash" in behaviours:
    write_ports()
sys.exit(Supervisor(plans, on_ready=write_ports).run())
