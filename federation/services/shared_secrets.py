"""The shared secret of a peer: sealed in its row, generated where nobody gave one, and shown at most once.

Over RADIUS/TLS the secret is always `radsec` and protects nothing (RFC 6614 §2.3), so none is kept.
"""

from federation.errors import InvalidInput
from federation.services.registry import Change
from federation.services.values import generate_secret, parse_secret
from federation.store.tables.registry import AccessPointRow, HomeServerRow


def keep_secret(
    change: Change, row: AccessPointRow | HomeServerRow, secret: str | None, *, over_tls: bool, generate: bool
) -> str | None:
    """The row has the secret given, or a generated one; returns one that has to be shown.

    Without a secret given, one that is there stays unless `generate`. The same secret again changes nothing.

    Raises:
        InvalidInput: the secret can not be one, or there is none over RADIUS/TLS.
    """
    if over_tls:
        if secret is not None:
            raise InvalidInput("over RADIUS/TLS the secret is always `radsec`; leave it out", field="/secret")
        row.sealed_secret = row.secret_changed_at = None
        return None
    shown = None
    if secret is None:
        if not generate and row.sealed_secret is not None:
            return None
        secret = shown = generate_secret()
    octets = parse_secret(secret, "/secret")
    context = row.secret_context
    if row.sealed_secret is None or change.sealer.open(row.sealed_secret, context) != octets:
        row.sealed_secret = change.sealer.seal(octets, context)
        row.secret_changed_at = change.now
    return shown
