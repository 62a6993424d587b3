"""How often an address has failed to authenticate lately. Pure: the time is handed in."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

ALLOWED_FAILURES = 10  # a person with a stale token, or a script that is being written
REFILL_SECONDS = 6.0  # one more failure each six seconds: ten a minute
MAX_ADDRESSES = 10_000  # the one longest quiet is forgotten first
_IPV6_SITE_BITS = 64  # one host owns all of a /64


class Failures:
    """A bucket of allowed failures per address, or per /64 for IPv6."""

    def __init__(self, *, allowed: int = ALLOWED_FAILURES, refill_seconds: float = REFILL_SECONDS) -> None:
        self._allowed = allowed
        self._refill_seconds = refill_seconds
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key → failures, when counted

    def record(self, address: str, now: float) -> None:
        """One more failed authentication came from *address*."""
        key = _site_of(address)
        self._spent[key] = (self._count(key, now) + 1, now)
        self._spent.move_to_end(key)
        if len(self._spent) > MAX_ADDRESSES:
            self._spent.popitem(last=False)

    def retry_after_seconds(self, address: str, now: float) -> int:
        """How long *address* has to wait before another failure is looked at; 0 when it need not."""
        over = self._count(_site_of(address), now) + 1 - self._allowed
        return int(over * self._refill_seconds) + 1 if over > 0 else 0

    def describe(self, address: str, now: float) -> dict[str, str]:
        """The limit and what *address* has left of it, as headers (draft-ietf-httpapi-ratelimit-headers)."""
        left = max(0, int(self._allowed - self._count(_site_of(address), now)))
        window = int(self._allowed * self._refill_seconds)
        return {
            "RateLimit-Policy": f'"failures";q={self._allowed};w={window}',
            "RateLimit": f'"failures";r={left};t={self.retry_after_seconds(address, now) or int(self._refill_seconds)}',
        }

    def _count(self, key: str, now: float) -> float:
        count, counted_at = self._spent.get(key, (0.0, now))
        return max(0.0, min(count, self._allowed + 1) - (now - counted_at) / self._refill_seconds)


def _site_of(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # a Unix socket, or a test's name
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return (int(parsed) >> (128 - _IPV6_SITE_BITS)).to_bytes(8).hex()
    return str(parsed)
