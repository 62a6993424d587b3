"""How a login ended, and at which step it failed: what whoever reads a probe wants to know first.

Nothing is loaded for it: who shows outcomes needs no TLS.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """How a login ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # an Access-Reject
    ABORTED = "aborted"  # the device ended it: it does not trust the server, or the server broke the protocol
    TIMEOUT = "timeout"


class FailedStep(StrEnum):
    """The step that did not succeed; those before it did."""

    TRUST = "trust"  # what the device was told to trust is no certificate
    REACH = "reach"  # nobody answered, or nobody that has the shared secret
    ROUTE = "route"  # a proxy on the way refused before a home server spoke
    METHOD = "method"  # the home server does not offer the method
    TLS = "tls"  # the tunnel could not be built
    CERTIFICATE = "certificate"  # the server's chain does not end at an anchor, or is out of date
    SERVER_NAME = "server_name"  # the certificate is for another server
    CREDENTIALS = "credentials"  # the home server knows no such patron with that password
    SERVER_PROOF = "server_proof"  # the server does not know the password either, or did not bind the tunnel
    KEYS = "keys"  # accepted, but access point and device have different keys: no Wi-Fi
    PROTOCOL = "protocol"  # the server broke the rules


class DeviceError(Exception):
    """The device ends the login; the text says why, for a person."""

    def __init__(self, step: FailedStep, text: str) -> None:
        """`step` is the one that failed."""
        super().__init__(text)
        self.step = step
