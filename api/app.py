"""The application: routes, errors, and the layers around them, over one registry."""

from functools import cache

from fastapi import Depends, FastAPI
from starlette.responses import HTMLResponse, Response

from api.bodies import BodyRules
from api.boundary import Boundary
from api.errors import install_error_answers
from api.idempotency import Idempotency
from api.openapi import API_VERSION, build_document
from api.ports import Ports
from api.reference import STYLE, render_reference
from api.requests import verify_query
from api.routes.catalogue import ROUTERS
from api.security import Authentication
from federation.model import Actor
from federation.services import tokens
from federation.services.feed import compile_for_proxy
from federation.services.recent import RecentSnapshot
from federation.services.registry import Registry


def create_app(registry: Registry, ports: Ports | None = None, *, local_actor: Actor | None = None) -> FastAPI:
    """The management API over *registry*.

    *local_actor* is who asks when a request has no token. Give it only to an application that listens on no socket: the
    command line, which works on the data directory of the machine that it runs on.
    """
    app = FastAPI(
        title="Biebroam",
        version=API_VERSION,
        openapi_url=None,  # ours is complete, and comes with the same bytes as the committed one
        docs_url=None,  # the framework's pages load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.registry = registry
    app.state.ports = ports = ports or Ports()
    app.state.recent = RecentSnapshot(
        lambda session: compile_for_proxy(session, registry.sealer, ports.hosted_addresses)
    )
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(verify_query)])
    install_error_answers(app)
    document = cache(build_document)  # takes a tenth of a second, which a command line need not wait for

    @app.get("/openapi.json", include_in_schema=False)
    def show_document() -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]  # the route is what is used
        return document()

    @app.get("/docs", include_in_schema=False)
    def show_reference() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return HTMLResponse(render_reference(document()))

    @app.get("/docs/style.css", include_in_schema=False)
    def show_style() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(STYLE, media_type="text/css")

    def authenticate(token: str, source_address: str, request_id: str) -> Actor | None:
        return tokens.authenticate(registry, token, source_address=source_address, request_id=request_id)

    # The last one added is the outermost.
    app.add_middleware(Idempotency)
    app.add_middleware(BodyRules)
    app.add_middleware(Authentication, authenticate=authenticate, local_actor=local_actor)
    app.add_middleware(Boundary)
    return app
