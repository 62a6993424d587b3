"""The attributes of the home server's answers: what an access point needs, and nothing that tells who the patron is."""

import hmac
from typing import Final

from radius.wire.attributes import find
from radius.wire.authenticators import KeyedSecret
from radius.wire.codes import AttributeType, MicrosoftAttribute, VendorId
from radius.wire.hiding import hide_salted
from radius.wire.packet import Packet, build_attribute, build_fragments, build_vendor_attribute

KEY_OCTETS: Final = 32  # of the MSK, each way (RFC 5216 §2.3, RFC 5281 §8)
CUI_CHARACTERS: Final = 40  # 160 bits in hexadecimal: nobody meets another's by chance


def build_challenge_attributes(eap: bytes, state: bytes) -> bytes:
    """The attributes of an Access-Challenge."""
    return build_fragments(AttributeType.EAP_MESSAGE, eap) + build_attribute(AttributeType.STATE, state)


def build_reject_attributes(eap: bytes) -> bytes:
    """The attributes of an Access-Reject; it tells the visited library nothing but no."""
    return build_fragments(AttributeType.EAP_MESSAGE, eap) if eap else b""


def build_accept_attributes(
    request: Packet, keyed: KeyedSecret, *, eap: bytes, msk: bytes, name: bytes, cui: bytes | None, salt: int
) -> bytes:
    """The attributes of an Access-Accept: EAP-Success, User-Name, the two keys of the radio link, and the alias.

    `name` is what the access point asked with, and all that the visited library may know: never the name inside the
    tunnel. `salt` is random; the two keys get different ones from it, as RFC 2548 §2.4.2 asks.

    Raises:
        ValueError: the MSK has fewer than 64 octets.
    """
    if len(msk) < 2 * KEY_OCTETS:
        raise ValueError(f"an MSK has {2 * KEY_OCTETS} octets or more, not {len(msk)}")
    receive_key, send_key = msk[:KEY_OCTETS], msk[KEY_OCTETS : 2 * KEY_OCTETS]
    parts = [build_fragments(AttributeType.EAP_MESSAGE, eap), build_attribute(AttributeType.USER_NAME, name)]
    for kind, key, own_salt in (
        (MicrosoftAttribute.MPPE_RECV_KEY, receive_key, salt),
        (MicrosoftAttribute.MPPE_SEND_KEY, send_key, salt ^ 1),
    ):
        hidden = hide_salted(key, own_salt, keyed, request.authenticator)
        parts.append(build_vendor_attribute(VendorId.MICROSOFT, kind, hidden))
    if cui is not None:
        parts.append(build_attribute(AttributeType.CHARGEABLE_USER_IDENTITY, cui))
    return b"".join(parts)


def build_alias(request: Packet, key: bytes, user: str, realm: str) -> bytes | None:
    """Chargeable-User-Identity: the same for a patron at one visited library, another at each other one.

    None when the request does not ask for it, or does not say which library asks: an alias that is the same everywhere
    would let libraries compare where a patron has been (RFC 4372 §2.1).
    """
    operator_name = find(request, AttributeType.OPERATOR_NAME)
    if find(request, AttributeType.CHARGEABLE_USER_IDENTITY) is None or not operator_name:
        return None
    subject = b"\0".join((operator_name.lower(), realm.encode(), user.casefold().encode(errors="surrogateescape")))
    return hmac.digest(key, subject, "sha256").hex()[:CUI_CHARACTERS].encode()
