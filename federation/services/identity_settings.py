"""Where a hosted library's patrons are checked."""

from sqlalchemy.orm import Session

from federation.errors import InvalidInput
from federation.model import Actor, IdentitySettings, LibraryId, StoreKind
from federation.services.patrons import forget_nt_hashes
from federation.services.registry import Change, check_version, find_library, require_writer
from federation.snapshot import EapMethod
from federation.store.tables.registry import IdentityRow

PLAIN_METHODS = (EapMethod.TTLS_PAP,)
MSCHAPV2_METHODS = (EapMethod.TTLS_PAP, EapMethod.TTLS_MSCHAPV2, EapMethod.PEAP_MSCHAPV2)


def show_identity(session: Session, actor: Actor, library_id: str) -> IdentitySettings:
    """The settings; a library that never said has the local store without MSCHAPv2, at version 0.

    Raises:
        NotFound: there is no such library that the actor may see.
    """
    library = find_library(session, actor, library_id)
    row = session.get(IdentityRow, library.id)
    if row is None:
        return IdentitySettings(
            LibraryId(library.id), StoreKind.LOCAL, mschapv2=False, methods=PLAIN_METHODS, version=0
        )
    return _describe(row)


def change_identity(
    change: Change,
    actor: Actor,
    library_id: str,
    *,
    kind: StoreKind = StoreKind.LOCAL,
    mschapv2: bool = False,
    expected_version: int | None = None,
) -> IdentitySettings:
    """The patrons are checked so from now on; without MSCHAPv2 no NT hash is kept any more.

    Raises:
        NotFound: there is no such library that the actor may see.
        Forbidden: the actor may only read.
        InvalidInput: that kind of store is not there yet.
        Conflict: the settings have changed since *expected_version*.
    """
    library = find_library(change.session, actor, library_id)
    require_writer(actor)
    if kind is not StoreKind.LOCAL:
        raise InvalidInput(f"the {kind} store is not part of this version; use local", field="/kind")
    row = change.session.get(IdentityRow, library.id)
    check_version(row.version if row else 0, expected_version)
    methods = [str(method) for method in (MSCHAPV2_METHODS if mschapv2 else PLAIN_METHODS)]
    after: dict[str, object] = {"kind": str(kind), "mschapv2": mschapv2, "methods": methods}
    before = {"kind": row.kind, "mschapv2": row.mschapv2, "methods": row.methods} if row else None
    if row is None:
        row = IdentityRow(library_id=library.id, version=0)
        change.session.add(row)
    if before != after:
        row.kind, row.mschapv2, row.methods = str(kind), mschapv2, methods
        row.version += 1
        change.session.flush()
        subject = f"library/{library.id}/identity"
        change.record("identity.change", subject, library=library.id, before=before, after=after)
        if not mschapv2:
            forget_nt_hashes(change, library.id)
    return _describe(row)


def _describe(row: IdentityRow) -> IdentitySettings:
    return IdentitySettings(
        library=LibraryId(row.library_id),
        kind=StoreKind(row.kind),
        mschapv2=row.mschapv2,
        methods=tuple(EapMethod(method) for method in row.methods),
        version=row.version,
    )
