"""Authorities whose root is kept elsewhere: requests go out, signatures come in, and the key leaves."""

import base64

from fastapi import APIRouter

from api.requests import Changing
from api.schemas.authorities import (
    AuthorityRequestView,
    ExportedRootView,
    NewAuthorityRequest,
    Passphrase,
    Proof,
    RootList,
    RootListView,
    SignedAuthority,
    SignedAuthorityView,
)
from api.security import Operator
from federation.errors import InvalidInput
from federation.services import outside_roots
from federation.trust.profiles import Purpose

router = APIRouter(prefix="/v1/trust/authorities/{purpose}", tags=["trust"])


@router.post("/request")
def request_authority(
    purpose: Purpose, body: NewAuthorityRequest, changing: Changing, actor: Operator
) -> AuthorityRequestView:
    """Make a request for an issuing authority, or show the one that waits. Its key stays here."""
    with changing.open() as change:
        made = outside_roots.request_issuing(change, actor, purpose, new_root=body.new_root)
    return AuthorityRequestView.show(made)


@router.post("/import")
def import_authority(
    purpose: Purpose, body: SignedAuthority, changing: Changing, actor: Operator
) -> SignedAuthorityView:
    """Put in place what the root elsewhere has signed. A root that is new begins a roll-over."""
    with changing.open() as change:
        began = outside_roots.import_issuing(
            change,
            actor,
            purpose,
            issuing_pem=body.issuing.encode(),
            root_pem=body.root.encode(),
            list_pem=(body.root_list or "").encode(),
        )
    return SignedAuthorityView(purpose=purpose, began_rollover=began)


@router.post("/root-list")
def import_root_list(purpose: Purpose, body: RootList, changing: Changing, actor: Operator) -> RootListView:
    """Publish the revocation list of a root that is kept elsewhere."""
    with changing.open() as change:
        until = outside_roots.import_root_list(change, actor, purpose, body.root_list.encode())
    return RootListView(purpose=purpose, holds_until=until)


@router.post("/export-root")
def export_root(purpose: Purpose, body: Passphrase, changing: Changing, actor: Operator) -> ExportedRootView:
    """Take the root out, its key encrypted. It is here still, until it is forgotten."""
    with changing.open() as change:
        found = outside_roots.export_root(change, actor, purpose, body.passphrase.get_secret_value())
    return ExportedRootView.model_validate(found)


@router.post("/forget-root")
def forget_root(purpose: Purpose, body: Proof, changing: Changing, actor: Operator) -> RootListView:
    """Forget the root's key, once somebody has proved to hold it elsewhere. The root's last list holds for 180 days."""
    try:
        proof = base64.b64decode(body.proof, validate=True)
    except ValueError:  # binascii.Error is one, and so is what other characters raise
        raise InvalidInput("this is no base64", field="proof") from None
    with changing.open() as change:
        until = outside_roots.forget_root(change, actor, purpose, proof)
    return RootListView(purpose=purpose, holds_until=until)
