"""A child for the supervisor's tests: echoes on its sockets, and misbehaves when it is told to."""

import os
import signal
import sys
import time
from contextlib import suppress

from radius.supervisor import adopt_lifeline

lifeline = adopt_lifeline()
assert lifeline is not None
behaviour = sys.argv[1]
if behaviour == "crash":
    sys.exit(3)
lifeline.watch_parent()
if behaviour == "late":
    time.sleep(1)
ending: list[float] = []


def note_end(_number: int, _frame: object) -> None:
    ending.append(time.monotonic())


signal.signal(signal.SIGTERM, note_end)
(udp,) = lifeline.sockets["udp"]
udp.settimeout(0.05)
lifeline.beat()
last = time.monotonic()
drain_seconds = 0.3 if behaviour == "slow" else 0.0
while not ending or time.monotonic() - ending[0] < drain_seconds or behaviour == "deaf":
    if time.monotonic() - last > 0.2:
        last = time.monotonic()
        lifeline.beat()
    with suppress(TimeoutError):
        octets, source = udp.recvfrom(100)
        if octets == b"hang":
            while True:
                time.sleep(1)
        if octets == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        udp.sendto(f"{os.getpid()}".encode(), source)
print(f"{lifeline.name} drained", flush=True)
