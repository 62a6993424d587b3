"""An identity store that is not asked: what is tested ends before a password."""

from federation.reasons import RefusalReason


class NoPatrons:
    def check_password(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        raise AssertionError("nobody gets as far as a password here")

    def find_nt_hash(self, realm: str, user: str) -> bytes | RefusalReason:
        raise AssertionError("nobody gets as far as a password here")
