"""Secrets of the local environments: made once, private, the same for Airflow and the command line."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from roundtrip.embedded.airflow import EmbeddedAirflow
from roundtrip.embedded.secrets import airflow_secrets, connections_file, local_secrets, make_secrets
from roundtrip.errors import SecretError
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.sign.keys import new_keys


def environments(*names: str) -> dict[str, Environment]:
    return {
        name: Environment(
            name=name,
            stage="staging",
            target=LocalTargetSettings(kind="local"),
            secrets_connection=f"{name}_secrets",
            signing_connection="signing",
        )
        for name in names
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_what_is_there_is_never_made_anew(home: Home) -> None:
    make_secrets(home, environments("a"), new_keys)
    before = local_secrets(home)("a_secrets"), local_secrets(home)("signing")
    make_secrets(home, environments("a", "b"), new_keys)
    assert (local_secrets(home)("a_secrets"), local_secrets(home)("signing")) == before
    assert local_secrets(home)("b_secrets") != before[0]


def test_only_the_owner_can_read_them(home: Home) -> None:
    make_secrets(home, environments("a"), new_keys)
    airflow_secrets(home)
    files = [connections_file(home), home.root / "secrets" / "airflow.json"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700


def test_a_connection_that_is_not_there_is_named(home: Home) -> None:
    with pytest.raises(SecretError, match="no such connection at missing"):
        local_secrets(home)("missing")


def test_airflows_configuration_is_private_and_its_programs_carry_no_key(home: Home) -> None:
    airflow = EmbeddedAirflow(home, Path(__file__).resolve().parents[2])
    (home.root / "airflow").mkdir(parents=True)
    airflow._configure(airflow._port())
    keys = airflow_secrets(home)
    file = home.root / "airflow" / "airflow.cfg"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys["fernet_key"] in file.read_text()
    program = airflow._program("scheduler").render(Path("/logs"))
    assert not any(key in program for key in keys.values())
