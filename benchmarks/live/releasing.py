"""One release of the benchmark: deploy and gates only, and back again.

The waves, the flags, the soak and the promotion are those of the plan, by the same functions that the DAG's tasks call; no
checklist, signing or staging comes before them, and the gates are judged in this process instead of a triggerer. The soak
is the environment's. Taking back is section 4 of the plan whenever a gate did not pass; a promoted release is only
converged back, since the next one starts where this one did. A step that fails and may be tried again is, as Airflow does
it: up to RETRIES times, RETRY_SECONDS apart. How often is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from benchmarks.live.stage import STAGE
from roundtrip.errors import RoundtripError
from roundtrip.gates.evidence import Decision, Verdict
from roundtrip.ledger.ledger import Event
from roundtrip.plan.deployment import Deployment, mixed
from roundtrip.release import Release
from roundtrip.rollback import proving, restoring, state
from roundtrip.rollout import snapshots
from roundtrip.rollout.deploying import converge, deploy, new_release
from roundtrip.rollout.gating import judge
from roundtrip.traffic.account import TrafficAccount
from roundtrip.traffic.rate import ask_for_traffic, traffic_folder

COVER_SECONDS = 30.0
RETRIES = 5
RETRY_SECONDS = 2.0
SOAK = "production.soak"


@dataclass(frozen=True)
class Ended:
    """What became of one release."""

    release: str
    outcome: str
    """PROMOTED, or the gate that did not pass and how it ended"""
    reason: str
    seconds: float
    """deploys and gates, without taking back"""
    first_bad_at: datetime | None
    """when a client had the first bad answer of the new version in its hands"""
    last_bad_sent_at: datetime | None
    """when the last request left that the new version answered badly"""
    breach_at: datetime | None
    """when the sample was taken that made the gate FAIL"""
    pulled_at: datetime | None
    restored_seconds: float | None
    """from the sample that made the gate FAIL until everything was proven restored"""
    failed_elsewhere: int
    """failed requests that another version, or nobody, answered"""
    retried: int
    """steps that had to be tried again"""

    @property
    def is_promoted(self) -> bool:
        return self.outcome == "PROMOTED"


def carry_out(release: Release, say: Callable[[str], None], *, slow_is_bad: bool) -> Ended:
    """Release, and come back to where it began. What is bad of an answer: that it failed, or that it was slow."""
    began, steps = datetime.now(UTC), Steps(say)
    before = snapshots.take(release, STAGE)
    stopped = _forward(release, before, steps)
    seconds = (datetime.now(UTC) - began).total_seconds()
    if stopped is None or not _has_published_stable(release):
        steps.take(lambda: _converge_back(release, before))
    else:
        _take_back(release, stopped, steps)
    ask_for_traffic(release.home, release.environments, full=None)
    return _ended(release, began, stopped, seconds, steps.retried, slow_is_bad=slow_is_bad)


class Steps:
    """Takes one step after the other, each again when it may be."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.retried = 0

    def take(self, step: Callable[[], object]) -> None:
        """Raises what the last attempt raised."""
        for left in reversed(range(RETRIES + 1)):
            try:
                step()
            except RoundtripError as error:
                if not (error.retriable and left):
                    raise
                self.retried += 1
                self.say(f"tried again after: {error}")
                time.sleep(RETRY_SECONDS)
            else:
                return


def _forward(release: Release, before: snapshots.Snapshot, steps: Steps) -> str | None:
    """The gate that did not pass; None when the release was promoted."""
    plan, new = release.plan, new_release(release, STAGE)
    off, on = (dict.fromkeys(plan.flags, value) for value in (False, True))

    def placed(deployment: Deployment, holder: str) -> None:
        steps.take(lambda: deploy(release, STAGE, deployment, holder=holder))

    for wave in plan.waves():
        gate_id = f"production.wave_{wave.number}"
        placed(mixed(before.deployment, new, plan, wave).with_flags(off), gate_id)
        if _judged(release, plan.production.gate, gate_id, steps.say) is not Verdict.PASS:
            return gate_id
    placed(mixed(before.deployment, new, plan, plan.waves()[-1]).with_flags(on), "production.flags_on")
    if _judged(release, plan.production.soak_gate, SOAK, steps.say) is not Verdict.PASS:
        return SOAK
    placed(new.with_flags(on), "production.promote")
    return None


def _judged(release: Release, gate: str, gate_id: str, say: Callable[[str], None]) -> Verdict | None:
    async def authorize(connection: str) -> str:
        raise RuntimeError(f"no source of this environment has a login, asked for {connection}")

    decision: Decision = asyncio.run(judge(release, STAGE, gate, gate_id, say, authorize=authorize))
    return decision.verdict


def _take_back(release: Release, gate_id: str, steps: Steps) -> None:
    restoring.begin(release, f"gate {gate_id} did not pass")
    for step in (
        restoring.pull_traffic,
        restoring.stop_new_services,
        restoring.deploy_last_known_good,
        state.revert_state,
        proving.restore_ui,
        proving.smoke_restored,
        proving.restore_main,
        proving.verify_restored,
    ):
        steps.take(partial(step, release))


def _converge_back(release: Release, before: snapshots.Snapshot) -> None:
    token = release.ledger.take_token(_environment(release), release=release.id, holder="benchmark")
    converge(release, STAGE, before.deployment, token, holder="benchmark")


def _has_published_stable(release: Release) -> bool:
    """Whether the stable version was signed and published; of the plan over itself it was not."""
    plan = release.plan
    return (release.home.releases / f"{plan.repository.tag_prefix}{plan.from_version}").exists()


def _ended(
    release: Release,
    began: datetime,
    stopped: str | None,
    seconds: float,
    retried: int,
    *,
    slow_is_bad: bool,
) -> Ended:
    now = datetime.now(UTC)
    account = TrafficAccount(traffic_folder(release.home, _environment(release)))
    account.wait_covered(now, limit_seconds=COVER_SECONDS)
    failures = [one for one in account.failures() if began <= one.at <= now]
    ours = [one for one in failures if one.version == release.plan.to_version]
    slow = [
        one for one in account.slow() if began <= one.at <= now and one.version == release.plan.to_version
    ]
    bad = sorted((one.at, one.sent_at) for one in (slow if slow_is_bad else ours))
    verdict = release.ledger.last(release.id, "gate.verdict", stopped) if stopped else None
    pulled = release.ledger.last(release.id, "gate.pulled", stopped) if stopped else None
    breach = _breach(release, stopped) if verdict and verdict.data["verdict"] == "FAIL" else None
    restored = release.ledger.last(release.id, "rollback.verified")
    return Ended(
        release=release.id,
        outcome=f"{stopped} {verdict.data['verdict']}" if verdict else "PROMOTED",
        reason=str(verdict.data["reason"]) if verdict else "",
        seconds=seconds,
        first_bad_at=bad[0][0] if bad else None,
        last_bad_sent_at=max(sent for _, sent in bad) if bad else None,
        breach_at=breach.at if breach else None,
        pulled_at=pulled.at if pulled else None,
        restored_seconds=(restored.at - breach.at).total_seconds() if restored and breach else None,
        failed_elsewhere=len(failures) - len(ours),
        retried=retried,
    )


def _breach(release: Release, gate_id: str | None) -> Event | None:
    samples = release.ledger.events(release.id, kind="gate.sample")
    of_gate = [event for event in samples if (event.key or "").rpartition("#")[0] == gate_id]
    return of_gate[-1] if of_gate else None


def _environment(release: Release) -> str:
    return release.environment(STAGE).name
