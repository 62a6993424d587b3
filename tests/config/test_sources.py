from pathlib import Path

import pytest

from config.settings import ALL_ADDRESSES, LogFormat, LogLevel, Settings, SettingsError
from config.sources import find_unknown, load_settings


def load(folder: Path, text: str = "", **environment: str) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "biebroam.toml").write_text(text)
    return load_settings(data=folder, environment=environment)


class TestPrecedence:
    def test_defaults_are_those_of_the_documentation(self, tmp_path: Path) -> None:
        """Without any source a node listens on the ports that RADIUS has, on all addresses."""
        settings = load_settings(data=tmp_path / "none", environment={})
        ports = (settings.auth_port, settings.acct_port, settings.radsec_port, settings.api_port)
        assert ports == (1812, 1813, 2083, 8080)
        assert settings.listen == ALL_ADDRESSES
        assert settings.api_listen == "127.0.0.1"
        assert settings.store_url.endswith("/none/biebroam.db")

    def test_file_is_over_the_defaults(self, tmp_path: Path) -> None:
        """What biebroam.toml in the data directory says holds."""
        settings = load(tmp_path, 'auth_port = 21812\nlisten = ["127.0.0.1", "::1"]\nlog_level = "debug"\n')
        assert settings.auth_port == 21812
        assert settings.listen == ("127.0.0.1", "::1")
        assert settings.log_level is LogLevel.DEBUG

    def test_environment_is_over_the_file(self, tmp_path: Path) -> None:
        """A variable wins over the file."""
        settings = load(tmp_path, "auth_port = 21812\nacct_port = 21813\n", BIEBROAM_AUTH_PORT="0")
        assert (settings.auth_port, settings.acct_port) == (0, 21813)

    def test_switch_is_on_until_it_is_turned_off(self, tmp_path: Path) -> None:
        """A role that another process starts has the same."""
        assert load(tmp_path).udp_segmentation
        settings = load(tmp_path, BIEBROAM_UDP_SEGMENTATION="false")
        assert not Settings.from_json(settings.to_json()).udp_segmentation

    def test_option_is_over_the_environment(self, tmp_path: Path) -> None:
        """--data and --workers win over everything."""
        settings = load_settings(
            data=tmp_path, workers=3, environment={"BIEBROAM_DATA": "/nowhere", "BIEBROAM_WORKERS": "7"}
        )
        assert settings.data == tmp_path
        assert settings.workers == 3

    def test_file_variable_gives_a_secret(self, tmp_path: Path) -> None:
        """A value may come from the file that …_FILE names, without the line's end."""
        secret = tmp_path / "url"
        secret.write_text("postgresql://u:p@h/d\n")
        settings = load(tmp_path, BIEBROAM_DATABASE_URL_FILE=str(secret))
        assert settings.store_url == "postgresql://u:p@h/d"

    def test_empty_variable_is_not_set(self, tmp_path: Path) -> None:
        """An empty variable, as container files leave them behind, changes nothing."""
        assert load(tmp_path, "auth_port = 5\n", BIEBROAM_AUTH_PORT="").auth_port == 5


