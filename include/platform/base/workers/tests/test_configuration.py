from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from tests.worker_process import environment
from workers.configuration import ConfigurationError, read_configuration

COMPLETE = {
    "PORT": "8080",
    "DEPLOY_ENV": "test",
    "REDIS_URL": "rediss://:hidden@cache.internal:6380/0",
    "EXPOSURE_LIMIT": "250000.5",
}


def test_a_complete_environment_is_read() -> None:
    configuration = read_configuration(COMPLETE)
    assert (configuration.host, configuration.port) == ("127.0.0.1", 8080)
    assert configuration.exposure_limit == Decimal("250000.5")
    assert configuration.sentry_dsn is None
    assert "hidden" not in repr(configuration)


@pytest.mark.parametrize("name", sorted(COMPLETE))
@pytest.mark.parametrize("is_missing", [True, False])
def test_a_missing_or_empty_variable_is_named(name: str, is_missing: bool) -> None:
    given = {key: value for key, value in COMPLETE.items() if key != name}
    with pytest.raises(ConfigurationError, match=f"^{name} is not set$"):
        read_configuration(given if is_missing else {**given, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("DEPLOY_ENV", "prod"),
        ("REDIS_URL", "http://:hidden@cache/0"),
        ("REDIS_URL", "redis://:hidden@cache:port/0"),
        ("REDIS_URL", "redis://:hidden@cache/zero"),
        ("REDIS_URL", "hidden"),
        ("EXPOSURE_LIMIT", "0"),
        ("EXPOSURE_LIMIT", "-5"),
        ("EXPOSURE_LIMIT", "NaN"),
        ("EXPOSURE_LIMIT", "1e9"),
        ("SENTRY_DSN", "hidden"),
    ],
)
def test_a_malformed_variable_is_named_and_its_value_is_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is no") as raised:
        read_configuration({**COMPLETE, name: value})
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PORT": "0"}, "workers: REDIS_URL is not set\n"),
        (
            {"PORT": "0", "REDIS_URL": "redis://:p@localhost/0", "SENTRY_DSN": "http://nobody"},
            "workers: SENTRY_DSN is no DSN\n",
        ),
    ],
)
def test_the_process_ends_with_78_and_one_line(variables: dict[str, str], line: str) -> None:
    command = [sys.executable, "-m", "workers"]
    ended = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stderr, ended.stdout) == (78, line, "")
