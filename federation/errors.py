"""What the registry can refuse, as one hierarchy.

Messages are for the person who asked: they name what is wrong and what would be right, never a secret.
"""


class FederationError(Exception):
    """Anything that the registry refuses; never raised itself."""


class NotFound(FederationError):  # noqa: N818 - the condition is the name
    """There is no such thing, or not for the one who asks: the two are not told apart."""


class Conflict(FederationError):  # noqa: N818
    """The thing exists already, is in use, or has changed since it was read."""


class VersionConflict(Conflict):
    """The thing has changed since the version that the change was made for."""


class Blocked(Conflict):
    """A step that would break somebody; `reasons` name who, one each."""

    def __init__(self, message: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.reasons = reasons


class Forbidden(FederationError):  # noqa: N818
    """The one who asks may see the thing and not do this with it."""


class Unauthenticated(FederationError):  # noqa: N818
    """Whoever asks has not shown who it is."""


class InvalidInput(FederationError, ValueError):  # noqa: N818
    """A value that can not be; `field` is the place in the input, a name or a JSON pointer."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRealm(InvalidInput):
    """A realm that is no domain name (RFC 7542 §2.2), or that nobody may own."""


class InvalidPolicy(InvalidInput):
    """A rule that can not be followed."""


class InvalidDocument(FederationError, ValueError):  # noqa: N818
    """A federation file with errors; each one names its place and what to do."""

    def __init__(self, problems: "tuple[InvalidInput, ...]", *, file: str = "") -> None:
        where = f"{file}: " if file else ""
        super().__init__("\n".join(f"{where}{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems
        self.file = file


class SnapshotRejected(FederationError):  # noqa: N818
    """A compiled snapshot that must not be used; the one in force stays."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class TrustError(FederationError):
    """A key, certificate or sealed value that can not be trusted or opened."""


class Expired(TrustError):  # noqa: N818
    """A certificate whose time is over."""


class Revoked(TrustError):  # noqa: N818
    """A certificate that its authority took back."""


class NotIssuedHere(TrustError):  # noqa: N818
    """A certificate of another authority."""
