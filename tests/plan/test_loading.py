"""A plan or environment file that is wrong says everything that is wrong with it at once: file, line, key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from roundtrip.errors import PlanError
from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import digest, load_environment, load_plan
from roundtrip.plan.model import Plan

TINY = Path(__file__).parent / "fixtures" / "tiny.yaml"
INCLUDE = Path(__file__).parents[2] / "include"
ENVIRONMENT = """\
name: tiny_staging
stage: staging
target: {kind: local}
secrets_connection: tiny_staging
signing_connection: tiny_signing
"""
Change = tuple[str, str]


@pytest.fixture
def problems(tmp_path: Path) -> Callable[..., list[str]]:
    """`problems(*changes)`: what loading says of the tiny plan with these texts replaced."""

    def load(*changes: Change) -> list[str]:
        text = TINY.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        file = tmp_path / "bent.yaml"
        file.write_text(text)
        with pytest.raises(PlanError) as caught:
            load_plan(file)
        assert caught.value.where.startswith(str(file))
        return re.sub(r"^\d+ problems?: ", "", caught.value.what).split(" | ")

    return load


def line_of(text: str) -> int:
    """The line of the tiny plan that holds `text`."""
    return next(number for number, line in enumerate(TINY.read_text().splitlines(), 1) if text in line)


def test_the_plans_and_environments_of_the_project_load() -> None:
    plans = [load_plan(file) for file in sorted((INCLUDE / "plans").glob("*.yaml"))]
    environments = [load_environment(file) for file in sorted((INCLUDE / "environments").glob("*.yaml"))]
    assert [plan.name for plan in plans] == ["top_tier_trading_1_1_0"]
    assert [(e.name, e.stage) for e in environments] == [
        ("compose_production", "production"),
        ("compose_staging", "staging"),
        ("local_production", "production"),
        ("local_staging", "staging"),
    ]
    for environment in environments:
        assert set(environment.gates) <= set(plans[0].gates)
        assert set(environment.configuration) <= set(plans[0].variables)


def test_an_unknown_key_names_file_line_key_and_the_nearest_known_one(
    problems: Callable[..., list[str]],
) -> None:
    assert problems(("    coverage_percent: 80", "    coverage_precent: 80")) == [
        f"bent.yaml:{line_of('coverage_percent: 80')}: services.web.coverage_precent: "
        "unknown key (did you mean 'coverage_percent'?)"
    ]


def test_a_wrong_type_and_a_missing_key_are_named(problems: Callable[..., list[str]]) -> None:
    found = problems(("    lint: [[npm, run, lint]]", "    lint: npm run lint"), ("    path: worker\n", ""))
    lint, path = line_of("lint: [[npm"), line_of("  worker:")
    assert f"bent.yaml:{lint}: services.web.lint: Input should be a valid list" in found
    assert f"bent.yaml:{path}: services.worker.path: Field required" in found
    assert len(found) == 2


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("new: 3", "new: -1", "services.worker.replicas.new"),
        ("coverage_percent: 80", "coverage_percent: 101", "services.web.coverage_percent"),
        ("from_version: 1.0.0", "from_version: one", "from_version"),
        ("to_version: 1.1.0", "to_version: v1.1", "to_version"),
        ("deadline_seconds: 60", "deadline_seconds: 0", "gates.canary.deadline_seconds"),
        ("traffic_percent: [50, 100]", "traffic_percent: [50, 101]", "production.traffic_percent.1"),
        ("traffic_percent: [50, 100]", "traffic_percent: [50, 90]", "production"),
        ("traffic_percent: [50, 100]", "traffic_percent: [60, 50, 100]", "production"),
        ("strategy: canary", "strategy: big-bang", "staging.strategy"),
        ("kind: errors", "kind: slow", "gates.canary.metrics.0"),
        ("node_major: 20", "node_major: twenty", "checklist.node_major"),
        ("  web:", "  Web:", "services.Web.[key]"),
    ],
)
def test_a_value_out_of_range_is_refused_at_its_line(
    problems: Callable[..., list[str]], old: str, new: str, key: str
) -> None:
    assert f": {key}: " in problems((old, new))[0]


def test_references_to_what_is_not_there_come_all_at_once(problems: Callable[..., list[str]]) -> None:
    [found] = problems(
        ("soak_gate: canary", "soak_gate: soaking"),
        ("service: web}", "service: wbe}"),
        ("environment: [DEPLOY_ENV]", "environment: [DEPLOY_ENVIRONMENT]"),
        ("flags_on: [dashboard]", "flags_on: [dashbord]"),
        ("    queue: true", "    queue: true\n    depends_on: [worker]"),
        (
            "variables:\n",
            "undeployed:\n  web: {path: web, toolchain: node, made_of: [nobody]}\n\nvariables:\n",
        ),
    )
    for problem in (
        "production.soak_gate: no gate 'soaking' (known: canary)",
        "gates.canary.metrics.errors: no service 'wbe'",
        "services.web.environment: 'DEPLOY_ENVIRONMENT' is not in variables",
        "production.flags_on: 'dashbord' is not in flags",
        "services.worker.depends_on: no service 'worker'",
        "undeployed.web: is a service, too",
        "undeployed.web.made_of: no service 'nobody'",
    ):
        assert problem in found


def test_everything_wrong_comes_in_one_error(problems: Callable[..., list[str]]) -> None:
    found = problems(
        ("platform: Tiny Platform", "platfrom: Tiny Platform"),
        ("new: 3", "new: three"),
        ("seconds: 60", "seconds: soon"),
        ("type: hash", "type: table"),
    )
    keys = {problem.split(": ")[1] for problem in found}
    assert keys == {
        "platfrom",
        "platform",
        "services.worker.replicas.new",
        "gates.canary.deadline_seconds",
        "rollback.state.0.type",
    }
    lines = {problem.split(": ")[1]: problem.split(": ")[0] for problem in found}
    assert lines["services.worker.replicas.new"] == f"bent.yaml:{line_of('new: 3')}"
    assert lines["rollback.state.0.type"] == f"bent.yaml:{line_of('type: hash')}"


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text(TINY.read_text() + "platform: Another\n")
    with pytest.raises(PlanError, match='found duplicate key "platform"') as caught:
        load_plan(file)
    assert caught.value.where == f"{file}:{len(file.read_text().splitlines())}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [tiny", "is not YAML"),
        ("- a list\n", "expected a mapping at the top"),
        ("", "expected a mapping at the top"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "no.yaml"
    file.write_text(text)
    with pytest.raises(PlanError, match=message):
        load_plan(file)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        load_plan(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(PlanError, match="is not UTF-8"):
        load_plan(tmp_path / "bytes.yaml")


def test_an_environment_reports_its_problems_the_same_way(tmp_path: Path) -> None:
    file = tmp_path / "place.yaml"
    file.write_text(ENVIRONMENT.replace("stage: staging", "stage: stageing") + "soak_second: 5\n")
    with pytest.raises(PlanError) as caught:
        load_environment(file)
    assert "place.yaml:2: stage: Input should be 'staging' or 'production'" in caught.value.what
    assert "place.yaml:6: soak_second: unknown key (did you mean 'soak_seconds'?)" in caught.value.what


def test_guard_rails_and_error_trackers_are_refused_by_key_and_line(
    problems: Callable[..., list[str]], tmp_path: Path
) -> None:
    rail = "    guard_rails: [{name: new, source: error-tracking, service: web%s}]\n    deadline_seconds: 60"
    line = line_of("    deadline_seconds: 60")
    assert problems(("    deadline_seconds: 60", rail % ", series: errors")) == [
        f"bent.yaml:{line}: gates.canary.guard_rails.0: series belongs to source services, and only there"
    ]
    [found] = problems(("    deadline_seconds: 60", rail % "er"))
    assert "gates.canary.guard_rails.new: no service 'weber'" in found
    file = tmp_path / "place.yaml"
    tracker = "error_tracker: {kind: sentrie, url: 'http://token@bugs', projects: []}\n"
    file.write_text(ENVIRONMENT + tracker)
    with pytest.raises(PlanError) as caught:
        load_environment(file)
    for key in ("kind: Input should be 'bugsink'", "url: ", "projects: "):
        assert f"place.yaml:6: error_tracker.{key}" in caught.value.what


def test_the_digest_is_of_the_meaning_not_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "same.yaml"
    file.write_text("# a comment\n" + TINY.read_text().replace("name: tiny", "name:    tiny"))
    assert digest(load_plan(file)) == digest(load_plan(TINY))
    file.write_text(TINY.read_text().replace("new: 3", "new: 4"))
    assert digest(load_plan(file)) != digest(load_plan(TINY))


def test_a_file_is_parsed_again_only_when_its_text_is_another(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY.read_text())
    first = load_plan(file)
    assert load_plan(file) is first
    file.write_text(TINY.read_text().replace("new: 3", "new: 4"))
    assert load_plan(file) != first
    file.write_text(TINY.read_text().replace("name: tiny", "nome: tiny"))
    for _ in range(2):
        with pytest.raises(PlanError, match="did you mean 'name'"):
            load_plan(file)


def test_a_loaded_plan_cannot_be_changed() -> None:
    plan = load_plan(TINY)
    with pytest.raises(ValueError, match="frozen"):
        plan.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("model", [Plan, Environment])
def test_the_published_schema_is_closed_to_unknown_keys(model: type[Plan] | type[Environment]) -> None:
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert all(
        part["additionalProperties"] is False for part in schema["$defs"].values() if "properties" in part
    )
