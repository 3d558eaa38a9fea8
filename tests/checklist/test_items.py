"""The nine items on a tiny platform: what is as the plan says passes, and each thing that is not has its finding."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging

import pytest

from roundtrip.checklist import items
from roundtrip.errors import FindingsError
from roundtrip.forge.git import Git
from roundtrip.plan.model import Undeployed
from tests.checklist.conftest import COMPOSE, KUBERNETES, World, environment

FUNCTION_TEST = """\
const fs = require("fs");
if (require("../web/days.js")("2 days") !== 172800000) process.exit(1);
require("child_process").execFileSync("redis-server", ["--version"]);
fs.mkdirSync("coverage", { recursive: true });
fs.writeFileSync("coverage/coverage-summary.json", JSON.stringify({ total: { lines: { pct: 91.5 } } }));
"""

ALL = [name for name in items.SENTENCES if name != "release_branch"]


def run(world: World, *names: str) -> None:
    """Lay the platform, cut its branch, then the named items."""
    world.lay()
    items.release_branch(world.release)
    for name in names:
        getattr(items, name)(world.release)


def test_a_release_that_is_as_the_plan_says_passes_all_nine_items(world: World) -> None:
    world.lay()
    items.release_branch(world.release)
    items.prepare(world.release)
    for name in ALL:
        getattr(items, name)(world.release)
    items.report(world.release)

    assert {name: world.stops(name) for name in items.SENTENCES} == {name: [] for name in items.SENTENCES}
    assert world.item("tests")["facts"]["coverage_percent"] == {"web": 91.5, "worker": 88.25}
    assert world.item("release_branch")["facts"]["direct_pushes_refused"] is True
    chosen = world.release.ledger.last("r1", "candidate.chosen")
    head = Git(world.release.repository).text("rev-parse", "release/v1.1.0")
    assert chosen is not None
    passed = world.release.ledger.last("r1", "checklist.passed")
    assert passed is not None
    assert passed.data["not_checked"] == ["containers"]
    assert chosen.data == {"commit": head, "branch": "release/v1.1.0"}


def test_without_a_container_engine_builds_are_said_to_be_unchecked(world: World) -> None:
    run(world, "containers")
    item = world.item("containers")
    assert item["checked"] is False
    assert item["reason"] == "container builds were not checked: the environment has no container engine"


def test_with_an_engine_a_manifest_that_compose_refuses_is_a_finding(
    world: World, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path_factory.mktemp('none')}/no.sock")
    engines = {"staging": environment("staging", container_engine=True)}
    world.release = dataclasses.replace(world.release, environments={**world.release.environments, **engines})
    run(world, "containers")
    assert world.item("containers")["checked"] is True
    assert any("docker" in stop for stop in world.stops("containers"))


def test_the_report_names_every_finding_of_every_item_and_what_was_not_inspected(world: World) -> None:
    world.write("docker-compose.yml", COMPOSE.replace("replicas: 3", "replicas: 2"))
    world.write("worker/src/tiny/__init__.py", "ANSWER = 42\n")
    run(world, "manifests", "code_changes", "containers")
    with pytest.raises(FindingsError) as caught:
        items.report(world.release)
    text = caught.value.what
    assert "worker: deploy.replicas: expected 3, got 2" in text
    assert "lacks /ANSWER = 43/" in text
    assert "still has /ANSWER = 42/" in text
    for name in ("audit_dependencies", "secrets", "linters", "tests", "release_candidate"):
        assert f"[{name}] was not inspected" in text
    assert "[containers]" not in text
    assert world.release.ledger.last("r1", "checklist.passed") is None


def test_an_item_that_ran_again_counts_as_it_was_found_last(world: World) -> None:
    world.write("k8s/deployment.yaml", KUBERNETES.replace("enabled", "disabled"))
    run(world, "manifests")
    assert world.stops("manifests") == [
        "k8s/deployment.yaml: worker: annotation linkerd.io/inject: expected enabled, got disabled"
    ]
    world.write("k8s/deployment.yaml", KUBERNETES)
    run(world, "manifests")
    assert world.stops("manifests") == []
    keys = [event.key for event in world.release.ledger.events("r1", kind="checklist.item")]
    assert keys == ["release_branch", "manifests", "release_branch#2", "manifests#2"]


def test_replicas_in_a_comment_do_not_count(world: World) -> None:
    world.write("docker-compose.yml", COMPOSE.replace("      replicas: 3", "      # replicas: 3"))
    run(world, "manifests")
    assert world.stops("manifests") == ["docker-compose.yml: worker: deploy.replicas: expected 3, got 1"]


def test_a_service_that_reads_a_secret_without_env_file_is_found_and_no_other(world: World) -> None:
    world.write("docker-compose.yml", COMPOSE.replace("    env_file: conf/secrets.env\n", "    init: true\n"))
    run(world, "manifests")
    assert [stop for stop in world.stops("manifests") if "expected a file" in stop] == [
        "docker-compose.yml: worker: env_file: expected a file, got none"
    ]


def test_a_manifest_that_is_no_yaml_and_one_that_is_missing_are_found(world: World) -> None:
    world.write("docker-compose.yml", "services: [replicas: 3, env_file")
    (world.change / "k8s" / "deployment.yaml").unlink()
    run(world, "manifests")
    stops = world.stops("manifests")
    assert any(stop.startswith("docker-compose.yml: cannot be parsed:") for stop in stops)
    assert any(stop.startswith("k8s/deployment.yaml: is missing (2.4") for stop in stops)


def test_a_linter_that_fails_is_a_finding_and_the_others_still_run(world: World) -> None:
    world.write("web/bad.js", "")
    run(world, "linters")
    [stop] = world.stops("linters")
    assert stop.startswith("web: 'npm run lint' ended with 1")
    assert set(world.item("linters")["facts"]["seconds"]) == {"web", "worker"}


def test_a_failing_test_low_coverage_and_no_coverage_are_findings(world: World) -> None:
    world.write("worker/measure.py", "raise SystemExit('1 failed')\n")
    world.write(
        "web/test.js", (world.source / "base" / "web" / "test.js").read_text().replace("91.5", "79.9")
    )
    run(world, "tests")
    stops = world.stops("tests")
    assert "web: coverage of lines: expected 80 % or more, got 79.9 %" in stops
    assert any(
        stop.startswith("worker: 'python measure.py' ended with 1") and "1 failed" in stop for stop in stops
    )
    assert "worker/coverage.json: the tests wrote no coverage" in stops


def test_projects_are_tested_side_by_side_and_the_log_says_whose_line_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The web's test waits for the worker's, which one after the other would never come."""
    web, worker = (
        (world.source / "base" / name).read_text() for name in ("web/test.js", "worker/measure.py")
    )
    wait = 'for (const end = Date.now() + 60000; !require("fs").existsSync("../worker/here"); ) {'
    wait += ' if (Date.now() > end) { console.log("nobody came"); process.exit(1); } }'
    world.write("web/test.js", f'{wait}\nconsole.log("met");\n{web}')
    world.write("worker/measure.py", f'open("here", "w").close()\nprint("came")\n{worker}')
    with caplog.at_level(logging.INFO):
        run(world, "tests")
    assert world.stops("tests") == []
    assert {"web: met", "worker: came"} <= {record.getMessage() for record in caplog.records}


