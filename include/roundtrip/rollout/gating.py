"""A gate of a release: which settings, which sources, and what pulling the canary's traffic means.

Rules:
1. The plan says what is judged; the environment may shorten times, openly. A soak is the soak gate watched for its time.
2. Who is judged against whom is what the release placed, not what answers when the gate begins: a process that is down at
   that moment is missing evidence. A service whose stable version is not placed is judged against what is recorded of
   it: by hour of the day where the snapshot has that (`stable_hours`), else by earlier gates (`recorded`).
3. A gate whose deployment is not the one that its release placed has nothing to judge: it ends, and never as PASS.
4. A gate that waits looks after its release: it renews the lease, and ends when the watchdog has taken the traffic back.
5. Pulling is a converge with a token of its own, refused once the rollback has begun: then it is done already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from roundtrip.errors import GateError, StaleTokenError
from roundtrip.gates import turns
from roundtrip.gates.error_tracking import Tracker
from roundtrip.gates.evidence import Decision
from roundtrip.gates.gate import GateSetup, recorded_verdict, run_gate
from roundtrip.gates.needs import need
from roundtrip.gates.prometheus import Server
from roundtrip.gates.reading import Versions
from roundtrip.gates.recorded import baselines, runs_alone
from roundtrip.gates.sources import sources
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.model import Gate
from roundtrip.release import Release
from roundtrip.rollout import leasing, stable_hours, stored_figures
from roundtrip.rollout.deploying import deploy
from roundtrip.rollout.expected_traffic import expected_requests, share_at
from roundtrip.rollout.gate_settings import settings
from roundtrip.rollout.standing import last_placed, standing_pulled

Authorize = Callable[[str], Awaitable[str]]
"""Airflow connection id -> value of an Authorization header, never kept or logged. Raises SecretError."""


async def judge(
    release: Release,
    stage: str,
    gate: str,
    gate_id: str,
    say: Callable[[str], None],
    *,
    authorize: Authorize,
) -> Decision:
    """Judge one gate to its verdict, which is never None. Raises GateError, LedgerError, TargetError, SecretError."""
    async with turns.opening():
        known = await asyncio.to_thread(recorded_verdict, release.ledger, release.id, gate_id)
        if known is not None:
            say(f"{gate_id}: decided before: {known.reason}")
            return known
        setup = await asyncio.to_thread(_setup, release, stage, gate, gate_id)
        addresses = await asyncio.to_thread(release.target(stage).addresses)
    versions = Versions(canary=setup.canary, stable=setup.stable)
    read_from = sources(
        setup.gate,
        versions,
        front_door=addresses.proxy_metrics,
        services=addresses.scrape_file,
        prometheus=await _prometheus(release, stage, setup.gate, authorize),
        error_tracker=await _error_tracker(release, stage, setup.gate, authorize),
    )
    pull = _pull(release, stage, gate_id)
    return await run_gate(
        setup, release.ledger, read_from, pull=pull, say=say, alive=_alive(release, stage, gate_id)
    )


def _setup(release: Release, stage: str, gate: str, gate_id: str) -> GateSetup:
    plan, environment = release.plan, release.environment(stage).name
    settled = settings(release, stage, gate)
    queues = {name for name, service in plan.services.items() if service.queue}
    placed = last_placed(release, stage)
    alone = runs_alone(settled, placed, plan.from_version, queues)
    recorded = baselines(
        release.ledger,
        release.id,
        environment=environment,
        stable=plan.from_version,
        gate=settled,
        alone=alone,
    )
    recorded |= stable_hours.known(release, stage, settled, alone)
    return GateSetup(
        release=release.id,
        gate_id=gate_id,
        environment=environment,
        canary=plan.to_version,
        stable=plan.from_version,
        gate=settled,
        baselines=recorded,
        needs={
            metric.name: need(
                settled,
                metric,
                1.0 if metric.name in alone else _share(release, stage, placed, metric.service),
                expected_requests(release, stage, metric.service),
            )
            for metric in settled.metrics
        },
        calibration=stored_figures.known(release, stage, gate_id),
    )


def _alive(release: Release, stage: str, gate_id: str) -> Callable[[], Awaitable[None]]:
    """Renews production's lease with a gate's samples, as often as is needed."""
    pause, last = leasing.renewal_seconds(release), float("-inf")

    async def renew() -> None:
        nonlocal last
        now = time.monotonic()
        if stage == leasing.STAGE and now >= last + pause:
            await asyncio.to_thread(leasing.renew, release, gate_id)
            last = now

    return renew


def _share(release: Release, stage: str, placed: Deployment, service: str) -> float:
    """The canary's share of a service's requests, or of its work when it takes that from a queue; below 1."""
    plan = release.plan
    canary, stable = placed.get(service, plan.to_version), placed.get(service, plan.from_version)
    if canary is None:
        return 0.0
    if plan.services[service].queue:
        return canary.replicas / (canary.replicas + (stable.replicas if stable else 0))
    return share_at(release, stage, service, canary.weight_percent)


async def _prometheus(release: Release, stage: str, gate: Gate, authorize: Authorize) -> Server | None:
    """The environment's server when the gate asks one; else no secret is fetched."""
    named = release.environment(stage).prometheus
    if named is None or all(metric.source != "prometheus" for metric in gate.metrics):
        return None
    authorization = await authorize(named.connection) if named.connection is not None else None
    return Server(named.url, authorization)


async def _error_tracker(release: Release, stage: str, gate: Gate, authorize: Authorize) -> Tracker | None:
    """The environment's error tracker, with when the new version came there, when the gate asks it; else no secret."""
    named = release.environment(stage).error_tracker
    if named is None or all(rail.source != "error-tracking" for rail in gate.guard_rails):
        return None
    environment = release.environment(stage).name
    deployed = await asyncio.to_thread(release.ledger.last, release.id, "deployed", environment)
    if deployed is None:
        raise GateError(
            "this release has deployed nothing: what is new since then cannot be told",
            where=environment,
            remedy="look at the release's deployed events",
        )
    authorization = await authorize(named.connection) if named.connection is not None else None
    return Tracker(named.url, tuple(named.projects), named.release, deployed.at, authorization)


def _pull(release: Release, stage: str, gate_id: str) -> Callable[[str], Awaitable[None]]:
    def pull(reason: str) -> None:
        observed = deploy(release, stage, standing_pulled(release, stage), holder=f"gate {gate_id}")
        environment = release.environment(stage).name
        data = {"environment": environment, "reason": reason, "deployment": observed.to_json()}
        release.ledger.append_once(release.id, "gate.pulled", gate_id, data)

    async def act(reason: str) -> None:
        try:
            await asyncio.to_thread(pull, reason)
        except StaleTokenError:
            # The rollback has begun and holds the environment; pulling traffic is its own first step.
            return

    return act
