from pathlib import Path

import pytest

from config.diagnosis import NETWORK_FILE_SYSTEMS, Finding, diagnose, find_file_system
from config.settings import Settings


def findings(data: Path, **environment: str) -> dict[str, Finding]:
    return {each.check: each for each in diagnose(Settings(data=data), environment, {})}


class TestDiagnose:
    def test_missing_directory_names_init(self, tmp_path: Path) -> None:
        """Where nothing was initialised the first thing to do is that."""
        found = findings(tmp_path / "none")["data directory"]
        assert not found.passes
        assert "init" in found.remedy

    def test_open_key_is_found(self, tmp_path: Path) -> None:
        """A node key that others may read is found, with the command that closes it."""
        (tmp_path / "node.key").touch(mode=0o600)
        assert findings(tmp_path)["permissions of node.key"].passes
        (tmp_path / "node.key").chmod(0o640)
        found = findings(tmp_path)["permissions of node.key"]
        assert not found.passes
        assert str(tmp_path / "node.key") in found.remedy

    def test_misspelt_variable_is_found(self, tmp_path: Path) -> None:
        """A variable that is no setting is named."""
        assert "BIEBROAM_PORT" in findings(tmp_path, BIEBROAM_PORT="1")["environment"].detail

    def test_failing_probe_is_a_finding(self, tmp_path: Path) -> None:
        """Whatever a probe raises is what is wrong, with its remedy."""

        def fail() -> str:
            raise ValueError("the schema is old")

        (found,) = (
            each for each in diagnose(Settings(data=tmp_path), {}, {"x": (fail, "migrate")}) if each.check == "x"
        )
        assert (found.passes, found.detail, found.remedy) == (False, "the schema is old", "migrate")


MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,nosuid shared:1 - nfs4 files.example:/srv rw
31 30 0:41 / /srv/own\\040disk rw - xfs /dev/sdb1 rw
"""


class TestFileSystem:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [("/var/lib/biebroam", "ext4"), ("/srv/biebroam", "nfs4"), ("/srv/own disk/data", "xfs"), ("/srvx", "ext4")],
    )
    def test_is_that_of_the_nearest_mount(self, tmp_path: Path, path: str, kind: str) -> None:
        """The longest mount point that the path is under decides."""
        (tmp_path / "mountinfo").write_text(MOUNTS)
        assert find_file_system(Path(path), tmp_path / "mountinfo") == kind

    def test_unknown_is_no_finding(self, tmp_path: Path) -> None:
        """Where the kernel does not say, nothing is held against it."""
        assert find_file_system(tmp_path, tmp_path / "none") == ""

    def test_this_machine_s_own_disk_passes(self, tmp_path: Path) -> None:
        """The finding stands among the others, and only when the database is SQLite."""
        (tmp_path / "node.key").touch(mode=0o600)
        found = findings(tmp_path)["file system"]
        assert found.passes == (found.detail not in NETWORK_FILE_SYSTEMS)
        shared = diagnose(Settings(data=tmp_path, database_url="postgresql+psycopg://db.example/x"), {}, {})
        assert "file system" not in {each.check for each in shared}
