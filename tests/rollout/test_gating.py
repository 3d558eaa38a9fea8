"""Which servers a release's gate asks, with which secret, and since when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from roundtrip.errors import GateError
from roundtrip.gates.evidence import Decision, Verdict
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import ErrorTracker
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate, GuardRail, Metric
from roundtrip.release import Release
from roundtrip.rollout.gating import judge
from roundtrip.targets.protocol import Addresses

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
PRODUCTION = load_environment(INCLUDE / "environments" / "local_production.yaml")
RAIL = GuardRail(name="new-errors", source="error-tracking", service="workers")


@dataclass
class Standing:
    """A target where both versions serve, and whose proxy nobody can read."""

    folder: Path

    def observe(self) -> Deployment:
        digest = "sha256:" + "0" * 64
        return Deployment(
            tuple(Placement("api", version, 1, digest, digest, 50) for version in ("1.0.0", "1.1.0"))
        )

    def addresses(self) -> Addresses:
        return Addresses("", "", "http://127.0.0.1:9/metrics", self.folder / "targets.json")


class Asked(BaseHTTPRequestHandler):
    """An error tracker that lets nobody in, and remembers who came."""

    came: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.came.append((self.path, self.headers["Authorization"]))
        self.send_error(401)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def release_of(folder: Path, tracker: ErrorTracker | None, *rails: GuardRail) -> Release:
    metric = Metric(name="errors", kind="errors", source="front-door", service="api")
    gate = Gate(
        metrics=[metric],
        guard_rails=list(rails),
        interval_seconds=0.02,
        stale_seconds=0.2,
        deadline_seconds=5,
    )
    plan = PLAN.model_copy(update={"gates": {**PLAN.gates, "soak": gate}})
    place = PRODUCTION.model_copy(update={"error_tracker": tracker, "gates": {}, "soak_seconds": 0})
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    placed(ledger, Standing(folder).observe())
    return Release(
        "r1", plan, {"production": place}, ledger, Home(folder), lambda _: {}, lambda _: Standing(folder)
    )


def placed(ledger: Ledger, deployment: Deployment) -> None:
    """As a converge of the release records it."""
    data = {"environment": "local_production", "token": 1, "holder": "production.wave_1"}
    ledger.append("r1", "converge.finished", {**data, "observed": deployment.to_json()})


def judged(release: Release, asked: list[str]) -> Decision:
    async def authorize(connection: str) -> str:
        asked.append(connection)
        return "Bearer open-sesame"

    return asyncio.run(judge(release, "production", "soak", "soak", lambda _: None, authorize=authorize))


def deployed(release: Release) -> None:
    release.ledger.append_once("r1", "deployed", "local_production", {"version": "1.1.0"})


def test_the_error_tracker_is_asked_with_the_token_of_its_connection_and_the_ledger_has_none(
    tmp_path: Path,
) -> None:
    came: list[tuple[str, str | None]] = []
    handler: Any = type("Remembering", (Asked,), {"came": came})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    release = release_of(
        tmp_path, ErrorTracker(kind="bugsink", url=url, projects=[7], connection="bugs"), RAIL
    )
    deployed(release)
    asked: list[str] = []
    try:
        decision = judged(release, asked)
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["bugs"]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert set(came) == {
        ("/api/canonical/0/issues/?project=7&sort=last_seen&order=desc", "Bearer open-sesame")
    }
    taken = [event.data for event in release.ledger.events("r1", kind="gate.sample")]
    assert all("got 401" in data["missing"]["guard-rail/new-errors"] for data in taken)
    assert "open-sesame" not in str([event.data for event in release.ledger.events()])


def test_no_secret_is_fetched_for_a_tracker_that_the_gate_does_not_ask(tmp_path: Path) -> None:
    tracker = ErrorTracker(kind="bugsink", url="http://127.0.0.1:9", projects=[1], connection="bugs")
    asked: list[str] = []
    assert judged(release_of(tmp_path, tracker), asked).verdict is Verdict.INCONCLUSIVE
    assert asked == []


def test_without_a_deployment_of_this_release_nothing_is_new_since_then(tmp_path: Path) -> None:
    tracker = ErrorTracker(kind="bugsink", url="http://127.0.0.1:9", projects=[1])
    with pytest.raises(GateError, match="this release has deployed nothing"):
        judged(release_of(tmp_path, tracker, RAIL), [])


def test_an_environment_without_the_tracker_is_refused_by_name(tmp_path: Path) -> None:
    release = release_of(tmp_path, None, RAIL)
    deployed(release)
    with pytest.raises(GateError, match="the environment names no error tracker at guard rail new-errors"):
        judged(release, [])
