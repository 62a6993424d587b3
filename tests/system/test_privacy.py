"""What a login writes: no name of a patron and no password, whatever the method, the outcome and the log's level."""

from pathlib import Path

import pytest
from Crypto.Hash import MD4

from tests.support.biebroam import DataDirectory
from tests.support.eapol import PHASE2, log_in_with_eapol
from tests.support.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("load")]

SECRET = "access-point-secret-of-west"
SERVER_NAME = "login.test.example"
PASSWORD, WRONG = "Moerasduif-77", "Blauwborst-88"
PATRON, NOBODY = "zilverreiger", "waterhoen"
FILE = f"""
[federation]
name = "test"
country = "NL"
eap_server_name = "{SERVER_NAME}"
[[libraries]]
id = "west"
name = "Bibliotheek West"
realms = ["west.example"]
[[libraries.access_points]]
name = "hal"
address = "127.0.0.1/32"
secret = "{SECRET}"
[libraries.identity]
kind = "local"
mschapv2 = true
"""
# The registry itself holds its patrons, sealed or hashed where they are secret; a log or a report never does.
REGISTRY = ("biebroam.db", "biebroam.db-wal", "biebroam.db-shm")


def forbidden_texts() -> list[bytes]:
    """What must not be found, in the forms in which it could slip through."""
    names = [text.encode() for text in (PATRON, NOBODY)]
    passwords = [text.encode() for text in (PASSWORD, WRONG)]
    hashes = [MD4.new(text.decode().encode("utf-16-le")).digest() for text in passwords]
    return [*names, *passwords, *(each.hex().encode() for each in (*names, *passwords, *hashes)), *hashes]


def find_leaks(folder: Path) -> list[str]:
    """Each file of the folder that holds one of them, and which."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in REGISTRY:
            content = path.read_bytes().lower()
            found.extend(f"{path.name}: {text!r}" for text in forbidden_texts() if text.lower() in content)
    return found


def test_nothing_that_a_login_writes_names_a_patron(tmp_path: Path) -> None:
    """No log, status, saved snapshot, F-Ticks line, sign-in or metric has a patron's name or a password.

    Logins of each method, right, wrong and of nobody, under an anonymous name and the patron's own, the log at "debug".
    """
    written = tmp_path / "written"
    written.mkdir()
    data = DataDirectory(
        written / "data",
        settings={"BIEBROAM_LOG_LEVEL": "debug", "BIEBROAM_FTICKS": f"file:{written / 'fticks.log'}"},
    )
    data.take_initialised()
    data.apply(FILE)
    data.add_patron(f"{PATRON}@west.example", PASSWORD)
    with data.start("serve", "--workers", "1") as service:
        ca = tmp_path / "eap.pem"
        ca.write_text(data.fetch_text("/v1/trust/eap.pem"))
        logins = [
            (method, user, password, anonymous)
            for method in sorted(PHASE2)
            for user, password, anonymous in (
                (PATRON, PASSWORD, None),
                (PATRON, WRONG, f"{PATRON}@west.example"),
                (NOBODY, PASSWORD, None),
            )
        ]
        for method, user, password, anonymous in logins:
            result = log_in_with_eapol(
                tmp_path,
                port=int(data.ports["auth"]),
                secret=SECRET,
                user=f"{user}@west.example",
                password=password,
                ca=ca,
                server_name=SERVER_NAME,
                method=method,
                anonymous=anonymous,
            )
            assert result.succeeded == (user == PATRON and password == PASSWORD), result.output[-2000:]
        wait_until(lambda: service.output.count('"sign_in"') == len(logins), "a line for each login", 5)
        wait_until(lambda: (written / "fticks.log").read_text().count("\n") == len(logins), "F-Ticks", 5)
        (written / "metrics.txt").write_text(data.fetch_text("/metrics"))
        (written / "sign-ins.json").write_text(data.run("sign-ins", "--json").stdout)
    assert not find_leaks(written)


def test_leaks_would_be_found(tmp_path: Path) -> None:
    """The search of the test above finds what it looks for, in either case and as hexadecimal digits."""
    (tmp_path / "log").write_bytes(b'{"user": "Zilverreiger", "octets": "' + PASSWORD.encode().hex().encode() + b'"}')
    assert len(find_leaks(tmp_path)) == 2
