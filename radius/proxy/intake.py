"""What comes to a proxy's listeners while it does not keep up.

While it keeps up a datagram is worked on as it is read, and this costs a comparison for each wake-up of the loop. A
wake-up that finds a full portion is the sign of a backlog: from then on, until nothing waits any more, what comes is
read as fast as it can be, sorted (`radius.exchange.admission`), and worked off a slice at a time. Between two slices
the loop turns, and takes what home servers have answered.

A connection gives its packets by the batch: all that one read has brought.
"""

from collections.abc import Callable
from typing import Final

from radius.errors import BREAKS_STREAM, DropReason
from radius.exchange.intake import Intake
from radius.proxy.clients import ClientState
from radius.proxy.engine import Engine
from radius.proxy.ports import Address, Listener, Stream, StreamOwner

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


def take_requests(
    packets: list[bytes],
    engine: Engine,
    client: ClientState,
    listener: Listener,
    source: Address,
    now: float,
    catch: Callable[[Exception], None],
) -> DropReason | None:
    """Every packet of a client's connection is taken, in order; returns why the connection has to end, if it has to.

    What follows such a packet is not looked at, nor is what follows the end of the connection. `catch` hears of a bug,
    which costs one packet.
    """
    for octets in packets:
        if listener.is_closed:  # it did not take an answer to one before
            break
        try:
            reason = engine.receive_from(client, listener, octets, source, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            catch(error)
        else:
            if reason is not None and reason in BREAKS_STREAM:
                return reason
    return None


def take_answers(
    packets: list[bytes], owner: StreamOwner, stream: Stream, now: float, catch: Callable[[Exception], None]
) -> DropReason | None:
    """The same for what a home server sends."""
    for octets in packets:
        try:
            reason = owner.receive(stream, octets, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            catch(error)
        else:
            if reason is not None and reason in BREAKS_STREAM:
                return reason
    return None


def take_each(
    packets: list[bytes],
    take: Callable[[bytes, float], DropReason | None],
    now: float,
    catch: Callable[[Exception], None],
) -> DropReason | None:
    """The same for packets that have to be looked at before the engine does."""
    for octets in packets:
        try:
            reason = take(octets, now)
        except Exception as error:  # noqa: BLE001 - the top of the loop's callbacks
            catch(error)
        else:
            if reason is not None and reason in BREAKS_STREAM:
                return reason
    return None
