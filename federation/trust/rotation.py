"""Rotation of the node key: every sealed value in the database, under the key that seals now.

The order of a rotation: `keystore.rotate_node_key` puts a new key in front; every process starts again with both keys;
`reseal_rows` seals everything anew, in one change; when that is kept, `keystore.retire_node_keys` drops the old keys.
Broken off anywhere, it can be begun again: all keys in the file open.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.store.tables.base import Base
from federation.store.tables.patrons import PatronRow
from federation.store.tables.registry import AccessPointRow, HomeServerRow
from federation.store.tables.trust import AuthorityRequestRow, AuthorityRow, CertificateRow
from federation.trust.keystore import Sealer

# Table, column of sealed values, and the property that says each one's context. A test holds this list against the
# tables: every column that is called "sealed_…" has to be in it.
SEALED_COLUMNS: tuple[tuple[type[Base], str, str], ...] = (
    (AccessPointRow, "sealed_secret", "secret_context"),
    (HomeServerRow, "sealed_secret", "secret_context"),
    (AuthorityRow, "sealed_key", "key_context"),
    (AuthorityRequestRow, "sealed_key", "key_context"),
    (CertificateRow, "sealed_key", "key_context"),
    (PatronRow, "sealed_nt_hash", "nt_hash_context"),
)


def reseal_rows(session: Session, sealer: Sealer) -> int:
    """Every sealed value is sealed with the key that seals now; returns how many were not. The caller commits.

    Raises:
        TrustError: one does not open with any key of *sealer*; then nothing may be kept.
    """
    changed = 0
    for table, column, context in SEALED_COLUMNS:
        for row in session.scalars(select(table)):
            before: bytes | None = getattr(row, column)
            if before is None:
                continue
            after = sealer.reseal(before, getattr(row, context))
            if after != before:
                setattr(row, column, after)
                changed += 1
    session.flush()
    return changed
