"""One file that a node can be made from again: the database, the node key, the settings; and the way back.

The file is a tar without compression: a manifest first, then the members that it names with size and SHA-256. It holds
the node key and therefore every secret of the federation. A restore is made beside the data directory and takes its
place by renaming, so that whatever goes wrong before leaves everything as it was.
"""

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import URL, select

from federation.errors import Conflict, InvalidInput, NotFound
from federation.services.feed import compile_for_proxy
from federation.statistics.reports import read_reports
from federation.store.announcements import is_anybody_listening
from federation.store.compile import read_revision
from federation.store.session import Store
from federation.store.tables.trust import AuthorityRow
from federation.trust.keystore import load_sealer

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "biebroam.db"
NODE_KEY: Final = "node.key"
SETTINGS: Final = "biebroam.toml"
MEMBERS: Final = (DATABASE, NODE_KEY, SETTINGS)
_REQUIRED: Final = frozenset((DATABASE, NODE_KEY))
_MAX_MANIFEST_OCTETS: Final = 1 << 16
_COPY_OCTETS: Final = 1 << 20
_HOSTED: Final = (("127.0.0.1", 18120),)  # any will do: the snapshot is compiled to see whether it can be
_SECRET_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    format: int
    version: str
    """Of the Biebroam that made it."""
    revision: int
    """Of the registry."""
    created: str
    """When, in UTC, as RFC 3339 writes it."""
    members: Mapping[str, Mapping[str, Any]]  # Any: a size in octets and a digest in hexadecimal
    """For each file its `size` and `sha256`."""


def back_up(file: Path, root: Path, *, version: str, created: str, replaces: bool = False) -> Manifest:
    """The file holds the data directory `root` as it is now; the service may run meanwhile.

    Raises:
        Conflict: the file exists and `replaces` is False.
        NotFound: there is no SQLite database or no node key in the directory.
        OSError: something can not be read or written; the file is as it was.
    """
    if file.exists() and not replaces:
        raise Conflict(f"{file} exists: name another file, or say --force to replace it")
    for name in sorted(_REQUIRED):
        if not (root / name).is_file():
            raise NotFound(f"{root} has no {name}: it is no data directory, or its database is not SQLite's")
    mark = secrets.token_hex(8)
    copy, partial = (file.with_name(f".{file.name}.{mark}.{end}") for end in ("db", "tar"))
    try:
        _copy_database(root / DATABASE, copy)
        store = _open_store(copy)
        try:
            with store.read() as session:
                revision = read_revision(session)
        finally:
            store.close()
        sources = {DATABASE: copy, **{name: root / name for name in (NODE_KEY, SETTINGS) if (root / name).is_file()}}
        members = {name: _describe(path) for name, path in sources.items()}
        manifest = Manifest(FORMAT, version, revision, created, members)
        _write_archive(partial, manifest, sources)
        partial.replace(file)
    finally:
        for path in (partial, copy, *(copy.with_name(copy.name + end) for end in ("-wal", "-shm"))):
            path.unlink(missing_ok=True)
    return manifest


def restore(file: Path, root: Path, *, mark: str, replaces: bool = False) -> tuple[Manifest, Path | None]:
    """The data directory `root` is as the backup says; returns the manifest, and where the earlier directory is now.

    Everything is verified before the directory is touched: sizes and digests, the database's own integrity, its
    schema (an older one is brought up to date), and that the node key opens what is sealed. `mark` goes into the
    name of the earlier directory.

    Raises:
        InvalidInput: the file is no backup, or is damaged.
        Conflict: the directory is not empty and `replaces` is False, a service runs on it, or a newer Biebroam made
            the backup.
        TrustError: the node key does not open what the database holds.
        OSError: something can not be read or written.
    """
    root = root.resolve()
    if is_served(root):
        raise Conflict(f"a service runs on {root}: stop it first")
    is_occupied = root.exists() and (not root.is_dir() or any(root.iterdir()))
    if is_occupied and not replaces:
        raise Conflict(f"{root} is not empty: name another directory, or say --force to move it aside")
    root.parent.mkdir(parents=True, exist_ok=True)
    staging = root.with_name(f".{root.name}.restoring-{secrets.token_hex(8)}")
    staging.mkdir(mode=0o700)
    try:
        manifest = _extract(file, staging)
        _verify(staging)
        return manifest, _take_place(staging, root, mark, is_occupied=is_occupied)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def is_served(root: Path) -> bool:
    """Whether processes of a service work on the data directory: they listen for announcements, or report."""
    run = root / "run"
    now = datetime.now(UTC)
    return is_anybody_listening(run) or any(report.is_fresh(now) for report in read_reports(run))


