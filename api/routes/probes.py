"""A real login, as an access point would relay it: ask before a patron does."""

import asyncio
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from fastapi import APIRouter

from api.ports import Ports, ProbeTarget
from api.problems import Unavailable
from api.requests import Outside, Source
from api.schemas.diagnosis import ProbeRequest, ProbeTrust, ProbeView
from api.security import AnyActor
from federation.errors import Forbidden, InvalidInput
from federation.model import Actor
from federation.services import authorities, settings
from federation.services.registry import Registry
from federation.snapshot import SharedSecret
from federation.trust.profiles import Purpose

if TYPE_CHECKING:
    from radius.supplicant.client import LoginRequest, LoginResult

router = APIRouter(prefix="/v1/probes", tags=["diagnosis"])

MAX_PROBES = 4  # at once: each holds a thread for as long as its login takes
MAX_SECONDS = 60.0  # a server that answers each round just in time must not hold one for ten minutes

free_places = BoundedSemaphore(MAX_PROBES)


@router.post("")
def probe_login(body: ProbeRequest, registry: Source, ports: Outside, actor: AnyActor) -> ProbeView:
    """Log in as a patron's device would, through this node's proxy; see the outcome and the time of each step.

    A login that fails is an answer too: 200, with `outcome` and `reason`.
    """
    from radius.supplicant.client import LoginRequest  # noqa: PLC0415 - TLS is loaded for a probe only

    target = _find_target(body, ports, actor)
    trust = body.trust or _own_trust(registry)
    order = LoginRequest(
        host=target.host,
        port=target.port,
        secret=target.secret,
        user=body.user,
        password=body.password.get_secret_value(),
        ca_pem=trust.ca_pem.encode(),
        server_name=trust.server_name,
        method=body.method,
        outer_identity=body.outer_identity,
    )
    if not free_places.acquire(blocking=False):
        raise Unavailable("other probes are running; try again in a moment")
    try:
        return ProbeView.show(asyncio.run(_log_in(order)))  # in a thread of the pool, which has no event loop
    except TimeoutError:  # an OSError too, so it comes first
        raise Unavailable(f"the login did not end within {MAX_SECONDS:.0f} s") from None
    except OSError as error:
        raise InvalidInput(f"there is no way to {target.host}: {error.strerror}", field="/server/host") from None
    finally:
        free_places.release()


async def _log_in(order: "LoginRequest") -> "LoginResult":
    from radius.supplicant.client import log_in  # noqa: PLC0415 - as above

    async with asyncio.timeout(MAX_SECONDS):
        return await log_in(order)


def _find_target(body: ProbeRequest, ports: Ports, actor: Actor) -> ProbeTarget:
    if body.server is not None:
        if not actor.is_operator:  # else a library could have this machine send packets wherever it likes
            raise Forbidden("only an operator may name the server")
        return ProbeTarget(
            body.server.host, body.server.port, SharedSecret(body.server.secret.get_secret_value().encode())
        )
    target = ports.find_probe_target()
    if target is None:
        raise InvalidInput(
            "no proxy here takes requests from 127.0.0.1: add an access point with that address, or name a server",
            field="/server",
        )
    return target


def _own_trust(registry: Registry) -> ProbeTrust:
    with registry.read() as session:
        return ProbeTrust(
            ca_pem=authorities.load_anchors(session, Purpose.EAP),
            server_name=settings.show_settings(session).eap_server_name,
        )
