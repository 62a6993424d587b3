"""A node is made again from one file, or nothing is touched."""

import io
import json
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest

from federation.errors import Conflict, FederationError, InvalidInput, NotFound, TrustError
from federation.model import Actor, Role
from federation.services.backup import MANIFEST, back_up, restore
from federation.services.initialisation import initialise
from federation.statistics.reports import ReportFile
from federation.store.announcements import bind_announcements
from federation.store.session import Store

OPERATOR = Actor("test", Role.OPERATOR, source_address="local")


def make_node(root: Path) -> None:
    root.mkdir()
    store = Store(f"sqlite:///{root / 'biebroam.db'}", makes_file=True)
    try:
        initialise(
            store, root / "node.key", OPERATOR, name="test", country="NL", eap_server_name="login.biebroam.example"
        )
    finally:
        store.close()


def make_backup(file: Path, root: Path, *, replaces: bool = False) -> None:
    back_up(file, root, version="1", created="2026-11-24T00:00:00+00:00", replaces=replaces)


def read_members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {entry.name: content.read() for entry in archive if (content := archive.extractfile(entry)) is not None}


def write_members(file: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(file, "w") as archive:
        for name, octets in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(octets)
            archive.addfile(entry, io.BytesIO(octets))


@pytest.fixture
def node(tmp_path: Path) -> Path:
    root = tmp_path / "node"
    make_node(root)
    return root


@pytest.fixture
def archive(tmp_path: Path, node: Path) -> Path:
    file = tmp_path / "node.backup"
    make_backup(file, node)
    return file


class TestBackup:
    def test_is_for_its_owner_and_leaves_nothing_beside_it(self, archive: Path) -> None:
        """It holds the node key: nobody else may read it, and no copy of the database stays."""
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        assert sorted(path.name for path in archive.parent.iterdir()) == ["node", "node.backup"]

    def test_does_not_replace_a_file_unasked(self, archive: Path, node: Path) -> None:
        """An earlier backup is lost only by order."""
        before = archive.read_bytes()
        with pytest.raises(Conflict, match="--force"):
            make_backup(archive, node)
        assert archive.read_bytes() == before
        make_backup(archive, node, replaces=True)
        assert set(read_members(archive)) == {MANIFEST, "biebroam.db", "node.key"}

    def test_directory_without_a_database_is_refused(self, tmp_path: Path) -> None:
        """What is no data directory is not kept as one."""
        with pytest.raises(NotFound, match="no data directory"):
            make_backup(tmp_path / "file", tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestRestore:
    def test_makes_the_same_node(self, archive: Path, node: Path, tmp_path: Path) -> None:
        """Database and key are those of the backup, for their owner only."""
        (node / "biebroam.toml").write_text('log_level = "debug"\n')
        make_backup(archive, node, replaces=True)
        manifest, earlier = restore(archive, tmp_path / "other", mark="now")
        assert earlier is None
        assert manifest.revision >= 1
        for name in ("node.key", "biebroam.toml"):
            assert (tmp_path / "other" / name).read_bytes() == (node / name).read_bytes()
        assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "other").rglob("*"))
        assert not stat.S_IMODE((tmp_path / "other").stat().st_mode) & 0o077

    def test_directory_that_is_served_is_left_alone(self, archive: Path, tmp_path: Path) -> None:
        """However deep it lies: a Unix address of its own would be too long there."""
        root = tmp_path / ("deep" * 20) / "node"
        run = root / "run"
        run.mkdir(parents=True)
        with bind_announcements(run, "proxy-0"), pytest.raises(Conflict, match="stop it first"):
            restore(archive, root, mark="now", replaces=True)
        restore(archive, root, mark="now", replaces=True)  # the file of the socket is still there, and nobody behind it

    def test_directory_whose_worker_reports_is_left_alone(self, archive: Path, tmp_path: Path) -> None:
        """A role that does not listen for announcements is seen by what it says about itself."""
        root = tmp_path / "other"
        (root / "run").mkdir(parents=True)
        ReportFile(root / "run", "api", 0).write(1, {})
        with pytest.raises(Conflict, match="stop it first"):
            restore(archive, root, mark="now", replaces=True)

    def test_moves_what_was_there_aside_when_told(self, archive: Path, node: Path) -> None:
        """Nothing is deleted; without the order nothing is done."""
        (node / "mine").write_text("kept")
        with pytest.raises(Conflict, match="not empty"):
            restore(archive, node, mark="now")
        _, earlier = restore(archive, node, mark="now", replaces=True)
        assert earlier is not None
        assert (earlier / "mine").read_text() == "kept"
        assert not (node / "mine").exists()

    @pytest.mark.parametrize("kept", [0, 100, 1000, 40_000])
    def test_file_that_is_cut_off_changes_nothing(self, archive: Path, node: Path, kept: int) -> None:
        """Every damage is seen before the directory is touched."""
        archive.write_bytes(archive.read_bytes()[:kept])
        before = sorted(node.parent.iterdir())
        with pytest.raises(InvalidInput):
            restore(archive, node, mark="now", replaces=True)
        assert sorted(node.parent.iterdir()) == before

    def test_changed_member_is_named(self, archive: Path, tmp_path: Path) -> None:
        """A digest that is another says which file it is."""
        members = read_members(archive)
        members["node.key"] = bytes((members["node.key"][0] ^ 1,)) + members["node.key"][1:]
        write_members(archive, members)
        with pytest.raises(InvalidInput, match=r"node\.key is damaged"):
            restore(archive, tmp_path / "other", mark="now")
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "run/x", "node.key"])
    def test_member_that_does_not_belong_is_refused(self, archive: Path, tmp_path: Path, name: str) -> None:
        """No file is written that the manifest does not name, and none twice."""
        members = read_members(archive)
        with tarfile.open(archive, "w") as changed:
            for each, octets in [*members.items(), (name, b"x")]:
                entry = tarfile.TarInfo(each)
                entry.size = len(octets)
                changed.addfile(entry, io.BytesIO(octets))
        with pytest.raises(InvalidInput, match="not what the manifest says"):
            restore(archive, tmp_path / "inside" / "other", mark="now")
        assert not list(tmp_path.rglob("escaped"))

    def test_link_is_refused(self, archive: Path, tmp_path: Path) -> None:
        """A link in the place of a file could lead anywhere."""
        members = read_members(archive)
        with tarfile.open(archive, "w") as changed:
            for each, octets in members.items():
                entry = tarfile.TarInfo(each)
                if each == "node.key":
                    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                else:
                    entry.size = len(octets)
                changed.addfile(entry, io.BytesIO(octets))
        with pytest.raises(InvalidInput):
            restore(archive, tmp_path / "other", mark="now")

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"format": 2}, Conflict),
            ({"members": {}}, InvalidInput),
            ({"members": {"x": {"size": 1, "sha256": ""}}}, InvalidInput),
            ({"members": {"node.key": 1}}, InvalidInput),
            ({"more": 1}, InvalidInput),
        ],
    )
    def test_manifest_that_can_not_be_is_refused(
        self, archive: Path, tmp_path: Path, change: dict[str, object], error: type[FederationError]
    ) -> None:
        """Nothing is guessed."""
        members = read_members(archive)
        members[MANIFEST] = json.dumps({**json.loads(members[MANIFEST]), **change}).encode()
        write_members(archive, members)
        with pytest.raises(error):
            restore(archive, tmp_path / "other", mark="now")
        assert not (tmp_path / "other").exists()

    def test_database_of_a_newer_version_is_refused(self, node: Path, tmp_path: Path) -> None:
        """An older Biebroam does not touch what it does not know."""
        database = sqlite3.connect(node / "biebroam.db")
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
        database.close()
        make_backup(tmp_path / "newer", node)
        with pytest.raises(Conflict, match="newer version"):
            restore(tmp_path / "newer", tmp_path / "other", mark="now")
        assert not (tmp_path / "other").exists()

    def test_key_of_another_node_is_refused(self, node: Path, tmp_path: Path) -> None:
        """A database whose secrets can not be opened would be a node that fails later."""
        make_node(tmp_path / "stranger")
        (node / "node.key").write_bytes((tmp_path / "stranger" / "node.key").read_bytes())
        make_backup(tmp_path / "mixed", node)
        with pytest.raises(TrustError):
            restore(tmp_path / "mixed", tmp_path / "other", mark="now")
        assert not (tmp_path / "other").exists()
