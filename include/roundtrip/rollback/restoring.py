"""Takes every environment that the release touched back to its snapshot (plan 4.1, 4.2).

Rules:
1. `begin` closes the door first: once `rollback.begun` is in the ledger no other task of the release gets a token.
   Then it takes a newer token for each environment, so that a converge still running is stopped by the target.
2. Production comes before staging.
3. Traffic is pulled before anything is stopped, and a stable release that is not running is started before the
   new one is stopped: no request is refused on the way.
4. Nothing that is not verified is started. What still runs from before may take traffic at once.
5. Each step may be repeated; the whole may be repeated.
"""

from __future__ import annotations

import logging

from roundtrip.errors import RollbackError
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout import leasing, snapshots
from roundtrip.rollout.deploying import ROLLBACK_BEGUN, converge, describe
from roundtrip.rollout.snapshots import Snapshot
from roundtrip.rollout.standing import standing_pulled
from roundtrip.traffic.rate import ask_for_traffic
from roundtrip.verification import require_placed

log = logging.getLogger(__name__)

BEFORE_STABLE_IS_DEPLOYED = ("pull_traffic", "stop_new_services")
ORDER = ("production", "staging")


def is_needed(release: Release) -> bool:
    """Whether this release has left something to take back. A promoted one is taken back by hand only."""
    return is_needed_by_hand(release) and release.ledger.last(release.id, "promoted") is None


def is_needed_by_hand(release: Release) -> bool:
    """Whether this release has touched any environment."""
    return release.ledger.last(release.id, "deployed") is not None


def begin(release: Release, why: str) -> None:
    """Close the door to the rest of the release, and take each environment's token."""
    _close_door(release, why)
    for stage in stages(release):
        environment = release.environment(stage).name
        token = release.ledger.take_token(environment, release=release.id, holder="rollback.begin")
        log.info("%s: the rollback holds token %d", environment, token)


def pull_traffic(release: Release) -> None:
    """No traffic on the new release wherever the stable one still runs."""
    for stage in stages(release):
        _converge(release, stage, standing_pulled(release, stage), "pull_traffic")


def stop_new_services(release: Release) -> None:
    """Plan 4.1: stop the new release, but for services whose stable version is not there to take over yet."""
    for stage in stages(release):
        now = standing_pulled(release, stage)
        _converge(release, stage, _without_replaced(now, release.plan.to_version), "stop_new_services")


def deploy_last_known_good(release: Release) -> None:
    """Plan 4.2: converge to the snapshot: bundles, configuration, replicas, weights, flags."""
    for stage in stages(release):
        before = snapshot_of(release, stage).deployment
        require_placed(release, stage, before, release.plan.from_version)
        _converge(release, stage, before, "deploy_last_known_good")


def stages(release: Release) -> list[str]:
    """Stages whose environments this release touched, production first."""
    touched = {event.key for event in release.ledger.events(release.id, kind="deployed")}
    return [s for s in ORDER if s in release.environments and release.environment(s).name in touched]


def snapshot_of(release: Release, stage: str) -> Snapshot:
    """The snapshot to restore. Raises RollbackError when there is none."""
    known = snapshots.read(release, stage)
    if known is None:
        raise RollbackError(
            "no snapshot of this environment is in the ledger",
            where=f"{release.id}, {release.environment(stage).name}",
            remedy="restore it by hand from the release store; docs/runbook.md, 'No snapshot'",
        )
    return known


def _without_replaced(now: Deployment, version: str) -> Deployment:
    """`now` without `version` in every service that another version can serve."""
    others = {p.service for p in now.placements if p.version != version}
    left = tuple(p for p in now.placements if p.version != version or p.service not in others)
    return Deployment(left, now.flags)


def _close_door(release: Release, why: str) -> None:
    touched = stages(release)
    release.ledger.append_once(release.id, ROLLBACK_BEGUN, "rollback", {"why": why, "stages": touched})
    # A promoted release is taken back from a rest; its clients are those of the stage that comes first.
    ask_for_traffic(release.home, release.environments, full=touched[0] if touched else None)


def _converge(release: Release, stage: str, desired: Deployment, step: str) -> None:
    # A person may have marked `begin` success by hand; no step acts before the door is closed.
    _close_door(release, "continued without its first step")
    environment = release.environment(stage).name
    holder = f"rollback.{step}"
    token = release.ledger.take_token(environment, release=release.id, holder=holder)
    observed = converge(release, stage, desired, token, holder=holder)
    if stage == leasing.STAGE:
        leasing.end(release)  # no traffic is left on the new version: nothing has to be watched any more
    detail = describe(observed)
    if step in BEFORE_STABLE_IS_DEPLOYED:
        detail += _not_moved(observed, release.plan)
    data = {"environment": environment, "step": step, "detail": detail}
    release.ledger.append(release.id, "rollback.step", data)


def _not_moved(observed: Deployment, plan: Plan) -> str:
    """Where no other version runs the new one keeps its traffic: that has to be told from a step that did nothing."""
    alone = [
        name for name in observed.services() if {p.version for p in observed.of(name)} == {plan.to_version}
    ]
    if not alone:
        return ""
    of = "" if len(alone) == len(observed.services()) else f" of {', '.join(alone)}"
    return (
        f"; no other version{of} runs here, nothing to move traffic to until {plan.from_version} is deployed"
    )
