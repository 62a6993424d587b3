"""What is built from this tree installs and runs elsewhere."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `pip wheel` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        timeout=300,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.xdist_group("wheel")  # it is built once
class TestWheel:
    def test_holds_the_packages_and_nothing_else(self, wheel: Path) -> None:
        """The wheel has the four packages, the command line and its roles at its top, and no tests or documents."""
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0] for name in archive.namelist()}
        metadata = {top for top in tops if top.endswith(".dist-info")}
        assert tops - metadata == {"biebroam.py", "biebroam_roles.py", "radius", "federation", "api", "config"}

    def test_holds_every_file_that_the_code_reads(self, wheel: Path) -> None:
        """Migrations, dictionaries and examples travel with the code."""
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        wanted = {
            str(path.relative_to(ROOT))
            for folder in ("radius", "federation", "api", "config")
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted <= names

    def test_runs_from_the_wheel_alone(self, wheel: Path, tmp_path: Path) -> None:
        """`biebroam version` and `init` work from the built files, without the tree."""
        target = tmp_path / "installed"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        run = [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.insert(0, {str(target)!r}); import biebroam; biebroam.main()",
        ]
        version = subprocess.run(
            [*run, "version"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
        )
        assert "0.1.0" in version.stdout
        made = subprocess.run(
            [*run, "init", "--data", "data", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        assert (tmp_path / "data").is_dir()


class TestMetadata:
    def test_command_is_the_composition_root(self) -> None:
        """The `biebroam` command is biebroam.py's main."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert project["scripts"] == {"biebroam": "biebroam:main"}

    def test_version_stands_once(self) -> None:
        """The version is read from config/version.py, and the changelog knows it or calls it unreleased."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert "version" in project["dynamic"]
        assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
