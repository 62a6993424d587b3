"""`biebroam cert authority` over a real data directory and files of a machine without one."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.biebroam import DataDirectory

pytestmark = pytest.mark.system


def test_root_is_made_elsewhere_and_signs_what_the_node_asks_for(tmp_path: Path) -> None:
    """Request, root, signature and list go from machine to machine as files, and end in a planned roll-over."""
    data = DataDirectory(tmp_path / "data")
    data.initialise()
    outside = tmp_path / "outside"
    outside.mkdir()
    passphrase = outside / "passphrase"
    passphrase.write_text("twaalf tekens of meer\n")
    authority = ("cert", "authority")
    (outside / "request.pem").write_text(data.run_process(*authority, "request", "--new-root").stdout)
    files = ("--root-key", outside / "key.pem", "--root", outside / "root.pem", "--passphrase-file", passphrase)
    root = tuple(map(str, files))
    away = DataDirectory(tmp_path / "no-registry-here")
    away.run(*authority, "create-offline", "--name", "biebroam", *root)
    csr = ("--csr", str(outside / "request.pem"))
    away.run(*authority, "sign-offline", *csr, *root, "--out", str(outside / "issuing.pem"))
    away.run(*authority, "list-offline", "--number", "1", *root, "--out", str(outside / "root.crl"))
    assert not away.folder.exists()
    assert (outside / "key.pem").stat().st_mode & 0o777 == 0o600
    again = away.run(*authority, "create-offline", "--name", "biebroam", *root, check=False)
    assert (again.returncode, "can not write" in again.stderr) == (1, True)  # a root is never written over
    given = ("--issuing", str(outside / "issuing.pem"), "--root", str(outside / "root.pem"))
    made = data.run(*authority, "import", *given, "--crl", str(outside / "root.crl"), "--json")
    assert json.loads(made.stdout)["began_rollover"] is True
    assert json.loads(data.run("cert", "rollover", "advance", "--json").stdout)["new"]["is_key_here"] is False


def test_key_leaves_the_registry_into_a_file_that_opens(tmp_path: Path) -> None:
    """Exported once; another term of the issuing authority is signed with the file, and the anchor stays."""
    data = DataDirectory(tmp_path / "data")
    data.initialise()
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("twaalf tekens of meer")
    authority = ("cert", "authority")
    files = ("--root-key", tmp_path / "key.pem", "--root", tmp_path / "root.pem", "--passphrase-file", passphrase)
    root = tuple(map(str, files))
    assert "only one with the root's key" in data.run(*authority, "export-root", *root).stdout
    assert "not kept here" in data.run(*authority, "export-root", *root, check=False).stderr
    (tmp_path / "request.pem").write_text(data.run(*authority, "request").stdout)
    issuing = tmp_path / "issuing.pem"
    data.run(*authority, "sign-offline", "--csr", str(tmp_path / "request.pem"), *root, "--out", str(issuing))
    given = ("--issuing", str(issuing), "--root", str(tmp_path / "root.pem"))
    assert "new term" in data.run(*authority, "import", *given).stdout
    x509.load_pem_x509_certificate(issuing.read_bytes()).verify_directly_issued_by(
        x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes())
    )
