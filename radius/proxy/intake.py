"""What comes to a proxy's listeners while it does not keep up.

While it keeps up a datagram is worked on as it is read, and this costs a comparison for each wake-up of the loop. A
wake-up that finds a full portion is the sign of a backlog: from then on, until nothing waits any more, what comes is
read as fast as it can be, sorted (`radius.exchange.admission`), and worked off a slice at a time. Between two slices
the loop turns, and takes what home servers have answered.
"""

from typing import Final

from radius.exchange.intake import Intake
from radius.proxy.engine import Engine
from radius.proxy.ports import Listener

SLICE: Final = 64  # requests worked on in one turn, about 2 ms: so long an answer waits


def make_intake(engine: Engine) -> Intake[Listener]:
    """Where the engine's requests wait; nothing does yet."""

    def find_client(host: str) -> str | None:
        client = engine.clients.find(host)
        return None if client is None else client.key

    return Intake(
        engine.known_states,
        find_client=find_client,
        take=engine.receive_request,
        drop=engine.notices.drop,
        slice_size=SLICE,
    )
