"""The two authorities in the registry: made once, kept in force, and what each of them publishes.

`create_authorities` makes what is missing and is safe to call again; `renew_when_due` is called every hour, and
`renew_due` with each change of the server's name. Neither waits for a person: a certificate that runs out in the night
locks every patron out in the morning.

While a root is rolled over (`federation.services.rollovers`) there are two generations of an authority. Both are
trusted, both publish revocation lists; the one whose standing is `current` issues.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from federation.errors import NotFound, TrustError
from federation.model import Actor, Role
from federation.services.foreign_anchors import load_foreign
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
from federation.trust.distribution import build_list_url, read_list_urls
from federation.trust.keystore import Sealer
from federation.trust.profiles import CRL_REFRESH, Profile, Purpose
from federation.trust.rollover import TRUSTED, Standing
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
    find_federation(change.session)
    for purpose in Purpose:
        if not list_authorities(change.session, purpose):
            create_generation(change, purpose, 1, Standing.CURRENT)
    renew_due(change)


def create_generation(change: Change, purpose: Purpose, generation: int, standing: Standing) -> None:
    """A new root and an issuing authority below it, with keys of their own and their first revocation lists."""
    name = find_federation(change.session).name
    root = create_root(purpose, name, change.now, generation)
    list_url = build_list_url(find_federation(change.session).public_url, purpose, generation, of_root=True)
    issuing = create_issuing(root, purpose, name, change.now, generation=generation, crl_url=list_url)
    for level, keyed in ((ROOT, root), (ISSUING, issuing)):
        row = AuthorityRow(purpose=purpose, level=level, generation=generation, standing=standing, crl_number=0)
        keep_authority(change, row, keyed)
        publish_list(change, row, keyed)
        change.session.add(row)
    change.session.flush()
    change.record("authority.create", f"authority/{purpose}", after={"generation": generation})


def renew_due(change: Change) -> list[str]:
    """Everything that was due is renewed; the list says what, in words for a log.

    Due are: an issuing authority and the certificates of the hosted home server and of the proxy after two thirds of
    their lives, the latter two also when the federation's `eap_server_name` is another than they say, the proxy's when
    it does not lead to its revocation list and could, and revocation lists after a day.
    """
    done: list[str] = []
    for row in list_authorities(change.session):
        if _is_issuing_due(change.session, row, change.now):
            _renew_issuing(change, row)
            done.append(f"issuing authority of {row.purpose}")
    for row in list_authorities(change.session):
        if _is_list_due(row, change.now):
            publish_list(change, row, open_authority(row, change.sealer))
            done.append(f"revocation list of {row.purpose} {row.level}")
    for profile, (title, _, _) in _OWN.items():
        if _own_certificate_is_due(change.session, profile, change.now):
            renew_own_certificate(change, profile)
            done.append(title)
    return done


def is_renewal_due(session: Session, now: datetime) -> bool:
    """Whether `renew_due` would do anything; reads only, so that asking costs no write."""
    rows = list_authorities(session)
    return bool(rows) and (
        any(_is_issuing_due(session, row, now) or _is_list_due(row, now) for row in rows)
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

    Earlier ones stay valid: processes that have not heard of the change yet go on with theirs. An issuing authority
    whose certificate does not lead to its root's list, and could, has another one with the same key. Returns the serial
    number.
    """
    federation = find_federation(change.session)
    _, purpose, issue = _OWN[profile]
    authority = load_authority(change.session, purpose, ISSUING)
    if lacks_root_list(change.session, authority):
        _renew_issuing(change, authority)
    issuing = open_authority(authority, change.sealer)
    list_url = find_list_url(change.session, authority)
    keyed = issue(issuing, federation.eap_server_name, federation.name, change.now, list_url)
    for earlier in change.session.scalars(_own_certificates(profile)):
        earlier.superseded_at = change.now
    row = build_row(keyed.certificate, authority, profile, names=(federation.eap_server_name,), now=change.now)
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
    lists, foreign = load_foreign(session)
    return PeerTrust(
        certificate_chain_pem=chain,
        private_key_pem=key,
        anchors_pem=load_anchors(session, Purpose.PEERS).encode(),
        revoked_serials=frozenset(revoked),
        revocation_lists_pem=lists,
        foreign_anchors=foreign,
    )