def add_function(world: World, test: str = FUNCTION_TEST, **changes: object) -> None:
    """A project that no target runs, made of the web service's sources."""
    manifest = {"name": "function", "version": "1.1.0", "private": True, "engines": {"node": ">=20"}}
    lock = {"lockfileVersion": 3, "requires": True, "packages": {"": manifest}}
    world.write("function/package.json", json.dumps(manifest))
    world.write("function/package-lock.json", json.dumps({**manifest, **lock}))
    world.write("function/test.js", test)
    world.write("web/days.js", 'module.exports = require("ms");\n')
    commands = {
        "lint": [["node", "--check", "test.js"]],
        "test": [["node", "test.js"]],
        "build": [["node", "-e", 'require("fs").writeFileSync("built.js", "")']],
    }
    project = {"path": "function", "toolchain": "node", "coverage_percent": 90, **commands, **changes}
    plan = world.release.plan.model_copy(
        update={"undeployed": {"function": Undeployed.model_validate(project)}}
    )
    world.release = dataclasses.replace(world.release, plan=plan)


def test_a_project_that_no_target_runs_is_audited_linted_tested_and_built_with_a_services_sources(
    world: World,
) -> None:
    add_function(world)
    run(world, "prepare", "audit_dependencies", "linters", "tests", "release_candidate")
    for name in ("audit_dependencies", "linters", "tests", "release_candidate"):
        assert world.stops(name) == []
    assert world.item("audit_dependencies")["facts"]["outdated"]["function"] == {}
    assert set(world.item("linters")["facts"]["seconds"]["function"]) == {"node --check test.js"}
    assert world.item("tests")["facts"]["coverage_percent"]["function"] == 91.5
    candidate = world.item("release_candidate")["facts"]
    assert candidate["versions"]["function"] == "1.1.0"
    assert len(candidate["seconds"]["function"]) == 1
    assert (world.release.folder / "source" / "function" / "built.js").is_file()


def test_a_project_that_no_target_runs_stops_the_release_as_a_service_does(world: World) -> None:
    add_function(
        world,
        FUNCTION_TEST.replace("91.5", "89"),
        lint=[["node", "--check", "nothing.js"]],
        build=[["node", "-e", "process.exit(3)"]],
    )
    run(world, "linters", "tests", "release_candidate")
    assert [stop.partition("\n")[0] for stop in world.stops("linters")] == [
        "function: 'node --check nothing.js' ended with 1"
    ]
    assert world.stops("tests") == ["function: coverage of lines: expected 90 % or more, got 89 %"]
    assert world.stops("release_candidate") == ["function: 'node -e process.exit(3)' ended with 3"]
    assert world.release.ledger.last("r1", "candidate.chosen") is None


