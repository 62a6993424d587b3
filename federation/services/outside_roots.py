"""Roots that are kept elsewhere, in the registry: their keys taken out of it, and their signatures taken in.

Two ways lead there. `export_root` and `forget_root` take the key of the root that there is out of the registry, for the
same anchor; nothing changes for anybody. `request_issuing` with a new root and `import_issuing` bring a root that was
never here, which begins a roll-over. From then on the issuing authority is not renewed by itself: `biebroam doctor`
says when to make a request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.orm import Session

from federation.errors import Conflict, InvalidInput, NotFound
from federation.model import Actor
from federation.services.authorities import (
    ISSUING,
    ROOT,
    find_federation,
    list_authorities,
    load_authority,
    publish_list,
)
from federation.services.registry import Change, require_operator
from federation.services.rollovers import begin_rollover, next_generation, require_none_under_way
from federation.store.tables.registry import RealmRow
from federation.store.tables.trust import AuthorityRequestRow, AuthorityRow, CertificateRow
from federation.trust.authority import KeyedCertificate, build_authority_name, build_crl
from federation.trust.distribution import build_list_url
from federation.trust.foreign import parse_revocation_list
from federation.trust.outside import build_authority_request, encrypt_root_key, is_proof, parse_issuing
from federation.trust.profiles import OUTSIDE_CRL_LIFETIME, Purpose
from federation.trust.rollover import Standing
from federation.trust.rows import open_authority

_PEM: Final = serialization.Encoding.PEM
_MAX_NUMBER: Final = 2**31 - 1  # of the column; a root that numbers its lists by the time is compared by its lists


@dataclass(frozen=True, slots=True)
class AuthorityRequest:
    """A request that waits for its certificate."""

    purpose: Purpose
    generation: int
    is_new_root: bool  # False: another term of the authority that issues now, below the root that there is
    request_pem: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ExportedRoot:
    """A root as it is taken elsewhere."""

    purpose: Purpose
    certificate_pem: str
    key_pem: str  # encrypted PKCS #8
    crl_number: int  # of its newest list: the next has a higher one


def request_issuing(change: Change, actor: Actor, purpose: Purpose, *, new_root: bool = False) -> AuthorityRequest:
    """There is a request for an issuing authority, to be signed outside; the same one when it is asked for again.

    With *new_root* it has a key of its own and waits for another root; without, it is for another term of the authority
    that issues now, below the root that is kept elsewhere already.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: the root's key is here, so that it renews by itself; or a roll-over is under way.
    """
    require_operator(actor)
    current, root = (load_authority(change.session, purpose, level) for level in (ISSUING, ROOT))
    if new_root:
        require_none_under_way(change.session, purpose)
    elif root.sealed_key is not None:
        raise Conflict("the root's key is here, and renews its authority by itself: ask for a new root, or export it")
    generation = next_generation(change.session, purpose) if new_root else current.generation
    row = change.session.get(AuthorityRequestRow, purpose)
    if row is None or row.generation != generation:
        if row is not None:
            change.session.delete(row)
            change.session.flush()
        row = AuthorityRequestRow(purpose=purpose, generation=generation, created_at=change.now)
        if new_root:
            key = ec.generate_private_key(ec.SECP256R1())
            name = find_federation(change.session).name
            subject = build_authority_name(purpose, ISSUING, name, generation)
            encoded = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            row.sealed_key = change.sealer.seal(encoded, row.key_context)
        else:
            held = open_authority(current, change.sealer)
            key, subject = held.key, held.certificate.subject
        list_url = build_list_url(find_federation(change.session).public_url, purpose, generation, of_root=True)
        row.request_pem = build_authority_request(subject, key, list_url).decode()
        change.session.add(row)
        change.session.flush()
        change.record("authority.request", f"authority/{purpose}/{ISSUING}", after={"generation": generation})
    return _describe(row, current.generation)


def import_issuing(
    change: Change, actor: Actor, purpose: Purpose, *, issuing_pem: bytes, root_pem: bytes, list_pem: bytes = b""
) -> bool:
    """What the request waited for is in place; True when it began a roll-over, to a root that was never here.

    *list_pem* is the root's revocation list; it can come later by `import_root_list`.

    Raises:
        Forbidden: the actor is no operator.
        NotFound: no request waits.
        InvalidInput: the certificates or the list can not be.
        Conflict: the root is another than the request was made for, or a roll-over is under way.
    """
    require_operator(actor)
    row = change.session.get(AuthorityRequestRow, purpose)
    if row is None:
        raise NotFound(f"no request for an issuing authority of {purpose} waits: make one")
    names = sorted(set(_names_certified(change.session, purpose)))
    issuing, root = parse_issuing(issuing_pem, root_pem, row.request_pem.encode(), purpose, names, change.now)
    current = load_authority(change.session, purpose, ISSUING)
    is_new = row.generation != current.generation
    if is_new:
        _found(change, purpose, row, issuing, root)
    else:
        held = x509.load_pem_x509_certificate(load_authority(change.session, purpose, ROOT).certificate_pem.encode())
        if root != held:
            raise Conflict("the root is another than the one in force: ask for a new root to change it")
        current.certificate_pem = issuing.public_bytes(_PEM).decode()
        change.record("authority.renew", f"authority/{purpose}/{ISSUING}", after={"signed": "outside"})
    change.session.delete(row)
    change.session.flush()
    if list_pem:
        import_root_list(change, actor, purpose, list_pem)
    if is_new:
        begin_rollover(change, purpose)
    return is_new


def import_root_list(change: Change, actor: Actor, purpose: Purpose, octets: bytes) -> datetime:
    """The newest revocation list of a root that is kept elsewhere is published; returns until when it holds.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: no root of *purpose* is kept elsewhere.
        InvalidInput: the list is none of such a root's, or older than the one that is held.
    """
    require_operator(actor)
    rows = [row for row in list_authorities(change.session, purpose) if row.level == ROOT and row.sealed_key is None]
    if not rows:
        raise Conflict(f"the roots of {purpose} are kept here, and make their lists by themselves")
    certificates = {row.generation: x509.load_pem_x509_certificate(row.certificate_pem.encode()) for row in rows}
    found = parse_revocation_list(octets, list(certificates.values()), change.now)
    row = next(row for row in rows if certificates[row.generation].subject.public_bytes() == found.issuer)
    found = parse_revocation_list(octets, [certificates[row.generation]], change.now, row.crl_pem or None)
    if found.next_update <= change.now:
        raise InvalidInput(f"the list held until {found.next_update:%Y-%m-%d}", field="list")
    row.crl_pem, row.crl_issued_at = found.pem, found.this_update
    row.crl_number = min(found.number or row.crl_number + 1, _MAX_NUMBER)
    change.session.flush()
    change.record("authority.import-list", f"authority/{purpose}/{ROOT}", after={"number": str(found.number)})
    return found.next_update


def export_root(change: Change, actor: Actor, purpose: Purpose, passphrase: str) -> ExportedRoot:
    """The root in force goes out, its key encrypted; the registry has it still, until `forget_root`.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: its key is not here.
        InvalidInput: the passphrase is too short.
    """
    require_operator(actor)
    row = _find_root_here(change.session, purpose)
    key_pem = encrypt_root_key(open_authority(row, change.sealer), passphrase).decode()
    change.record("authority.export-root", f"authority/{purpose}/{ROOT}", after={"generation": row.generation})
    return ExportedRoot(purpose, row.certificate_pem, key_pem, row.crl_number)


def forget_root(change: Change, actor: Actor, purpose: Purpose, proof: bytes) -> datetime:
    """The key of the root in force is here no more; returns until when its last list from here holds.

    *proof* is made with the key where it is kept now (`federation.trust.outside.sign_proof`): a key of which nobody has
    shown that it is elsewhere is not given up.

    Raises:
        Forbidden: the actor is no operator.
        Conflict: the key is not here any more.
        InvalidInput: the proof is none.
    """
    require_operator(actor)
    row = _find_root_here(change.session, purpose)
    root = open_authority(row, change.sealer)
    if not is_proof(root.certificate, proof):
        raise InvalidInput("this does not prove that the root's key is kept elsewhere", field="proof")
    row.crl_number += 1
    row.crl_issued_at = change.now
    row.crl_pem = build_crl(root, (), row.crl_number, change.now, OUTSIDE_CRL_LIFETIME).public_bytes(_PEM).decode()
    row.sealed_key = None
    change.session.flush()
    change.record("authority.forget-root", f"authority/{purpose}/{ROOT}", after={"generation": row.generation})
    return change.now + OUTSIDE_CRL_LIFETIME


def _find_root_here(session: Session, purpose: Purpose) -> AuthorityRow:
    row = load_authority(session, purpose, ROOT)
    if row.sealed_key is None:
        raise Conflict(f"the key of the root of {purpose} is not kept here")
    return row


def _found(
    change: Change, purpose: Purpose, request: AuthorityRequestRow, issuing: x509.Certificate, root: x509.Certificate
) -> None:
    """The two authorities of a root that was never here stand as planned."""
    require_none_under_way(change.session, purpose)
    if request.generation != next_generation(change.session, purpose):
        raise Conflict("other authorities were made since the request: make another")
    taken = {
        x509.load_pem_x509_certificate(each.certificate_pem.encode()).subject
        for each in change.session.scalars(select(AuthorityRow))
    }
    if root.subject in taken:
        raise Conflict(f"there was an authority with the name {root.subject.rfc4514_string()!r} already")
    assert request.sealed_key is not None  # a request for a new root has a key of its own
    key = serialization.load_pem_private_key(change.sealer.open(request.sealed_key, request.key_context), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # it was made here
    common = {"purpose": purpose, "generation": request.generation, "standing": Standing.PLANNED, "crl_number": 0}
    root_row = AuthorityRow(
        **common,
        level=ROOT,
        certificate_pem=root.public_bytes(_PEM).decode(),
        sealed_key=None,
        crl_pem="",
        crl_issued_at=change.now,
    )
    issuing_row = AuthorityRow(
        **common,
        level=ISSUING,
        certificate_pem=issuing.public_bytes(_PEM).decode(),
        sealed_key=request.sealed_key,  # the context is the same
    )
    publish_list(change, issuing_row, KeyedCertificate(issuing, key))
    change.session.add_all((root_row, issuing_row))
    change.session.flush()
    change.record("authority.import", f"authority/{purpose}", after={"generation": request.generation})


def _names_certified(session: Session, purpose: Purpose) -> Iterator[str]:
    """The names that an authority of *purpose* has to be able to sign."""
    yield find_federation(session).eap_server_name
    if purpose is Purpose.PEERS:
        yield from session.scalars(select(RealmRow.name))
        for row in session.scalars(select(CertificateRow).where(CertificateRow.purpose == purpose)):
            yield from row.names if row.revoked_at is None and row.superseded_at is None else ()


def _describe(row: AuthorityRequestRow, current_generation: int) -> AuthorityRequest:
    return AuthorityRequest(
        purpose=Purpose(row.purpose),
        generation=row.generation,
        is_new_root=row.generation != current_generation,
        request_pem=row.request_pem,
        created_at=row.created_at,
    )