def _own_credentials(session: Session, sealer: Sealer, profile: Profile) -> tuple[bytes, bytes]:
    row = session.scalars(_own_certificates(profile)).first()
    if row is None or row.sealed_key is None:
        owner = "hosted home server" if profile is Profile.EAP_SERVER else "proxy"
        raise TrustError(f"the {owner} has no certificate yet")
    issuing = load_authority(session, Purpose(row.purpose), ISSUING, row.generation)
    return (row.certificate_pem + issuing.certificate_pem).encode(), sealer.open(row.sealed_key, row.key_context)


def load_anchors(session: Session, purpose: Purpose) -> str:
    """The anchors to be trusted for *purpose*, as PEM: the root that issues, and the other one during a roll-over.

    Raises:
        TrustError: the authorities have not been made.
    """
    return "".join(row.certificate_pem for row in load_trusted(session, purpose) if row.level == ROOT)


def load_crl_pem(session: Session, purpose: Purpose) -> str:
    """The newest revocation lists of *purpose* as PEM: the issuing authority's, then the root's.

    During a roll-over those of the other generation follow.

    Raises:
        TrustError: the authorities have not been made.
    """
    return "".join(row.crl_pem for row in load_trusted(session, purpose))


def load_crl_der(session: Session, purpose: Purpose, generation: int | None = None, *, of_root: bool = False) -> bytes:
    """The newest list of an issuing authority, or of its root, as DER, as RFC 2585 §3 serves it: one, of one issuer.

    Without *generation* it is that of the authority that issues now. A distribution point names the generation, so that
    it goes on leading to the list of its certificate's issuer when another one issues.

    Raises:
        NotFound: there is no such generation, it is not told of, or its root is elsewhere and no list has come of it.
    """
    rows = [row for row in load_trusted(session, purpose) if row.level == (ROOT if of_root else ISSUING)]
    row = next((row for row in rows if generation in (None, row.generation)), None)
    if row is None:
        raise NotFound(f"{purpose} has no generation {generation} that is trusted")
    if not row.crl_pem:
        raise NotFound(f"the root of {purpose} is kept elsewhere, and there is no list of it here")
    return x509.load_pem_x509_crl(row.crl_pem.encode()).public_bytes(serialization.Encoding.DER)


def publish_crl(change: Change, purpose: Purpose) -> None:
    """The issuing authorities of *purpose* have new revocation lists, which name all that is revoked now."""
    for row in list_authorities(change.session, purpose):
        if row.level == ISSUING and row.sealed_key is not None:
            publish_list(change, row, open_authority(row, change.sealer))


def load_authority(session: Session, purpose: Purpose, level: str, generation: int | None = None) -> AuthorityRow:
    """The row of one authority: of the generation that issues now, unless another is named.

    Raises:
        TrustError: the authorities have not been made.
    """
    query = select(AuthorityRow).where(AuthorityRow.purpose == purpose, AuthorityRow.level == level)
    query = query.where(
        AuthorityRow.standing == Standing.CURRENT if generation is None else AuthorityRow.generation == generation
    )
    row = session.scalars(query).one_or_none()
    if row is None:
        raise TrustError(f"there is no {level} authority of {purpose}: run init")
    return row


def list_authorities(session: Session, purpose: Purpose | None = None) -> list[AuthorityRow]:
    """The authorities that are not retired, of one purpose or of all: each root, then the issuing one below it."""
    query = select(AuthorityRow).where(AuthorityRow.standing != Standing.RETIRED)
    if purpose is not None:
        query = query.where(AuthorityRow.purpose == purpose)
    order = AuthorityRow.purpose.desc(), AuthorityRow.generation, AuthorityRow.level.desc()
    return list(session.scalars(query.order_by(*order)))


