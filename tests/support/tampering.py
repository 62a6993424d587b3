"""Octets that somebody has changed on their way."""


def tamper(octets: bytes) -> bytes:
    """The octets with the last bit turned: never what they were, whatever that was."""
    return octets[:-1] + bytes((octets[-1] ^ 1,))
