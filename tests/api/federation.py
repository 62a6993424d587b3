"""A registry of two libraries, East and West, for tests of the API; everything in it is real."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.app import create_app
from api.openapi import build_document
from api.ports import Ports
from federation.model import Actor, Role
from federation.services import authorities, libraries, realms, settings, tokens
from federation.services.registry import Registry
from federation.store.session import Store
from federation.trust.keystore import NodeKey, Sealer

DOCUMENT = build_document()  # once for all who make tests of it, since every process of the suite collects them
PATRON_PASSWORD = "Strandlezer-1-van-Oost"
TOKENS = {
    "operator": (Role.OPERATOR, None),
    "east": (Role.LIBRARY, "east"),
    "west": (Role.LIBRARY, "west"),
    "reader": (Role.READER, None),
    "east-reader": (Role.READER, "east"),
}
INIT = Actor("test", Role.OPERATOR)


@dataclass
class LibraryFederation:
    """An application, its registry, and who may use it."""

    registry: Registry
    tokens: Mapping[str, str]  # name in TOKENS → bbr_…
    announced: list[int]
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.use(Ports())

    def use(self, ports: Ports) -> None:
        """The application with other ports."""
        self.app = create_app(self.registry, ports)

    @classmethod
    def copy_of(cls, pristine: Path, folder: Path) -> "LibraryFederation":
        """A federation of one's own, from what `build_federation` left in a folder."""
        shutil.copy(pristine / "biebroam.db", folder / "biebroam.db")
        kept = json.loads((pristine / "kept.json").read_text())
        announced: list[int] = []
        registry = Registry(
            Store(f"sqlite:///{folder}/biebroam.db", makes_file=True),
            Sealer([NodeKey(bytes.fromhex(kept["key"]))]),
            announced.append,
        )
        return cls(registry, kept["tokens"], announced)

    def client(self, token: str | None, *, address: str = "192.0.2.99") -> TestClient:
        """A client at *address* with the token of that name, or with none."""
        headers = {"Authorization": f"Bearer {self.tokens[token]}"} if token else {}
        return TestClient(self.app, headers=headers, client=(address, 50000))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to see whether anything changed; but for when a token was last used."""
        with self.registry.store.engine.connect() as connection:
            names = [
                row[0]
                for row in connection.exec_driver_sql(
                    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
                )
            ]
            found: dict[str, list[tuple[Any, ...]]] = {}
            for name in names:
                cursor = connection.exec_driver_sql(f'SELECT * FROM "{name}"')
                kept = [at for at, column in enumerate(cursor.keys()) if column != "last_used_at"]
                found[name] = sorted((tuple(row[at] for at in kept) for row in cursor), key=repr)
            return found

    def close(self) -> None:
        """The database is closed."""
        self.registry.store.close()


def build_federation(folder: Path) -> LibraryFederation:
    """A new database in *folder*, with what all tests need; the key and the tokens stand beside it."""
    key = NodeKey.generate()
    store = Store(f"sqlite:///{folder}/biebroam.db", makes_file=True)
    store.migrate()
    registry = Registry(store, Sealer([key]), lambda _: None)
    made: dict[str, str] = {}
    with registry.change(INIT, "init") as change:
        settings.create_settings(change, name="test", country="NL", eap_server_name="login.test.example")
        authorities.create_authorities(change)
        for name in ("east", "west"):
            libraries.add_library(change, INIT, library_id=name, name=f"Bibliotheek {name.title()}")
            realms.add_realm(change, INIT, name, name=f"{name}.library.example")
        for name, (role, library) in TOKENS.items():
            made[name] = tokens.create_token(change, INIT, name=name, role=role, library=library).secret or ""
    (folder / "kept.json").write_text(json.dumps({"key": key.octets.hex(), "tokens": made}))
    return LibraryFederation(registry, made, [])