def build_row(
    certificate: x509.Certificate,
    issuing: AuthorityRow,
    profile: Profile,
    *,
    names: Iterable[str],
    nai_realms: Iterable[str] = (),
    now: datetime,
    library: str | None = None,
) -> CertificateRow:
    """A row for a certificate that *issuing* has just signed."""
    return CertificateRow(
        serial=format_serial(certificate.serial_number),
        purpose=issuing.purpose,
        profile=profile,
        generation=issuing.generation,
        library_id=library,
        names=list(names),
        nai_realms=list(nai_realms),
        certificate_pem=_pem(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=now,
    )


def keep_authority(change: Change, row: AuthorityRow, keyed: KeyedCertificate) -> None:
    """The row holds the certificate, and the key sealed."""
    row.certificate_pem = _pem(keyed.certificate)
    row.sealed_key = change.sealer.seal(keyed.key_pem, row.key_context)


def publish_list(change: Change, row: AuthorityRow, keyed: KeyedCertificate) -> None:
    """The authority has a new revocation list.

    Only issuing authorities have revoked anything: a root revokes nothing but an issuing authority, by hand.
    """
    revoked = _revoked(change.session, row, change.now) if row.level == ISSUING else []
    row.crl_number += 1
    row.crl_issued_at = change.now
    row.crl_pem = build_crl(keyed, revoked, row.crl_number, change.now).public_bytes(_PEM).decode()


def load_trusted(session: Session, purpose: Purpose) -> list[AuthorityRow]:
    """The trusted authorities, those that issue first; of each generation the issuing one, then the root.

    Raises:
        TrustError: the authorities have not been made.
    """
    rows = [row for row in list_authorities(session, purpose) if row.standing in TRUSTED]
    if not rows:
        raise TrustError(f"there is no root authority of {purpose}: run init")
    return sorted(rows, key=lambda row: (row.standing != Standing.CURRENT, row.generation, row.level))


def _renew_issuing(change: Change, row: AuthorityRow) -> None:
    """An issuing authority has another certificate for the same key and name; its root's key is here."""
    purpose = Purpose(row.purpose)
    root = open_authority(load_authority(change.session, purpose, ROOT, row.generation), change.sealer)
    federation = find_federation(change.session)
    list_url = build_list_url(federation.public_url, purpose, row.generation, of_root=True)
    held = open_authority(row, change.sealer)
    keep_authority(change, row, create_issuing(root, purpose, federation.name, change.now, held, crl_url=list_url))
    change.record("authority.renew", f"authority/{purpose}/{ISSUING}")


def lacks_root_list(session: Session, issuing: AuthorityRow) -> bool:
    """Whether the certificate of *issuing* would lead to its root's list, and does not, if it were made here now."""
    root = load_authority(session, Purpose(issuing.purpose), ROOT, issuing.generation)
    wanted = find_list_url(session, root)
    return root.sealed_key is not None and wanted not in (None, *read_list_urls(_certificate(issuing)))


def _is_issuing_due(session: Session, row: AuthorityRow, now: datetime) -> bool:
    """Whether an issuing authority is to be renewed here: its root's key has to be here too."""
    return (
        row.level == ISSUING
        and is_due(_certificate(row), now)
        and load_authority(session, Purpose(row.purpose), ROOT, row.generation).sealed_key is not None
    )


def _is_list_due(row: AuthorityRow, now: datetime) -> bool:
    return row.sealed_key is not None and not now - CRL_REFRESH < row.crl_issued_at <= now


def _revoked(session: Session, issuing: AuthorityRow, now: datetime) -> list[Revoked]:
    """What a list has to name: revoked and not run out, for what has run out is refused for that (RFC 5280 §3.3)."""
    rows = session.scalars(
        select(CertificateRow)
        .where(
            CertificateRow.purpose == issuing.purpose,
            CertificateRow.generation == issuing.generation,
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
    if row is None or row.names != [find_federation(session).eap_server_name]:
        return True
    issuing = load_authority(session, Purpose(row.purpose), ISSUING)
    certificate = x509.load_pem_x509_certificate(row.certificate_pem.encode())
    # The home server's gets its list with its next term: a device that knows the certificate and not its authority
    # would ask its owner, and it reads no list before it is in the Wi-Fi.
    lacks_list = profile is Profile.OPERATOR and find_list_url(session, issuing) not in (
        None,
        *read_list_urls(certificate),
    )
    return row.generation != issuing.generation or lacks_list or is_due(certificate, now)


def find_list_url(session: Session, row: AuthorityRow) -> str | None:
    """Where the certificates of an authority lead for its revocation list; None where there is no public URL."""
    public_url, is_root = find_federation(session).public_url, row.level == ROOT
    return build_list_url(public_url, Purpose(row.purpose), row.generation, of_root=is_root)


def find_federation(session: Session) -> FederationRow:
    """The federation's settings.

    Raises:
        NotFound: there are none yet.
    """
    row = session.scalars(select(FederationRow)).first()
    if row is None:
        raise NotFound("the federation has no settings yet")
    return row


def _certificate(row: AuthorityRow) -> x509.Certificate:
    return x509.load_pem_x509_certificate(row.certificate_pem.encode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()
