"""Every group of paths, in the order in which the reference has them."""

from fastapi.routing import APIRoute

from api.routes import (
    access_points,
    audit,
    authorities,
    certificates,
    diagnosis,
    dns_records,
    est,
    expiry,
    federation,
    foreign_anchors,
    home_servers,
    identity,
    invitations,
    libraries,
    operations,
    patrons,
    posture,
    probes,
    realms,
    rollovers,
    sign_ins,
    tokens,
    trust,
)

ROUTERS = (
    libraries.router,
    realms.router,
    dns_records.router,
    access_points.router,
    home_servers.router,
    identity.router,
    patrons.router,
    federation.router,
    certificates.router,
    invitations.router,
    est.router,
    trust.router,
    expiry.router,
    rollovers.router,
    authorities.router,
    foreign_anchors.router,
    tokens.router,
    diagnosis.router,
    probes.router,
    sign_ins.router,
    posture.router,
    audit.router,
    operations.router,
)


def find_methods(path: str) -> set[str]:
    """The methods that a path has, over all its routes; none for a path that there is not."""
    matching = [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.path_regex.match(path)
    ]
    named = [route for route in matching if ":path}" not in route.path]  # what takes the rest of a path comes last
    return {method for route in named or matching for method in route.methods or ()}
