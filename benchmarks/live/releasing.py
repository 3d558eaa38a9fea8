"""One release of the benchmark: deploy and gates only, and back again.

The waves, the flags, the soak and the promotion are those of the plan, by the same functions that the DAG's tasks call; no
checklist, signing or staging comes before them, and the gates are judged in this process instead of a triggerer. The soak
is the environment's. Taking back is section 4 of the plan whenever a gate did not pass; a promoted release is only
converged back, since the next one starts where this one did.
Nothing is tried again, as Airflow would: what fails ends the benchmark with its error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from roundtrip.gates.evidence import Decision, Verdict
from roundtrip.gates.gate import samples
from roundtrip.plan.deployment import mixed
from roundtrip.production.rollout import SOAK_GATE, STAGE, holder, wave_gate
from roundtrip.release import Release
from roundtrip.rollback import proving, restoring, state
from roundtrip.rollout import snapshots
from roundtrip.rollout.deploying import converge, deploy, new_release
from roundtrip.rollout.gating import judge
from roundtrip.traffic.account import TrafficAccount
from roundtrip.traffic.rate import ask_for_traffic, traffic_folder

COVER_SECONDS = 30.0


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

    @property
    def is_promoted(self) -> bool:
        return self.outcome == "PROMOTED"


def carry_out(release: Release, say: Callable[[str], None], *, slow_is_bad: bool) -> Ended:
    """Release, and come back to where it began. What is bad of an answer: that it failed, or that it was slow."""
    began = datetime.now(UTC)
    before = snapshots.take(release, STAGE)
    stopped = _forward(release, before, say)
    seconds = (datetime.now(UTC) - began).total_seconds()
    if stopped is None or not _has_published_stable(release):
        _converge_back(release, before)
    else:
        _take_back(release, stopped)
    ask_for_traffic(release.home, release.environments, full=None)
    return _ended(release, began, stopped, seconds, slow_is_bad=slow_is_bad)


def _forward(release: Release, before: snapshots.Snapshot, say: Callable[[str], None]) -> str | None:
    """The gate that did not pass; None when the release was promoted."""
    plan, new = release.plan, new_release(release, STAGE)
    off, on = (dict.fromkeys(plan.flags, value) for value in (False, True))

    for wave in plan.waves():
        desired = mixed(before.deployment, new, plan, wave).with_flags(off)
        deploy(release, STAGE, desired, holder=holder(wave.number))
        gate_id = wave_gate(wave.number)
        if _judged(release, plan.production.gate, gate_id, say) is not Verdict.PASS:
            return gate_id
    desired = mixed(before.deployment, new, plan, plan.waves()[-1]).with_flags(on)
    deploy(release, STAGE, desired, holder="production.flags_on")
    if _judged(release, plan.production.soak_gate, SOAK_GATE, say) is not Verdict.PASS:
        return SOAK_GATE
    deploy(release, STAGE, new.with_flags(on), holder="production.promote")
    return None


def _judged(release: Release, gate: str, gate_id: str, say: Callable[[str], None]) -> Verdict | None:
    async def authorize(connection: str) -> str:
        raise RuntimeError(f"no source of this environment has a login, asked for {connection}")

    decision: Decision = asyncio.run(judge(release, STAGE, gate, gate_id, say, authorize=authorize))
    return decision.verdict


def _take_back(release: Release, gate_id: str) -> None:
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
        step(release)


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
    is_fail = verdict is not None and verdict.data["verdict"] == "FAIL"
    breach = samples(release.ledger, release.id, stopped)[-1] if stopped and is_fail else None
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
    )


def _environment(release: Release) -> str:
    return release.environment(STAGE).name
