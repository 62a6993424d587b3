"""What the home server needs from outside."""

from collections.abc import Callable
from typing import Protocol

from federation.reasons import RefusalReason


class PatronStore(Protocol):
    """Where the patrons of a realm are checked.

    Both calls are made on the event loop, and never wait. Each gives what the store says where that takes no time, else
    what gives it when it is called: that may wait, and the home server calls it in a thread of its own.
    """

    def begin_password_check(
        self, realm: str, user: str, password: bytes
    ) -> RefusalReason | Callable[[], RefusalReason | None] | None:
        """None when the patron may sign in with this password, else why not."""
        ...

    def begin_nt_hash_search(
        self, realm: str, user: str
    ) -> bytes | RefusalReason | Callable[[], bytes | RefusalReason]:
        """The NT hash of a patron who may sign in, 16 octets, else why there is none."""
        ...
