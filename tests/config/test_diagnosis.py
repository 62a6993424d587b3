from pathlib import Path

from config.diagnosis import Finding, diagnose
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
