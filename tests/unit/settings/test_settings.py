"""Settings: what an environment means, and what is said about a wrong one."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from infra.operate.reads import native_server
from infra.settings.addresses import http_address, kafka_access, native_address
from infra.settings.environment import load_settings
from infra.settings.values import InvalidSettingError, NoStackError, Settings, UnknownSettingError, variable
from sinks.clickhouse import ClickHouseAccess


def test_defaults_need_no_environment() -> None:
    """Without any variable all has a value that works on one machine."""
    settings = load_settings({"HOME": "/home/lan"})
    assert settings.cache == Path("/home/lan/.cache/songlo")
    assert settings.home.is_absolute()
    assert (settings.partitions, settings.window_seconds, settings.brokers) == (6, 60, "")


def test_values_get_the_types_of_their_settings() -> None:
    """Numbers, paths and switches are parsed; other programs' variables are left alone."""
    settings = load_settings(
        {"SONGLO_PARTITIONS": "12", "SONGLO_HOME": "/srv/songlo", "SONGLO_DEBUG": "1", "PATH": "/bin"}
    )
    assert (settings.partitions, settings.home, settings.debug) == (12, Path("/srv/songlo"), True)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SONGLO_PARTITION", "SONGLO_PARTITIONS"),
        ("SONGLO_BROKER", "SONGLO_BROKERS"),
        ("SONGLO_FLUSHMS", "SONGLO_FLUSH_MS"),
    ],
)
def test_an_unknown_setting_suggests_the_nearest(name: str, nearest: str) -> None:
    """A misspelt variable is an error that names what was probably meant."""
    with pytest.raises(UnknownSettingError, match=f"{name} is no setting, did you mean {nearest}\\?"):
        load_settings({name: "1"})


def test_an_unknown_setting_like_no_other_suggests_nothing() -> None:
    """No suggestion is better than a wild one."""
    with pytest.raises(UnknownSettingError, match="SONGLO_XYZZY is no setting;"):
        load_settings({"SONGLO_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SONGLO_PARTITIONS", "six", "whole number"),
        ("SONGLO_PARTITIONS", "0", "1 to 4096"),
        ("SONGLO_WINDOW_SECONDS", "7", "divide 3600"),
        ("SONGLO_DEBUG", "maybe", "0 or 1"),
        ("SONGLO_BROKERS", "kafka", "host:port"),
        ("SONGLO_BROKERS", "a:1,b", "host:port"),
        ("SONGLO_CLICKHOUSE", "host:0", "host:port"),
        ("SONGLO_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("SONGLO_CLICKHOUSE_DATABASE", "a b", "letters, digits and _"),
        ("SONGLO_HOME", "", "directory"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, expected: str) -> None:
    """The message holds the variable and what is expected."""
    with pytest.raises(InvalidSettingError) as error:
        load_settings({name: value})
    assert name in str(error.value)
    assert expected in str(error.value)


def test_every_setting_is_documented() -> None:
    """Each field says what it means, in words."""
    for field in fields(Settings):
        assert len(Settings.__annotations__[field.name].__metadata__[0]) > 10


def test_the_password_is_not_shown() -> None:
    """A value that is printed or logged must not give the password away."""
    assert "geheim" not in repr(load_settings({"SONGLO_CLICKHOUSE_PASSWORD": "geheim"}))


def test_addresses_come_from_the_running_stack(tmp_path: Path) -> None:
    """What is not set is read from the state file of the local stack."""
    settings = Settings(home=tmp_path, brokers="kafka:1")
    settings.state_file.parent.mkdir()
    settings.state_file.write_text(
        json.dumps({"broker": {"address": "b:9"}, "clickhouse": {"native": "n:9", "http": "h:8"}})
    )
    assert (kafka_access(settings).addresses, native_address(settings)) == (("kafka:1",), "n:9")
    assert http_address(settings) == "h:8"
    assert kafka_access(replace(settings, brokers="")).addresses == ("b:9",)


def test_http_is_looked_for_beside_a_given_clickhouse(tmp_path: Path) -> None:
    """With another ClickHouse, the local one's HTTP would be the wrong server."""
    assert http_address(Settings(home=tmp_path, clickhouse="ch.example:9440")) == "ch.example:8123"


def test_clickhouse_is_reached_as_it_is_set() -> None:
    """User, password, database and patience, whoever connects."""
    settings = load_settings(
        {
            "SONGLO_CLICKHOUSE": "ch:9000",
            "SONGLO_CLICKHOUSE_USER": "u",
            "SONGLO_CLICKHOUSE_PASSWORD": "p",
            "SONGLO_CLICKHOUSE_DATABASE": "d",
            "SONGLO_CLICKHOUSE_SECONDS": "7",
        }
    )
    assert native_server(settings) == ClickHouseAccess("ch", 9000, "d", "u", "p", receive_s=7)


def test_without_a_stack_the_error_says_what_to_do(tmp_path: Path) -> None:
    """Nothing set and nothing running: start it, or set the variable."""
    with pytest.raises(NoStackError, match=f"songlo up.*{variable('brokers')}"):
        kafka_access(Settings(home=tmp_path))


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    """A state file that can't be read is an error of its own, not a missing stack."""
    settings = Settings(home=tmp_path)
    settings.state_file.parent.mkdir()
    settings.state_file.write_text("{")
    with pytest.raises(InvalidSettingError, match=r"stack\.json"):
        kafka_access(settings)
