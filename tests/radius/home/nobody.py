"""An identity store that is not asked: what is tested ends before a password."""

from federation.reasons import RefusalReason


class NoPatrons:
    def begin_password_check(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        raise AssertionError("nobody gets as far as a password here")

    def begin_nt_hash_search(self, realm: str, user: str) -> bytes | RefusalReason:
        raise AssertionError("nobody gets as far as a password here")
