"""Every group of paths, in the order in which the reference has them."""

from api.routes import (
    access_points,
    audit,
    certificates,
    diagnosis,
    federation,
    home_servers,
    identity,
    libraries,
    operations,
    patrons,
    probes,
    realms,
    tokens,
    trust,
)

ROUTERS = (
    libraries.router,
    realms.router,
    access_points.router,
    home_servers.router,
    identity.router,
    patrons.router,
    federation.router,
    certificates.router,
    trust.router,
    tokens.router,
    diagnosis.router,
    probes.router,
    audit.router,
    operations.router,
)