def test_what_a_project_makes_that_no_target_runs_is_kept_with_its_digests(world: World) -> None:
    write = 'fs.mkdirSync("dist/in", { recursive: true }); fs.writeFileSync("dist/in/made.js", "1")'
    add_function(world, build=[["node", "-e", f'const fs = require("fs"); {write}']], output="dist")
    for _ in range(2):
        run(world, "release_candidate")
    assert world.stops("release_candidate") == []
    assert (world.release.made / "function" / "in" / "made.js").read_text() == "1"
    event = world.release.ledger.last("r1", "checklist.made")
    digest = "sha256:" + hashlib.sha256(b"1").hexdigest()
    assert event.data == {"project": "function", "files": {"in/made.js": digest}}


def test_a_build_that_makes_nothing_where_the_plan_says_stops_the_release(world: World) -> None:
    add_function(world, output="dist")
    run(world, "release_candidate")
    assert world.stops("release_candidate") == ["function/dist: its build made nothing there"]
    assert world.release.ledger.last("r1", "candidate.chosen") is None


def test_coverage_of_an_earlier_run_does_not_count(world: World) -> None:
    run(world, "tests")
    world.write("worker/measure.py", "pass\n")
    run(world, "tests")
    assert world.stops("tests") == ["worker/coverage.json: the tests wrote no coverage"]


def test_a_lock_left_behind_an_old_node_and_a_missing_lock_are_found(world: World) -> None:
    manifest = json.loads((world.change / "web" / "package.json").read_text())
    changed = {"dependencies": {"ms": "2.1.2"}, "engines": {"node": "18.x"}}
    world.write("web/package.json", json.dumps({**manifest, **changed}))
    world.write("web/Dockerfile", "# build\nFROM node:18-slim\n")
    world.write(".deleted", "worker/poetry.lock\n")
    run(world, "audit_dependencies")
    stops = world.stops("audit_dependencies")
    assert any(s.startswith("web/package-lock.json: is not in step") and "ms@2.1.2" in s for s in stops)
    assert "web/package.json: engines.node: expected 20 or newer, got 18.x" in stops
    assert "web/Dockerfile:2: base image: expected Node 20 or newer, got 18" in stops
    assert "worker/pyproject.toml: is missing: worker/poetry.lock" in stops


def test_outdated_packages_are_a_note_by_default(world: World) -> None:
    run(world, "audit_dependencies")
    item = world.item("audit_dependencies")
    assert world.stops("audit_dependencies") == []
    assert item["facts"]["outdated"]["worker"]["iniconfig"][0] == "2.1.0"
    notes = [finding["what"] for finding in item["findings"]]
    assert any(note.startswith("2 outdated: ") or "iniconfig 2.1.0 ->" in note for note in notes)


def test_an_index_that_cannot_be_asked_is_said_and_is_not_none_outdated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(world)
    items.prepare(world.release)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    items.audit_dependencies(world.release)
    outdated = world.item("audit_dependencies")["facts"]["outdated"]
    assert outdated["web"].startswith("not checked: ")
    assert "ECONNREFUSED" in outdated["web"]
    assert outdated["worker"].startswith("not checked: ")


def test_a_candidate_with_another_version_is_not_chosen(world: World) -> None:
    (world.change / "worker" / "pyproject.toml").unlink()
    run(world, "release_candidate")
    assert world.stops("release_candidate") == ["worker/pyproject.toml: version: expected 1.1.0, got 1.0.0"]
    assert world.release.ledger.last("r1", "candidate.chosen") is None


def test_a_candidate_that_lacks_mains_newest_commit_is_not_chosen(world: World) -> None:
    run(world)
    git = Git(world.release.repository)
    tree = git.text("rev-parse", "main^{tree}")
    person = {
        f"GIT_{who}_{what}": "somebody@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    git.text(
        "update-ref",
        "refs/heads/main",
        git.with_env(**person).text("commit-tree", tree, "-p", "main", "-m", "late"),
    )
    items.release_candidate(world.release)
    assert world.stops("release_candidate") == [
        "branch release/v1.1.0: 'release/v1.1.0' lacks the newest commits of 'main'"
    ]


def test_once_a_candidate_is_chosen_the_branch_is_not_cut_again(world: World) -> None:
    run(world, "release_candidate")
    chosen = world.item("release_branch")["facts"]["commit"]
    world.write("later.txt", "came after the candidate was chosen")
    run(world)
    assert world.item("release_branch")["facts"]["commit"] == chosen
    assert Git(world.release.repository).text("rev-parse", "release/v1.1.0") == chosen


def test_an_error_while_inspecting_is_a_finding(world: World) -> None:
    items.code_changes(world.release)
    [stop] = world.stops("code_changes")
    assert "the release branch was not cut by this release" in stop
