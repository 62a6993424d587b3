"""The running application held against its own OpenAPI document, with requests that nobody thought of."""

# pyright: basic
# schemathesis leaves half of its own types out.

from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.api.federation import DOCUMENT, LibraryFederation

EXAMPLES = 8  # for each operation; the document has some fifty, and each request is a few milliseconds
REFUSALS = (400, 401, 403, 406, 415, 422)


class Relay:
    """An application that is another: tests are made of the document before there is a registry to serve.

    Each request comes from an address of its own, so that the failures among them are not limited.
    """

    app: ASGIApp

    def __init__(self) -> None:
        self._addresses = IPv4Network("10.0.0.0/8").hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "client": (str(next(self._addresses)), 50000)}, receive, send)


relay = Relay()
# A probe sends packets to whatever host it is told; its tests tell it which.
CONFIGURATION = schemathesis.Config.from_dict(
    {
        "checks": {
            "missing_required_header": {"expected-statuses": [*REFUSALS, 428]},  # RFC 6585 §3
            "negative_data_rejection": {"expected-statuses": [*REFUSALS, 404, 405, 409, 412, 428, 429]},
        }
    }
)
schema = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIGURATION).exclude(path="/v1/probes")
schema.app = relay


@pytest.fixture(scope="module", name="served")
def a_served_federation(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryFederation]:
    federation = LibraryFederation.copy_of(pristine, tmp_path_factory.mktemp("contract"))
    relay.app = federation.app
    yield federation
    federation.close()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
def test_answers_are_as_documented(case: Case, served: LibraryFederation) -> None:
    """Whatever is asked: no server error, a documented status, media type, body and headers, bad input refused."""
    case.call_and_validate(
        headers={"Authorization": f"Bearer {served.tokens['operator']}"},
        # A schema can not say that a realm has no other owner, or that an address is one: that much may be refused.
        excluded_checks=[positive_data_acceptance],
    )
