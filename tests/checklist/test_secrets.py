"""Variables and secrets: what is missing, malformed or committed is named, its value never."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from roundtrip.checklist import items
from roundtrip.checklist.secret_scan import Content, scan
from roundtrip.forge.git import Git
from tests.checklist.conftest import STAGES, World, environment

PLANTED = "9fQ2xLr7TzW4bN8v"
RANDOM = "kT9x2LmQ7vRb4NwZp8HsJd3FgYc6XaVe1UoK"
GITHUB_TOKEN = "ghp_" + "R7kT2mQ9xW4vB8nL1pZ6sD3fG5hJ0aYcUeIo"


def secrets(world: World) -> list[str]:
    world.lay()
    items.release_branch(world.release)
    items.secrets(world.release)
    return world.stops("secrets")


def test_what_is_complete_and_clean_has_no_finding(world: World) -> None:
    assert secrets(world) == []
    facts = world.item("secrets")["facts"]
    assert facts["variables"] == {f"tiny_{stage}": ["DEPLOY_ENV", "REDIS_URL"] for stage in STAGES}
    assert facts["contents_scanned"] > 10


def test_missing_malformed_and_misplaced_variables_are_named_without_their_value(world: World) -> None:
    world.secrets["tiny_staging"] = {"REDIS_URL": f"http://{PLANTED}"}
    world.secrets["tiny_production"] = {}
    configuration = {"DEPLOY_ENV": "prod", "REDIS_URL": f"redis://:{PLANTED}@host", "COLOUR": "red"}
    in_production(world, configuration)
    assert secrets(world) == [
        "environment tiny_production, connection tiny_production: "
        "DEPLOY_ENV is malformed: it does not match staging|production",
        "environment tiny_production: REDIS_URL is a secret and stands in the environment file",
        "environment tiny_staging, connection tiny_staging: "
        "REDIS_URL is malformed: it does not match redis://:[^@]+@.+",
    ]
    item = world.item("secrets")
    assert PLANTED not in json.dumps(item)
    assert "COLOUR is set and the plan knows no such variable" in [f["what"] for f in item["findings"]]


def test_a_secret_may_be_named_in_the_environment_file_as_a_placeholder(world: World) -> None:
    in_production(
        world,
        {"DEPLOY_ENV": "production", "REDIS_URL": "redis://:{redis_password}@127.0.0.1:{redis_port}/0"},
    )
    world.secrets["tiny_production"] = {"REDIS_PASSWORD": PLANTED}
    assert secrets(world) == []
    world.secrets["tiny_production"] = {"REDIS_URL": "redis://:unused-here@host"}
    [stop] = [stop for stop in secrets(world) if "tiny_production" in stop and "needs" in stop]
    assert stop.endswith("REDIS_URL needs REDIS_PASSWORD, which is missing")


def test_the_host_of_redis_is_filled_in_where_services_have_a_network_of_their_own(world: World) -> None:
    world.secrets["tiny_production"] = {"REDIS_PASSWORD": PLANTED}
    configuration = {"DEPLOY_ENV": "production", "REDIS_URL": "redis://:{redis_password}@{redis_host}:6379/0"}
    in_production(world, configuration)
    [stop] = [stop for stop in secrets(world) if "tiny_production" in stop]
    assert stop.endswith("REDIS_URL needs REDIS_HOST, which is missing")
    in_production(world, configuration, target={"kind": "compose", "registry": "127.0.0.1:1"})
    assert secrets(world) == []


def in_production(world: World, configuration: dict[str, str], **more: Any) -> None:
    places = world.release.environments | {
        "production": environment("production", configuration=configuration, **more)
    }
    world.release = dataclasses.replace(world.release, environments=places)


def test_a_missing_connection_is_a_finding(world: World) -> None:
    del world.secrets["tiny_staging"]
    assert "tiny_staging: no such connection" in secrets(world)


def test_a_secret_that_was_committed_and_deleted_again_is_found(world: World) -> None:
    world.lay()
    git = Git(world.release.repository)
    blob = git.text("hash-object", "-w", "--stdin", stdin=f"token = '{GITHUB_TOKEN}'\n".encode())
    _commit(git, "upgrade/1.1.0", f"100644 blob {blob}\tforgotten.py\n", "Add a file")
    _commit(git, "upgrade/1.1.0", "", "Remove it again")
    items.release_branch(world.release)
    items.secrets(world.release)
    stops = world.stops("secrets")
    assert f"forgotten.py ({blob[:12]}):1: looks like a secret in version control: GitHub Token" in stops
    assert GITHUB_TOKEN not in json.dumps(world.item("secrets"))


def test_an_environments_own_secret_is_found_wherever_it_is(world: World) -> None:
    value = world.secrets["tiny_production"]["REDIS_URL"]
    world.write("web/tests/data.test.js", f"// first line\nconst url = '{value}';\n")
    world.write(
        "web/package-lock.json", (world.source / "base/web/package-lock.json").read_text() + f"\n {value}"
    )
    stops = secrets(world)
    found = [stop for stop in stops if "the value of REDIS_URL of tiny_production" in stop]
    assert len(found) == 2
    assert any(stop.startswith("web/tests/data.test.js (") and "):2: " in stop for stop in found)


def test_a_secret_in_a_commit_message_is_found(world: World) -> None:
    world.lay()
    git = Git(world.release.repository)
    _commit(git, "upgrade/1.1.0", None, f"Deploy with {GITHUB_TOKEN}")
    items.release_branch(world.release)
    items.secrets(world.release)
    assert any(
        stop.startswith("message of commit ") and "GitHub Token" in stop for stop in world.stops("secrets")
    )


def _commit(git: Git, branch: str, extra: str | None, message: str) -> None:
    """A commit on `branch`: its tree with the line `extra`, without what an earlier one added, or as it is."""
    head = git.text("rev-parse", branch)
    lines = [line for line in git.text("ls-tree", head).splitlines() if not line.endswith("forgotten.py")]
    listing = "".join(f"{line}\n" for line in lines) + (extra or "")
    tree = git.text("mktree", stdin=listing.encode())
    person = {
        f"GIT_{who}_{what}": "somebody@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    git.text(
        "update-ref",
        f"refs/heads/{branch}",
        git.with_env(**person).text("commit-tree", tree, "-p", head, "-m", message),
    )


PRIVATE_KEY = (
    "-----BEGIN " + "PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
)


@pytest.mark.parametrize(
    ("path", "text", "kinds"),
    [
        ("src/app.py", f'password = "{PLANTED}"\n', {"Secret Keyword"}),
        ("conf/.env", f"SESSION={RANDOM}\n", {"Base64 High Entropy String"}),
        ("key.pem", PRIVATE_KEY, {"Private Key"}),
        ("tests/test_app.py", f'password = "{PLANTED}"\n', set()),
        ("tests/test_app.py", f'token = "{GITHUB_TOKEN}"\n', {"GitHub Token"}),
        (".env.example", "NEXTAUTH_SECRET=change-me-to-something-long\n", set()),
        ("conf/app.yml", "password: ${REDIS_PASSWORD}\n", set()),
        ("package-lock.json", f'"integrity": "sha512-{PLANTED}Zk3=="\n', set()),
        ("src/app.py", f'password = "{PLANTED}"  # pragma: allowlist secret\n', set()),
    ],
)
def test_what_is_taken_for_a_secret(path: str, text: str, kinds: set[str]) -> None:
    assert {suspect.kind for suspect in scan([Content(path, path, text.encode())], [])} == kinds


def test_a_value_too_short_to_be_a_secret_is_not_looked_for() -> None:
    assert scan([Content("a.txt", "a.txt", b"DEPLOY")], [("NAME", "DEPLOY")]) == []
