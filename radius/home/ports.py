"""What the home server needs from outside."""

from typing import Protocol

from federation.reasons import RefusalReason


class PatronStore(Protocol):
    """Where the patrons of a realm are checked. Both calls block; the home server makes them in threads of its own."""

    def check_password(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        """None when the patron may sign in with this password, else why not."""
        ...

    def find_nt_hash(self, realm: str, user: str) -> bytes | RefusalReason:
        """The NT hash of a patron who may sign in, 16 octets, else why there is none."""
        ...
