"""MS-CHAP-V2 against the vectors of RFC 2759 §9.2 and RFC 3079 §3.5.3."""

from Crypto.Hash import MD4

from radius.eap import mschapv2

USER = b"User"
NT_HASH = MD4.new("clientPass".encode("utf-16-le")).digest()
SERVER_CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER_CHALLENGE = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")


class TestVectors:
    def test_challenge_hash(self) -> None:
        """RFC 2759 §9.2: the 8 octets of challenge."""
        found = mschapv2.challenge_hash(PEER_CHALLENGE, SERVER_CHALLENGE, USER)
        assert found.hex() == "d02e4386bce91226"

    def test_domain_is_not_hashed(self) -> None:
        """A Windows domain before the name leaves the challenge as it is."""
        assert mschapv2.challenge_hash(PEER_CHALLENGE, SERVER_CHALLENGE, b"DOMAIN\\User") == mschapv2.challenge_hash(
            PEER_CHALLENGE, SERVER_CHALLENGE, USER
        )

    def test_response_and_proof(self) -> None:
        """RFC 2759 §9.2: NT-Response and authenticator response."""
        challenge = mschapv2.challenge_hash(PEER_CHALLENGE, SERVER_CHALLENGE, USER)
        assert mschapv2.nt_response(NT_HASH, challenge) == RESPONSE
        assert mschapv2.verify_nt_response(NT_HASH, challenge, RESPONSE)
        assert not mschapv2.verify_nt_response(NT_HASH, challenge, RESPONSE[:-1] + b"\x00")
        assert not mschapv2.verify_nt_response(None, challenge, mschapv2.nt_response(bytes(16), challenge))
        proof = mschapv2.authenticator_response(NT_HASH, challenge, RESPONSE)
        assert proof == b"S=407A5589115FD0D6209F510FE9C04566932CDA56"

    def test_session_keys(self) -> None:
        """RFC 3079 §3.5.3: the server's send key."""
        receive, send = mschapv2.session_keys(NT_HASH, RESPONSE)
        assert send.hex().upper() == "8B7CDC149B993A1BA118CB153F56DCCB"
        assert len(receive) == 16
        assert receive != send
