import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from federation.errors import Conflict, InvalidInput
from federation.model import Actor, Role
from federation.services import tokens
from federation.services.initialisation import initialise
from federation.services.registry import Registry
from federation.services.settings import show_settings
from federation.store.session import Store
from federation.trust.keystore import load_sealer

ACTOR = Actor("somebody (local)", Role.OPERATOR)
FEDERATION = {"name": "test", "country": "nl", "eap_server_name": "login.test.example"}


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/biebroam.db", makes_file=True)
    yield opened
    opened.close()


def registry_of(store: Store, key: Path) -> Registry:
    return Registry(store, load_sealer(key), lambda _revision: None)


class TestInitialise:
    def test_everything_is_there(self, store: Store, tmp_path: Path) -> None:
        """Schema, settings, key file of mode 0600, and a token that opens the registry as operator."""
        key = tmp_path / "node.key"
        token = initialise(store, key, ACTOR, **FEDERATION)
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        registry = registry_of(store, key)
        actor = tokens.authenticate(registry, token)
        assert actor is not None
        assert actor.role is Role.OPERATOR
        with registry.read() as session:
            assert show_settings(session).country == "NL"

    def test_second_time_is_refused_and_changes_nothing(self, store: Store, tmp_path: Path) -> None:
        """A directory that is complete is left as it is."""
        key = tmp_path / "node.key"
        initialise(store, key, ACTOR, **FEDERATION)
        before = key.read_bytes()
        with pytest.raises(Conflict, match="already"):
            initialise(store, key, ACTOR, **FEDERATION)
        assert key.read_bytes() == before

    @pytest.mark.parametrize("place", ["create_settings", "create_authorities", "create_token"])
    def test_interrupted_run_is_taken_up(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """Wherever a run dies, the next one completes the directory."""
        key = tmp_path / "node.key"

        def die(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(f"federation.services.initialisation.{place}", die)
            with pytest.raises(KeyboardInterrupt):
                initialise(store, key, ACTOR, **FEDERATION)
        assert not key.exists()
        token = initialise(store, key, ACTOR, **FEDERATION)
        assert tokens.authenticate(registry_of(store, key), token) is not None

    def test_death_after_the_commit_is_taken_up_with_the_same_key(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was sealed before the death opens afterwards."""
        key = tmp_path / "node.key"

        def die(self: Path, target: Path) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", die)
            with pytest.raises(KeyboardInterrupt):
                initialise(store, key, ACTOR, **FEDERATION)
        token = initialise(store, key, ACTOR, **FEDERATION)
        assert tokens.authenticate(registry_of(store, key), token) is not None

    def test_database_of_another_node_is_refused(self, store: Store, tmp_path: Path) -> None:
        """A database that holds a federation needs the key that belongs to it; a new one would open nothing."""
        key = tmp_path / "node.key"
        initialise(store, key, ACTOR, **FEDERATION)
        key.rename(tmp_path / "elsewhere")
        with pytest.raises(Conflict, match="node key"):
            initialise(store, key, ACTOR, **FEDERATION)
        assert not key.exists()

    def test_bad_value_is_named(self, store: Store, tmp_path: Path) -> None:
        """A country that is none is refused, and the next run with a right one succeeds."""
        key = tmp_path / "node.key"
        with pytest.raises(InvalidInput, match="country"):
            initialise(store, key, ACTOR, **(FEDERATION | {"country": "Holland"}))
        assert initialise(store, key, ACTOR, **FEDERATION)
