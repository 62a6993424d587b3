import stat
from pathlib import Path

import pytest

from config.paths import DataDirectory, write_atomically


class TestMake:
    def test_directory_is_for_its_owner(self, tmp_path: Path) -> None:
        """A new data directory can not be read by others: the node key is in it."""
        directory = DataDirectory(tmp_path / "a" / "b")
        directory.make()
        assert stat.S_IMODE(directory.root.stat().st_mode) == 0o700
        assert directory.run.is_dir()
        directory.make()


class TestWriteAtomically:
    def test_replaces_the_whole_file(self, tmp_path: Path) -> None:
        """A reader sees the old content or the new, with the mode asked for."""
        path = tmp_path / "f"
        write_atomically(path, b"one")
        write_atomically(path, b"two", mode=0o600)
        assert path.read_bytes() == b"two"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_failure_leaves_nothing(self, tmp_path: Path) -> None:
        """A write that fails leaves no temporary file and the old content."""
        path = tmp_path / "directory"
        path.mkdir()
        (path / "x").touch()
        with pytest.raises(OSError, match="directory"):
            write_atomically(path, b"one")
        assert [path.name for path in tmp_path.iterdir()] == ["directory"]
