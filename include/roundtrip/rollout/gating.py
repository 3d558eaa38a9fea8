"""A gate of a release: which settings, which sources, and what pulling the canary's traffic means.

Rules:
1. The plan says what is judged; the environment may shorten times, openly. A soak is the soak gate watched for its time.
2. A service whose stable version is not at work in the environment is judged against what earlier gates recorded of it.
3. A gate whose deployment is not the one that its release placed has nothing to judge: it ends, and never as PASS.
4. Pulling is a converge with a token of its own, refused once the rollback has begun: then it is done already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from roundtrip.errors import StaleTokenError
from roundtrip.gates.evidence import Decision
from roundtrip.gates.gate import GateSetup, recorded_verdict, run_gate
from roundtrip.gates.prometheus import Server
from roundtrip.gates.reading import Versions
from roundtrip.gates.recorded import baselines, runs_alone
from roundtrip.gates.sources import sources
from roundtrip.plan.model import Gate
from roundtrip.release import Release
from roundtrip.rollout.deploying import deploy
from roundtrip.rollout.opening import soak_seconds
from roundtrip.rollout.standing import standing_pulled

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
    )
    return await run_gate(setup, release.ledger, read_from, pull=_pull(release, stage, gate_id), say=say)


def settings(release: Release, stage: str, gate: str) -> Gate:
    """The plan's gate with what the environment changes in it, and the soak's time when it is the soak gate."""
    changed = release.environment(stage).gates.get(gate)
    changes = changed.model_dump(exclude_none=True) if changed else {}
    settled = release.plan.gates[gate].model_copy(update=changes)
    if gate != release.plan.production.soak_gate:
        return settled
    soak = soak_seconds(release)
    times = {
        "minimum_seconds": max(settled.minimum_seconds, soak),
        "deadline_seconds": settled.deadline_seconds + soak,
    }
    return settled.model_copy(update=times)


def _setup(release: Release, stage: str, gate: str, gate_id: str) -> GateSetup:
    plan, environment = release.plan, release.environment(stage).name
    settled = settings(release, stage, gate)
    queues = {name for name, service in plan.services.items() if service.queue}
    alone = runs_alone(settled, release.target(stage).observe(), plan.from_version, queues)
    recorded = baselines(
        release.ledger,
        release.id,
        environment=environment,
        stable=plan.from_version,
        gate=settled,
        alone=alone,
    )
    return GateSetup(
        release=release.id,
        gate_id=gate_id,
        environment=environment,
        canary=plan.to_version,
        stable=plan.from_version,
        gate=settled,
        baselines=recorded,
    )


async def _prometheus(release: Release, stage: str, gate: Gate, authorize: Authorize) -> Server | None:
    """The environment's server when the gate asks one; else no secret is fetched."""
    named = release.environment(stage).prometheus
    if named is None or all(metric.source != "prometheus" for metric in gate.metrics):
        return None
    authorization = await authorize(named.connection) if named.connection is not None else None
    return Server(named.url, authorization)


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