class TestValues:
    @pytest.mark.parametrize("text", ["*", "all"])
    def test_all_addresses_have_a_word(self, tmp_path: Path, text: str) -> None:
        """One word listens everywhere, IPv4 and IPv6."""
        assert load(tmp_path, BIEBROAM_LISTEN=text).listen == ALL_ADDRESSES

    def test_addresses_are_separated_by_commas(self, tmp_path: Path) -> None:
        """The environment has a list as one text; an address that stands twice counts once."""
        assert load(tmp_path, BIEBROAM_LISTEN="127.0.0.1, ::1,127.0.0.1").listen == ("127.0.0.1", "::1")

    def test_folder_for_radius_tls_is_in_the_data_directory_or_elsewhere(self, tmp_path: Path) -> None:
        """A relative path begins there, wherever the service is started; a worker gets the same."""
        assert load(tmp_path).radsec_directory == tmp_path / "radsec"
        assert load(tmp_path, 'radsec_folder = "tls"\n').radsec_directory == tmp_path / "tls"
        settings = load(tmp_path, BIEBROAM_RADSEC_FOLDER="/etc/biebroam")
        assert settings.radsec_directory == Path("/etc/biebroam")
        for each in (settings, load(tmp_path)):
            assert Settings.from_json(each.to_json()) == each

    def test_words_may_be_in_capitals(self, tmp_path: Path) -> None:
        """INFO and info are the same."""
        assert load(tmp_path, BIEBROAM_LOG_LEVEL="ERROR", BIEBROAM_LOG_FORMAT="JSON").log_format is LogFormat.JSON


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("BIEBROAM_AUTH_PORT", "65536"),
            ("BIEBROAM_AUTH_PORT", "-1"),
            ("BIEBROAM_API_PORT", "http"),
            ("BIEBROAM_LISTEN", "localhost"),
            ("BIEBROAM_LISTEN", "127.0.0.1,,"),
            ("BIEBROAM_API_LISTEN", "0.0.0.0/0"),
            ("BIEBROAM_WORKERS", "0"),
            ("BIEBROAM_WORKERS", "1000"),
            ("BIEBROAM_LOG_LEVEL", "loud"),
            ("BIEBROAM_LOG_FORMAT", "xml"),
            ("BIEBROAM_DATABASE_URL", "biebroam.db"),
        ],
    )
    def test_bad_variable_is_named(self, tmp_path: Path, name: str, value: str) -> None:
        """A value that can not be is refused with the name of the variable."""
        with pytest.raises(SettingsError, match=name):
            load(tmp_path, **{name: value})

    def test_bad_value_in_the_file_is_named(self, tmp_path: Path) -> None:
        """In the file, the file and the setting are named."""
        with pytest.raises(SettingsError, match=r"biebroam\.toml: auth_port"):
            load(tmp_path, "auth_port = 'x'\n")

    def test_broken_file_names_the_line(self, tmp_path: Path) -> None:
        """What is no TOML is refused with its line."""
        with pytest.raises(SettingsError, match="line 2"):
            load(tmp_path, "auth_port = 1\nacct_port = = 2\n")

    def test_unknown_setting_in_the_file_is_refused(self, tmp_path: Path) -> None:
        """A slip in a name is not silent."""
        with pytest.raises(SettingsError, match="authport"):
            load(tmp_path, "authport = 1\n")

    def test_file_can_not_name_another_data_directory(self, tmp_path: Path) -> None:
        """The file is found by the data directory."""
        with pytest.raises(SettingsError, match="data"):
            load(tmp_path, "data = '/elsewhere'\n")

    def test_value_and_file_variable_together_are_refused(self, tmp_path: Path) -> None:
        """Nobody should have to guess which one holds."""
        with pytest.raises(SettingsError, match="both set"):
            load(tmp_path, BIEBROAM_DATABASE_URL="sqlite://", BIEBROAM_DATABASE_URL_FILE="/x")

    def test_missing_secret_file_is_named(self, tmp_path: Path) -> None:
        """A …_FILE that is not there is refused, not taken as empty."""
        with pytest.raises(SettingsError, match="BIEBROAM_DATABASE_URL_FILE"):
            load(tmp_path, BIEBROAM_DATABASE_URL_FILE=str(tmp_path / "none"))

    def test_message_does_not_repeat_a_secret(self, tmp_path: Path) -> None:
        """A database URL that can not be does not appear in the message: it may hold a password."""
        with pytest.raises(SettingsError) as caught:
            load(tmp_path, BIEBROAM_DATABASE_URL="hunter2")
        assert "hunter2" not in str(caught.value)


class TestSettings:
    def test_travels_to_a_worker_unchanged(self, tmp_path: Path) -> None:
        """What a worker reads is what its parent wrote."""
        settings = load(tmp_path, "listen = ['::1']\nlog_format = 'json'\nworkers = 4\n")
        assert Settings.from_json(settings.to_json()) == settings

    def test_repr_hides_the_database_url(self, tmp_path: Path) -> None:
        """A traceback with the settings in it shows no password."""
        assert "hunter2" not in repr(load(tmp_path, BIEBROAM_DATABASE_URL="postgresql://u:hunter2@h/d"))

    def test_unknown_variables_are_found(self) -> None:
        """A variable that looks like a setting and is none can be told to the operator."""
        environment = {"BIEBROAM_AUTHPORT": "1", "BIEBROAM_AUTH_PORT": "1", "BIEBROAM_TOKEN": "x", "HOME": "/"}
        assert find_unknown(environment) == ["BIEBROAM_AUTHPORT"]

    def test_example_file_is_accepted(self, tmp_path: Path) -> None:
        """Every line of the example is a setting; uncommented it gives what it says."""
        example = Path(__file__).parents[2] / "config" / "examples" / "biebroam.toml"
        lines = [
            line.removeprefix("# ")
            for line in example.read_text().splitlines()
            if line.startswith("# ") and " = " in line and line[2:].split(" ")[0].islower()
        ]
        settings = load(tmp_path, "\n".join(lines))
        assert settings.workers == 2
        assert len(lines) >= 9


class TestNameservers:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("192.0.2.53", (("192.0.2.53", 53),)),
            ("192.0.2.53:5353, 2001:db8::53", (("192.0.2.53", 5353), ("2001:db8::53", 53))),
            ("[2001:db8::53]:5353", (("2001:db8::53", 5353),)),
            ("", ()),
        ],
    )
    def test_addresses_with_and_without_ports(
        self, tmp_path: Path, text: str, expected: tuple[tuple[str, int], ...]
    ) -> None:
        """The port of the DNS is left out, and a worker gets them as the operator wrote them."""
        settings = load(tmp_path, BIEBROAM_NAMESERVERS=text)
        assert settings.nameserver_addresses == expected
        assert Settings.from_json(settings.to_json()) == settings

    @pytest.mark.parametrize("text", ["ns.example", "192.0.2.53:0", "192.0.2.53:x", "[2001:db8::53]:70000"])
    def test_others_are_refused(self, tmp_path: Path, text: str) -> None:
        """A name would have to be looked up first, by whom?"""
        with pytest.raises(SettingsError, match="BIEBROAM_NAMESERVERS"):
            load(tmp_path, BIEBROAM_NAMESERVERS=text)