def _open_store(path: Path) -> Store:
    return Store(URL.create("sqlite", database=str(path)).render_as_string())


def _copy_database(source: Path, target: Path) -> None:
    """One state of the database, whoever writes meanwhile."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE))
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
    except sqlite3.Error as error:
        raise InvalidInput(f"the database {source} can not be read: {error}", field="database") from error


def _describe(path: Path) -> dict[str, Any]:  # Any: as in Manifest
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _write_archive(path: Path, manifest: Manifest, sources: Mapping[str, Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _SECRET_MODE)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            text = json.dumps(asdict(manifest), indent=2).encode()
            archive.addfile(_entry(MANIFEST, len(text)), BytesIO(text))
            for name, source in sources.items():
                with source.open("rb") as content:
                    archive.addfile(_entry(name, manifest.members[name]["size"]), content)
        file.flush()
        os.fsync(file.fileno())


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, _SECRET_MODE
    return entry


def _extract(file: Path, staging: Path) -> Manifest:
    """Write the members into the staging directory; names, kinds, sizes and digests are those of the manifest."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _read_manifest(archive)
            found: set[str] = set()
            while (entry := archive.next()) is not None:
                name = entry.name
                expected = manifest.members.get(name)
                if expected is None or name in found or not entry.isreg() or entry.size != expected["size"]:
                    raise InvalidInput(f"{file}: {name!r} is not what the manifest says", field=name)
                content = archive.extractfile(entry)
                assert content is not None  # it is a regular file
                if _write_member(content, staging / name) != expected["sha256"]:
                    raise InvalidInput(f"{file}: {name} is damaged: its SHA-256 is another", field=name)
                found.add(name)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidInput(f"{file} is no backup of Biebroam's, or is cut off: {error}", field="file") from error
    missing = manifest.members.keys() - found
    if missing:
        raise InvalidInput(f"{file} is cut off: {', '.join(sorted(missing))} is missing", field="file")
    return manifest


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    entry = archive.next()
    if entry is None or entry.name != MANIFEST or not entry.isreg() or entry.size > _MAX_MANIFEST_OCTETS:
        raise InvalidInput("the file is no backup of Biebroam's: it does not begin with a manifest", field=MANIFEST)
    content = archive.extractfile(entry)
    assert content is not None  # it is a regular file
    try:
        manifest = Manifest(**json.loads(content.read()))
        names = set(manifest.members)
        are_described = all(
            isinstance(each["size"], int) and isinstance(each["sha256"], str) for each in manifest.members.values()
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("the manifest of the backup can not be read", field=MANIFEST) from error
    if manifest.format != FORMAT:
        raise Conflict(f"the backup has format {manifest.format}, and this version reads {FORMAT}")
    if not are_described or not _REQUIRED <= names <= set(MEMBERS):
        raise InvalidInput("the manifest of the backup does not name what belongs in one", field=MANIFEST)
    return manifest


def _write_member(content: IO[bytes], path: Path) -> str:
    """Write one file for its owner only; returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _SECRET_MODE)
    with os.fdopen(descriptor, "wb") as file:
        while octets := content.read(_COPY_OCTETS):
            digest.update(octets)
            file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _verify(staging: Path) -> None:
    """The database is sound and of this version's schema, and the node key opens what is sealed in it."""
    try:
        with closing(sqlite3.connect(staging / DATABASE)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise InvalidInput(f"the database in the backup can not be read: {error}", field=DATABASE) from error
    if verdict != "ok":
        raise InvalidInput(f"the database in the backup is damaged: {verdict}", field=DATABASE)
    sealer = load_sealer(staging / NODE_KEY)
    store = _open_store(staging / DATABASE)
    try:
        store.migrate()
        with store.read() as session:
            compile_for_proxy(session, sealer, _HOSTED)
            for authority in session.scalars(select(AuthorityRow).where(AuthorityRow.sealed_key.is_not(None))):
                assert authority.sealed_key is not None  # the query says so
                sealer.open(authority.sealed_key, authority.key_context)
    finally:
        store.close()


def _take_place(staging: Path, root: Path, mark: str, *, is_occupied: bool) -> Path | None:
    """Rename the staging directory to the data directory; returns where the earlier one is now."""
    if not is_occupied:
        if root.exists():
            root.rmdir()
        staging.rename(root)
        return None
    earlier = root.with_name(f"{root.name}.before-restore-{mark}")
    if earlier.exists():
        raise Conflict(f"{earlier} exists: move it away first")
    root.rename(earlier)
    try:
        staging.rename(root)
    except OSError:
        earlier.rename(root)
        raise
    return earlier
