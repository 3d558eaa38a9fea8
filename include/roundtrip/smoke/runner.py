"""Runs smoke tests of a plan by name, and records each result in the ledger.

Rules:
1. Every test of `names` runs, also after one has failed; all failures come in one SmokeError. No names is
   an error.
2. A pass is recorded once, under `environment/version/test`. A failure is recorded without that key: it
   can never be
   taken for a result that lets a release go on, and a later pass is not hidden by it.
3. A name may be written with hyphens, as plans do, or with underscores; it is recorded as it was given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import redis

from roundtrip.errors import RoundtripError, SmokeError
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.release import Release
from roundtrip.smoke.door import FrontDoor, Kill
from roundtrip.smoke.killing import kill_container, kill_listener
from roundtrip.smoke.metrics import metrics_move
from roundtrip.smoke.pages import backtest, login_via_github, stale_cookies
from roundtrip.smoke.stable import stable_smoke
from roundtrip.smoke.state import state_across_replicas, state_survives_a_replica
from roundtrip.smoke.trading import simulated_trades

log = logging.getLogger(__name__)

SMOKE: Mapping[str, Callable[[FrontDoor], None]] = {
    "login-via-github": login_via_github,
    "backtest": backtest,
    "simulated-trades": simulated_trades,
    "metrics-move": metrics_move,
    "state-across-replicas": state_across_replicas,
    "state-survives-a-replica": state_survives_a_replica,
    "stale-cookies": stale_cookies,
    "stable-smoke": stable_smoke,
}
"""name in a plan -> the test"""


def run_smoke(release: Release, stage: str, version: str, names: Sequence[str]) -> None:
    """Run these tests against the environment of `stage`. Raises SmokeError with all that failed."""
    environment = release.environment(stage).name
    tests = {name: _test(name) for name in names}
    if not tests:
        raise SmokeError(
            "expected at least one smoke test, got none",
            where=environment,
            remedy="name one in staging.smoke of the plan",
        )
    door = door_of(release, stage, version)
    failures: list[str] = []
    for name, test in tests.items():
        began = time.monotonic()
        problem = _problem_of(test, door)
        data = {
            "environment": environment,
            "version": version,
            "test": name,
            "ok": problem is None,
            "detail": problem or (test.__doc__ or "").strip(),
            "seconds": round(time.monotonic() - began, 3),
        }
        if problem is None:
            release.ledger.append_once(release.id, "smoke.result", f"{environment}/{version}/{name}", data)
        else:
            release.ledger.append(release.id, "smoke.result", data)
            failures.append(f"{name}: {problem}")
        log.info("%s %s %s: %s", environment, version, name, problem or "ok")
    if failures:
        raise SmokeError(
            f"{len(failures)} of {len(tests)} smoke tests failed: " + " | ".join(failures),
            where=f"{environment}, {version}",
            remedy="each failure names its address and what was expected",
        )


def door_of(release: Release, stage: str, version: str) -> FrontDoor:
    """The environment of `stage` as smoke tests see it."""
    target, settings = release.target(stage), release.environment(stage).target
    kill: Kill = kill_listener
    if isinstance(settings, ComposeTargetSettings):
        kill = partial(kill_container, settings.engine)
    addresses = target.addresses()
    return FrontDoor(addresses.front_door, version, addresses.scrape_file, target.redis_url(), kill)


def _test(name: str) -> Callable[[FrontDoor], None]:
    known = SMOKE.get(name.replace("_", "-"))
    if known is None:
        raise SmokeError(
            f"no smoke test '{name}', known: {', '.join(SMOKE)}",
            where="staging.smoke",
            remedy="mend the name in the plan",
        )
    return known


def _problem_of(test: Callable[[FrontDoor], None], door: FrontDoor) -> str | None:
    try:
        test(door)
    except RoundtripError as error:
        return str(error)
    except redis.RedisError as error:
        return f"the platform's Redis: {error}"
    return None
