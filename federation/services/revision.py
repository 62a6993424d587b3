"""At which revision the registry is: what every running worker is compared with."""

from sqlalchemy.orm import Session

from federation.store.compile import read_revision


def show_revision(session: Session) -> int:
    """The registry's revision; 0 before it has settings."""
    return read_revision(session)
