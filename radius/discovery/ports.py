"""What the proxy needs of discovery, and what discovery needs of the proxy.

For a realm that no member of the federation owns, and before the default route, the proxy calls `find`:

- `Targets`: connect by RADIUS/TLS to the first target that can be connected to, addresses in their order, and forward.
  The connection is one that was *discovered*: before anything is sent on it, the server's certificate has to be issued
  by the federation, hold one of its policies for home servers, and hold the realm among its NAIRealm names (RFC 7585
  §2.2). The target's host name came from the DNS, so a certificate for it proves nothing. A connection is shared by
  all realms that it may serve, and checked anew for each realm. A server that shows this node's own certificate is
  refused.
- `Refusal`: go on with the default route, or refuse the request with that reason.
- `Pending`: hold the request. `resume` is called once, in the event loop, within `HOLD_SECONDS`; with what `find` would
  have returned. A request that is given up meanwhile is cancelled.

What connecting taught is told by `report`: `CERTIFICATE` when the certificate of every target was wrong, `UNREACHABLE`
when none could be connected to; the realm is then refused for a while without anybody connecting.
"""

from typing import Final, Protocol

from radius.discovery.cache import Outcome, Pending, Resume
from radius.discovery.guards import Asker, Refusal

HOLD_SECONDS: Final = 3.0  # a request waits no longer for the DNS


class RealmDiscovery(Protocol):
    """Realms that are found in the DNS."""

    def find(self, realm: str, asker: Asker, now: float, resume: Resume) -> Outcome | Pending:
        """Return the servers of the realm, why there are none, or Pending; it never blocks and never raises."""
        ...

    def report(self, realm: str, refusal: Refusal, now: float) -> None:
        """Take note that the servers which `find` returned are no good."""
        ...
