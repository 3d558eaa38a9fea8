"""What a release records of stable by hour of the day, and what its gates are given of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prometheus_server import PrometheusServer
from recorded_days import DAYS, SCRAPES_AN_HOUR, SINCE, UNTIL, Process, Shown, needs_history, recorded
from servers import free_port, serving

from roundtrip.errors import SecretError
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import PrometheusServer as Named
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate, Metric
from roundtrip.release import Release, no_authorization
from roundtrip.rollout import stable_hours
from roundtrip.rollout.gating import judge
from roundtrip.targets.protocol import Addresses
from tests.rollout.test_gating import placed

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
PRODUCTION = load_environment(INCLUDE / "environments" / "local_production.yaml")
PLACE = "local_production"
LOGIN = "Basic cmVhZGVyOm9wZW4tc2VzYW1l"  # reader:open-sesame
USERS = "basic_auth_users: {reader: '$2b$04$abcdefghijklmnopqrstuuXcjcm5avyCiJoD2uS24xa2lb6fjMB3G'}\n"
STEADY = 10

ERRORS = Metric(name="api-errors", kind="errors", source="prometheus", service="api")
AT_DOOR = Metric(name="at-door", kind="errors", source="front-door", service="api")
UNSEEN = Metric(name="unseen", kind="errors", source="prometheus", service="workers")


@dataclass
class Switched:
    """A target where only the new version is at work, and whose proxy nobody can read."""

    folder: Path

    def observe(self) -> Deployment:
        digest = "sha256:" + "0" * 64
        return Deployment((Placement("api", "1.1.0", 1, digest, digest, 100),))

    def addresses(self) -> Addresses:
        return Addresses("", "", "http://127.0.0.1:9/metrics", self.folder / "targets.json")


def shown(number: int) -> Shown:
    return {
        "process_start_time_seconds": 1000,
        'http_requests_total{code="200"}': number * STEADY,
        'http_requests_total{code="500"}': number,
    }


HOUR = Counts(SCRAPES_AN_HOUR * (STEADY + 1), SCRAPES_AN_HOUR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("days")
    with recorded(folder, [Process("api", shown)], login=LOGIN, users=USERS) as one:
        yield one


def release_of(
    folder: Path,
    url: str | None,
    *metrics: Metric,
    connection: str | None = None,
    authorization: Callable[[str], str] = no_authorization,
) -> Release:
    gate = Gate(metrics=list(metrics), stale_seconds=45, interval_seconds=0.02, deadline_seconds=5)
    hasty = gate.model_copy(update={"stale_seconds": 0.2})
    production = PLAN.production.model_copy(update={"soak_gate": "soak"})
    plan = PLAN.model_copy(
        update={"gates": {**PLAN.gates, "soak": gate, "hasty": hasty}, "production": production}
    )
    named = Named(url=url, connection=connection, history_days=2) if url else None
    changes = {"prometheus": named, "gates": {}, "soak_seconds": 0}
    return Release(
        "r1",
        plan,
        {"production": PRODUCTION.model_copy(update=changes)},
        Ledger(f"sqlite:///{folder / 'ledger.db'}"),
        Home(folder),
        lambda _: {},
        lambda _: Switched(folder),
        authorization=authorization,
    )


def record(release: Release, **changes: float) -> None:
    stable_hours.record(release, "production", clock=lambda: UNTIL + timedelta(minutes=7), **changes)


def event(release: Release) -> dict[str, Any]:
    found = release.ledger.last("r1", "snapshot.baseline", PLACE)
    assert found is not None
    return dict(found.data)


@needs_history
@pytest.mark.integration
def test_the_hours_are_in_the_ledger_once_and_a_gate_of_a_canary_alone_is_judged_by_them(
    server, tmp_path, caplog
):
    asked: list[str] = []

    def authorization(connection: str) -> str:
        asked.append(connection)
        return LOGIN

    caplog.set_level(logging.INFO)
    login = {"connection": "reader", "authorization": authorization}
    release = release_of(tmp_path, server.url, ERRORS, AT_DOOR, UNSEEN, **login)
    record(release)
    data = event(release)
    hours = data["metrics"]["api-errors"]["hours"]
    assert hours == {str(hour): [HOUR.to_json()] * DAYS for hour in range(24)}
    assert (data["since"], data["until"]) == (SINCE.isoformat(), UNTIL.isoformat())
    assert set(data["metrics"]) == {"api-errors", "unseen"}
    assert data["metrics"]["unseen"]["hours"] == {}
    assert f"{PLACE}: api-errors: recorded of stable at all hours UTC on 2 days (" in caplog.text
    assert f"{PLACE}: unseen: no hour of stable is recorded whole enough" in caplog.text

    record(release)
    assert asked == ["reader"]
    assert len(release.ledger.events("r1", kind="snapshot.baseline")) == 1

    async def authorize(connection: str) -> str:
        return authorization(connection)

    placed(release.ledger, Switched(tmp_path).observe())
    said: list[str] = []
    asyncio.run(judge(release, "production", "hasty", "soak", said.append, authorize=authorize))
    baselines = release.ledger.last("r1", "gate.started", "soak").data["baselines"]
    assert Baseline.from_json(baselines["api-errors"]).by_hour == {
        int(hour): tuple(Counts.from_json(day) for day in days) for hour, days in hours.items()
    }
    assert Baseline.from_json(baselines["at-door"]) == Baseline()
    assert Baseline.from_json(baselines["unseen"]) == Baseline()
    assert any("compared with what is recorded of stable at all hours UTC on " in line for line in said)
    everything = f"{caplog.text}{said}{[one.data for one in release.ledger.events()]}"
    assert LOGIN not in everything
    assert "open-sesame" not in everything


@needs_history
@pytest.mark.integration
def test_a_metric_that_measures_something_else_has_no_hours(server, tmp_path):
    release = release_of(tmp_path, server.url, ERRORS, connection="reader", authorization=lambda _: LOGIN)
    record(release)

    def known(metric: Metric) -> list[str]:
        gate = Gate(metrics=[metric], deadline_seconds=5)
        return list(stable_hours.known(release, "production", gate, [metric.name]))

    assert known(ERRORS.model_copy(update={"name": "other", "tolerated_odds": 5.0})) == ["other"]
    assert known(ERRORS.model_copy(update={"service": "workers"})) == []
    assert known(ERRORS.model_copy(update={"source": "services"})) == []
    assert known(Metric(**{**ERRORS.model_dump(), "series": {"code_label": "status"}})) == []
    gate = Gate(metrics=[ERRORS], deadline_seconds=5)
    assert stable_hours.known(release, "production", gate, []) == {}


def no_such(connection: str) -> str:
    raise SecretError("no such Airflow connection", where=connection)


@pytest.mark.parametrize(
    ("there", "metrics", "changes", "why"),
    [
        (False, [ERRORS], {}, "the environment names no Prometheus server"),
        (True, [AT_DOOR], {}, "no metric of the soak gate is counted by Prometheus"),
        (True, [ERRORS], {}, "EvidenceError: no page: "),
        (True, [ERRORS], {"connection": "gone", "authorization": no_such}, "SecretError: no such Airflow"),
    ],
    ids=["no server", "no metric", "down", "no login"],
)
def test_a_release_goes_on_without_the_hours_and_the_ledger_says_why(tmp_path, there, metrics, changes, why):
    url = f"http://127.0.0.1:{free_port()}" if there else None
    release = release_of(tmp_path, url, *metrics, **changes)
    record(release)
    data = event(release)
    assert why in data["reason"]
    assert data["metrics"] == {}
    assert stable_hours.known(release, "production", release.plan.gates["soak"], ["api-errors"]) == {}


def test_a_server_that_takes_too_long_holds_no_release_up(tmp_path):
    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read()  # until the other side gives up

    with serving(Silent) as port:
        release = release_of(tmp_path, f"http://127.0.0.1:{port}", ERRORS)
        record(release, reading_seconds=0.1)
    assert "2 days of counters were not read within 0.1 s" in event(release)["reason"]


def test_a_ledger_from_before_there_were_hours_has_none(tmp_path):
    release = release_of(tmp_path, None, ERRORS)
    gate = release.plan.gates["soak"]
    assert stable_hours.known(release, "production", gate, ["api-errors"]) == {}


def test_a_release_that_was_given_no_login_asks_for_none():
    with pytest.raises(SecretError, match="no login of a server is given here at reader"):
        no_authorization("reader")
