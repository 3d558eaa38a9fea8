"""Plan 3.1: deploy the new release to staging by canary or blue/green.

`deploy_stable` → `snapshot` → `place_canary` → (gate) → `take_all_traffic` → (smoke tests).
Staging comes before signing, so the new bundles are verified against the build's checksums; the stable ones by signature.
"""

from __future__ import annotations

import logging

from roundtrip.plan.deployment import mixed
from roundtrip.plan.model import Wave
from roundtrip.release import Release
from roundtrip.rollout import snapshots
from roundtrip.rollout.deploying import deploy, new_release, stable_release
from roundtrip.rollout.verdicts import STAGING_GATE, require_pass, require_ready
from roundtrip.verification import verify_checksums, verify_signatures

log = logging.getLogger(__name__)

STAGE = "staging"


def deploy_stable(release: Release) -> None:
    """Bring staging to the stable release, verified by signature."""
    bundles = verify_signatures(release, STAGE, release.plan.from_version)
    desired = stable_release(release, STAGE, bundles).with_flags({})
    observed = release.target(STAGE).observe()
    if observed == desired:
        log.info("staging runs %s already", release.plan.from_version)
        return
    deploy(release, STAGE, desired, holder="staging.deploy_stable")


def snapshot(release: Release) -> None:
    """Keep what staging is, state included, before it is touched."""
    snapshots.take(release, STAGE)


def place_canary(release: Release) -> None:
    """Place the new release beside the stable one with the plan's share of traffic (blue/green: all of it)."""
    require_ready(release)
    verify_checksums(release, STAGE)
    before = snapshots.take(release, STAGE)
    percent = release.plan.staging.canary_percent if release.plan.staging.strategy == "canary" else 100
    wave = Wave(number=1, last=percent == 100, traffic_percent=percent, worker_step_percent=percent)
    desired = mixed(before.deployment, new_release(release, STAGE), release.plan, wave)
    deploy(release, STAGE, desired.with_flags(_flags(release, on=True)), holder="staging.place_canary")


def take_all_traffic(release: Release) -> None:
    """After PASS: the new release alone, with its flags on, so that the smoke tests see what production will be."""
    require_pass(release, [STAGING_GATE])
    desired = new_release(release, STAGE).with_flags(_flags(release, on=True))
    deploy(release, STAGE, desired, holder="staging.take_all_traffic")


def _flags(release: Release, *, on: bool) -> dict[str, bool]:
    return {flag: on and flag in release.plan.production.flags_on for flag in release.plan.flags}
