"""Configurations: named by what they hold, giving nothing away, kept for the way back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.errors import SecretError, TargetError
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Variable
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.filling import filled
from roundtrip.targets.ports import Ports, choose_ports, free_ports, is_free
from roundtrip.targets.ports import given as given_ports
from roundtrip.targets.servers import redis_configuration
from tests.targets.place import HERE, SECRETS, environment

PLACES = {"front_door": "http://127.0.0.1:20001", "redis_port": "20002"}


def configurations(folder: Path, places: dict[str, str] = PLACES, **secrets: str) -> dict[str, str]:
    plan = load_plan(HERE / "plan.yaml")
    of = Configurations(folder, plan, environment(), lambda _: {**SECRETS, **secrets})
    return of.digests("1.0.0", places)


def test_equal_values_have_equal_names_and_others_have_others(tmp_path: Path) -> None:
    first = configurations(tmp_path)
    assert configurations(tmp_path) == first
    rotated = configurations(tmp_path, GREETING="rotated")
    assert rotated["api"] != first["api"]
    assert configurations(tmp_path)["api"] == first["api"]


def test_a_name_gives_nothing_away_without_the_key(tmp_path: Path) -> None:
    assert configurations(tmp_path / "here")["api"] != configurations(tmp_path / "there")["api"]


def test_another_port_of_the_environment_is_the_same_configuration(tmp_path: Path) -> None:
    moved = {**PLACES, "front_door": "http://127.0.0.1:29999"}
    assert configurations(tmp_path, moved) == configurations(tmp_path)


def test_a_release_is_named_by_its_version_and_so_is_its_configuration(tmp_path: Path) -> None:
    where = environment().model_copy(update={"configuration": {"DOOR": "{front_door}/for/{release}"}})
    plan = load_plan(HERE / "plan.yaml")
    anything = {**plan.variables, "DOOR": Variable()}
    of = Configurations(tmp_path, plan.model_copy(update={"variables": anything}), where, lambda _: SECRETS)
    digests = {version: of.digests(version, PLACES)["api"] for version in ("1.0.0", "1.1.0")}
    doors = {version: of.variables(digest, PLACES)["DOOR"] for version, digest in digests.items()}
    assert doors == {v: f"{PLACES['front_door']}/for/{v}" for v in ("1.0.0", "1.1.0")}
    assert len(set(digests.values())) == 2


def test_only_the_owner_can_read_what_is_kept(tmp_path: Path) -> None:
    configurations(tmp_path / "kept")
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        ({"GREETING": "NOT OK"}, r"GREETING does not match \[a-z-\]\+"),
        ({"GREETING": ""}, r"GREETING does not match \[a-z-\]\+"),
        ({"REDIS_PASSWORD": "PASS WORD"}, "DOOR does not match"),
    ],
)
def test_a_malformed_value_is_named_not_shown(tmp_path: Path, secrets: dict[str, str], problem: str) -> None:
    with pytest.raises(SecretError, match=problem) as raised:
        configurations(tmp_path, **secrets)
    assert not any(value and value in str(raised.value) for value in secrets.values())
    assert not any(tmp_path.glob("*.json"))


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    of = Configurations(tmp_path, load_plan(HERE / "plan.yaml"), environment(), lambda _: {})
    with pytest.raises(SecretError, match="GREETING is missing"):
        of.digests("1.0.0", PLACES)


def test_a_name_that_the_target_does_not_know_is_an_error_and_not_text(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"DOOR names \{front_door\}, known: redis_port"):
        configurations(tmp_path, {"redis_port": "1"})


def test_an_optional_variable_may_be_missing(tmp_path: Path) -> None:
    plan = load_plan(HERE / "plan.yaml")
    optional = {**plan.variables, "GREETING": Variable(required=False)}
    of = Configurations(
        tmp_path,
        plan.model_copy(update={"variables": optional}),
        environment(),
        lambda _: {"REDIS_PASSWORD": "abc"},
    )
    kept = json.loads(of.file(of.digests("1.0.0", PLACES)["workers"]).read_text())
    assert kept == {}


def test_a_configuration_that_is_not_kept_is_an_error(tmp_path: Path) -> None:
    of = Configurations(tmp_path, load_plan(HERE / "plan.yaml"), environment(), lambda _: SECRETS)
    with pytest.raises(TargetError, match="no configuration sha256:123 is kept here"):
        of.file("sha256:123")


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(), min_size=1))
def test_a_value_with_braces_of_its_own_is_not_filled_again(values: dict[str, str]) -> None:
    names = list(values)
    assert filled("-".join(f"{{{name}}}" for name in names), values) == "-".join(values.values())


def test_a_process_gets_its_variables_and_none_of_the_starters(tmp_path: Path) -> None:
    values = {
        "REDIS_URL": {"text": "redis://:{password}@{port}", "secrets": {"password": "{port}'\" $x"}},
        "PLAIN": {"text": "a{b c}", "secrets": {}},
    }
    (tmp_path / "values.json").write_text(json.dumps(values))
    (tmp_path / "places.json").write_text(json.dumps({"port": "20000"}))
    launch = [sys.executable, "-m", "roundtrip.targets.local.launch"]
    files = [str(tmp_path / "values.json"), str(tmp_path / "places.json")]
    starter = {"PATH": os.environ["PATH"], "PORT": "1", "STARTERS_SECRET": "x"}
    include = str(HERE.parents[1] / "include")
    out = subprocess.run(
        [*launch, *files, sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        env={**starter, "PYTHONPATH": include, "SERVICE_PYTHONPATH": "/site"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    got = json.loads(out)
    assert got["REDIS_URL"] == "redis://:{port}'\" $x@20000"
    assert got["PLAIN"] == "a{b c}"
    assert got["PYTHONPATH"] == "/site"
    assert got["PORT"] == "1"
    assert "STARTERS_SECRET" not in got


def test_a_port_is_kept_until_another_program_has_it(tmp_path: Path) -> None:
    file = tmp_path / "environments" / "one" / "ports.json"
    file.parent.mkdir(parents=True)
    first = choose_ports(file, is_running=False)
    assert choose_ports(file, is_running=False) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.redis))
        other.listen()
        assert choose_ports(file, is_running=True) == first
        second = choose_ports(file, is_running=False)
    assert second.redis != first.redis
    assert (second.front_door, second.internal, second.proxy) == (
        first.front_door,
        first.internal,
        first.proxy,
    )


def test_a_port_of_another_environment_is_not_given_though_nobody_listens(tmp_path: Path) -> None:
    file = tmp_path / "environments" / "one" / "ports.json"
    (file.parent / "instances").mkdir(parents=True)
    ports = choose_ports(file, is_running=False)
    (file.parent / "instances" / "api-1.0.0-1.json").write_text(json.dumps({"port": 25_000}))
    taken = given_ports(tmp_path / "environments")
    assert taken == {*vars(ports).values(), 25_000}
    assert not set(free_ports(50, avoid=taken)) & taken
    assert all(is_free(port) for port in vars(ports).values())


def test_a_password_that_was_accepted_before_a_rotation_is_accepted_after_it(tmp_path: Path) -> None:
    ports = Ports(1, 2, 3, 4, 5)
    before = redis_configuration("127.0.0.1", ports.redis, str(tmp_path), "old", "")
    after = redis_configuration("127.0.0.1", ports.redis, str(tmp_path), "new", before)
    assert redis_configuration("127.0.0.1", ports.redis, str(tmp_path), "old", after) == after
    assert after.count("#") == 2
    assert "old" not in after
