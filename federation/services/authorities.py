"""The two authorities in the registry: made once, kept in force, and what each of them publishes.

`create_authorities` makes what is missing and is safe to call again; `renew_when_due` is called every hour, and
`renew_due` with each change of the server's name. Neither waits for a person: a certificate that runs out in the night
locks every patron out in the morning.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from federation.errors import NotFound, TrustError
from federation.model import Actor, Role
from federation.services.registry import Change, Registry
from federation.snapshot import EapServerCredentials, PeerTrust
from federation.store.tables.registry import FederationRow
from federation.store.tables.trust import AuthorityRow, CertificateRow
from federation.trust.authority import (
    KeyedCertificate,
    Revoked,
    build_crl,
    create_issuing,
    create_root,
    is_due,
    issue_eap_server,
    issue_operator,
)
from federation.trust.keystore import Sealer
from federation.trust.profiles import CRL_REFRESH, Profile, Purpose
from federation.trust.rows import format_serial, open_authority

SYSTEM = Actor("biebroam", Role.OPERATOR)  # who acts when nobody has asked
ROOT = "root"
ISSUING = "issuing"
_PEM = serialization.Encoding.PEM
_OWN = {  # certificates whose keys are here, with the authority that signs each
    Profile.EAP_SERVER: ("certificate of the hosted home server", Purpose.EAP, issue_eap_server),
    Profile.OPERATOR: ("certificate of the federation's proxy", Purpose.PEERS, issue_operator),
}


def create_authorities(change: Change) -> None:
    """Both authorities exist, with their first revocation lists; hosted home server and proxy have certificates."""
    name = _federation(change.session).name
    for purpose in Purpose:
        if change.session.get(AuthorityRow, (purpose, ROOT)) is None:
            root = create_root(purpose, name, change.now)
            issuing = create_issuing(root, purpose, name, change.now)
            for level, keyed in ((ROOT, root), (ISSUING, issuing)):
                row = AuthorityRow(purpose=purpose, level=level, crl_number=0)
                _keep_authority(change, row, keyed)
                _publish(change, row, keyed)
                change.session.add(row)
            change.record("authority.create", f"authority/{purpose}")
    renew_due(change)


def renew_due(change: Change) -> list[str]:
    """Everything that was due is renewed; the list says what, in words for a log.

    Due are: an issuing authority and the certificates of the hosted home server and of the proxy after two thirds of
    their lives, the latter two also when the federation's `eap_server_name` is another than they say, and revocation
    lists after a day.
    """
    done: list[str] = []
    name = _federation(change.session).name
    for purpose in Purpose:
        root_row, issuing_row = (
            load_authority(change.session, purpose, ROOT),
            load_authority(change.session, purpose, ISSUING),
        )
        if is_due(_certificate(issuing_row), change.now):
            root = open_authority(root_row, change.sealer)
            earlier = open_authority(issuing_row, change.sealer)
            renewed = create_issuing(root, purpose, name, change.now, earlier)
            _keep_authority(change, issuing_row, renewed)
            change.record("authority.renew", f"authority/{purpose}/{ISSUING}")
            done.append(f"issuing authority of {purpose}")
        for row in (root_row, issuing_row):
            if not change.now - CRL_REFRESH < row.crl_issued_at <= change.now:
                _publish(change, row, open_authority(row, change.sealer))
                done.append(f"revocation list of {purpose} {row.level}")
    for profile, (title, _, _) in _OWN.items():
        if _own_certificate_is_due(change.session, profile, change.now):
            renew_own_certificate(change, profile)
            done.append(title)
    return done


def is_renewal_due(session: Session, now: datetime) -> bool:
    """Whether `renew_due` would do anything; reads only, so that asking costs no write."""
    rows = session.scalars(select(AuthorityRow)).all()
    return bool(rows) and (
        any(is_due(_certificate(row), now) for row in rows if row.level == ISSUING)
        or any(not now - CRL_REFRESH < row.crl_issued_at <= now for row in rows)
        or any(_own_certificate_is_due(session, profile, now) for profile in _OWN)
    )


def renew_when_due(registry: Registry) -> list[str]:
    """What was due is renewed, by the system itself; to be called every hour or so, by any process of the node.

    Two processes that call it at once renew once: the second finds nothing due when its turn to write has come.
    """
    with registry.read() as session:
        if not is_renewal_due(session, registry.now()):
            return []
    with registry.change(SYSTEM, "due") as change:
        return renew_due(change)


def renew_own_certificate(change: Change, profile: Profile) -> str:
    """The hosted home server, or the proxy, has a new certificate with a new key for the federation's server name.

    Earlier ones stay valid: processes that have not heard of the change yet go on with theirs. Returns the serial
    number.
    """
    federation = _federation(change.session)
    _, purpose, issue = _OWN[profile]
    issuing = open_authority(load_authority(change.session, purpose, ISSUING), change.sealer)
    keyed = issue(issuing, federation.eap_server_name, federation.name, change.now)
    for earlier in change.session.scalars(_own_certificates(profile)):
        earlier.superseded_at = change.now
    row = build_row(keyed.certificate, purpose, profile, names=(federation.eap_server_name,), now=change.now)
    row.sealed_key = change.sealer.seal(keyed.key_pem, row.key_context)
    change.session.add(row)
    change.session.flush()
    change.record("certificate.issue", f"certificate/{row.serial}", after={"names": [federation.eap_server_name]})
    return row.serial


def load_eap_credentials(session: Session, sealer: Sealer) -> EapServerCredentials:
    """The certificate chain, without the root, and the key with which hosted home servers end EAP.

    Raises:
        TrustError: there is none yet, or its key does not open.
    """
    return EapServerCredentials(*_own_credentials(session, sealer, Profile.EAP_SERVER))


def load_peer_trust(session: Session, sealer: Sealer) -> PeerTrust:
    """What the proxy shows to RADIUS/TLS peers, and whom of them it believes.

    Raises:
        TrustError: there is no certificate yet, or its key does not open.
    """
    chain, key = _own_credentials(session, sealer, Profile.OPERATOR)
    revoked = session.scalars(
        select(CertificateRow.serial).where(
            CertificateRow.purpose == Purpose.PEERS, CertificateRow.revoked_at.is_not(None)
        )
    )
    return PeerTrust(chain, key, load_anchors(session, Purpose.PEERS).encode(), frozenset(revoked))


def _own_credentials(session: Session, sealer: Sealer, profile: Profile) -> tuple[bytes, bytes]:
    row = session.scalars(_own_certificates(profile)).first()
    if row is None or row.sealed_key is None:
        owner = "hosted home server" if profile is Profile.EAP_SERVER else "proxy"
        raise TrustError(f"the {owner} has no certificate yet")
    issuing = load_authority(session, Purpose(row.purpose), ISSUING)
    return (row.certificate_pem + issuing.certificate_pem).encode(), sealer.open(row.sealed_key, row.key_context)


def load_anchors(session: Session, purpose: Purpose) -> str:
    """The anchor to be trusted for *purpose*, as PEM: the root alone."""
    return load_authority(session, purpose, ROOT).certificate_pem


def load_crl_pem(session: Session, purpose: Purpose) -> str:
    """The newest revocation lists of *purpose* as PEM, the issuing authority's first, then the root's."""
    return "".join(load_authority(session, purpose, level).crl_pem for level in (ISSUING, ROOT))


def load_crl_der(session: Session, purpose: Purpose) -> bytes:
    """The newest revocation list of the issuing authority as DER, as RFC 2585 §3 serves it."""
    pem = load_authority(session, purpose, ISSUING).crl_pem.encode()
    return x509.load_pem_x509_crl(pem).public_bytes(serialization.Encoding.DER)


def publish_crl(change: Change, purpose: Purpose) -> None:
    """The issuing authority of *purpose* has a new revocation list, which names all that is revoked now."""
    row = load_authority(change.session, purpose, ISSUING)
    _publish(change, row, open_authority(row, change.sealer))


def load_authority(session: Session, purpose: Purpose, level: str) -> AuthorityRow:
    """The row of one authority.

    Raises:
        TrustError: the authorities have not been made.
    """
    row = session.get(AuthorityRow, (purpose, level))
    if row is None:
        raise TrustError(f"there is no {level} authority of {purpose}: run init")
    return row


def build_row(
    certificate: x509.Certificate,
    purpose: Purpose,
    profile: Profile,
    *,
    names: Iterable[str],
    nai_realms: Iterable[str] = (),
    now: datetime,
    library: str | None = None,
) -> CertificateRow:
    """A row for a certificate that has just been signed."""
    return CertificateRow(
        serial=format_serial(certificate.serial_number),
        purpose=purpose,
        profile=profile,
        library_id=library,
        names=list(names),
        nai_realms=list(nai_realms),
        certificate_pem=_pem(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=now,
    )


def _keep_authority(change: Change, row: AuthorityRow, keyed: KeyedCertificate) -> None:
    row.certificate_pem = _pem(keyed.certificate)
    row.sealed_key = change.sealer.seal(keyed.key_pem, row.key_context)


def _publish(change: Change, row: AuthorityRow, keyed: KeyedCertificate) -> None:
    """Only issuing authorities have revoked anything: a root revokes nothing but an issuing authority, by hand."""
    revoked = _revoked(change.session, row.purpose, change.now) if row.level == ISSUING else []
    row.crl_number += 1
    row.crl_issued_at = change.now
    row.crl_pem = build_crl(keyed, revoked, row.crl_number, change.now).public_bytes(_PEM).decode()


def _revoked(session: Session, purpose: str, now: datetime) -> list[Revoked]:
    """What a list has to name: revoked and not run out, for what has run out is refused for that (RFC 5280 §3.3)."""
    rows = session.scalars(
        select(CertificateRow)
        .where(
            CertificateRow.purpose == purpose,
            CertificateRow.revoked_at.is_not(None),
            CertificateRow.not_after > now - CRL_REFRESH,  # once on a list after its end, as RFC 5280 asks
        )
        .order_by(CertificateRow.serial)
    )
    return [
        Revoked(int(row.serial, 16), row.revoked_at, x509.ReasonFlags(row.revocation_reason or "unspecified"))
        for row in rows
        if row.revoked_at is not None
    ]


def _own_certificates(profile: Profile) -> Select[CertificateRow]:
    """Those of that profile that are in use, the newest first."""
    return (
        select(CertificateRow)
        .where(
            CertificateRow.profile == profile,
            CertificateRow.superseded_at.is_(None),
            CertificateRow.revoked_at.is_(None),
        )
        .order_by(CertificateRow.issued_at.desc())
    )


def _own_certificate_is_due(session: Session, profile: Profile, now: datetime) -> bool:
    row = session.scalars(_own_certificates(profile)).first()
    return (
        row is None
        or row.names != [_federation(session).eap_server_name]
        or is_due(x509.load_pem_x509_certificate(row.certificate_pem.encode()), now)
    )


def _federation(session: Session) -> FederationRow:
    row = session.scalars(select(FederationRow)).first()
    if row is None:
        raise NotFound("the federation has no settings yet")
    return row


def _certificate(row: AuthorityRow) -> x509.Certificate:
    return x509.load_pem_x509_certificate(row.certificate_pem.encode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()
