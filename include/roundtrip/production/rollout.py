"""Plan 3.4: production by waves, feature flags off first, then on, then the soak.

`verify` → `merge` → `snapshot` → `flags_off` → (`wave` → gate)… → `flags_on` → soak gate → `promote`.
The stable release stays warm, with all its replicas, until `promote`: taking the release back is a change of weights.
"""

from __future__ import annotations

import logging

from roundtrip.errors import PromotionError
from roundtrip.forge import open_forge
from roundtrip.notifying import messages
from roundtrip.notifying.telling import notify
from roundtrip.plan.deployment import Deployment, mixed
from roundtrip.release import Release
from roundtrip.rollout import leasing, on_github, one_way_door, snapshots, stable_hours
from roundtrip.rollout.deploying import NO_WAY_FORWARD, deploy, describe, new_release
from roundtrip.rollout.one_way_door import require_accepted
from roundtrip.rollout.snapshots import Snapshot
from roundtrip.rollout.standing import last_placed
from roundtrip.rollout.verdicts import (
    candidate,
    require_deployed,
    require_pass,
    require_ready,
    require_recorded,
    require_staging,
)
from roundtrip.verification import require_placed, verify_signatures

log = logging.getLogger(__name__)

STAGE = "production"
SOAK_GATE = "production.soak"


def wave_gate(number: int) -> str:
    """Gate id of a wave."""
    return f"production.wave_{number}"


def holder(number: int) -> str:
    """Who takes the token for a wave."""
    return f"production.wave_{number}"


def put_one_way_door(release: Release) -> None:
    """Put the question that only a person can answer, and tell people that it waits for them."""
    one_way_door.put(release)
    notify(release, messages.waits(release))


def verify(release: Release) -> None:
    """Both releases are what was signed; production runs the one, staging has passed and runs exactly the other."""
    require_ready(release)
    require_accepted(release)
    require_placed(release, STAGE, release.target(STAGE).observe(), release.plan.from_version)
    verify_signatures(release, STAGE, release.plan.to_version)
    require_staging(release)
    expected = new_release(release, "staging").with_flags(_flags(release, on=True))
    observed = release.target("staging").observe()
    if observed != expected:
        raise PromotionError(
            f"staging: expected {describe(expected)}, got {describe(observed)}",
            where=release.environment("staging").name,
            remedy="what was tested there is not what would be deployed; release again",
        )


def merge(release: Release) -> None:
    """Merge into main what was built and tested: the candidate, wherever its branch is by now."""
    require_accepted(release)
    head = candidate(release)
    about = {"head": head}
    release.ledger.append_once(release.id, "merge.begun", "merge", about, refuse_after=NO_WAY_FORWARD)
    commit = open_forge(release).merge_to_main(release.plan.repository.release_branch, head)
    release.ledger.append(release.id, "merge.done", {"commit": commit})
    log.info("main is at %s", commit)


def snapshot(release: Release) -> None:
    """Keep what production is, state included, before it is touched, and what its version did by hour of the day."""
    require_accepted(release)
    snapshots.take(release, STAGE)
    stable_hours.record(release, STAGE)


def flags_off(release: Release) -> None:
    """The new release's features are off before the first of its processes starts."""
    require_recorded(release, "merge.done")
    require_accepted(release)
    before = _snapshot(release)
    off = dict.fromkeys(release.plan.flags, False)
    deploy(release, STAGE, before.deployment.with_flags(off), holder="production.flags_off")
    # No wave is out there yet, and no lease: the last moment at which waiting for GitHub costs nothing.
    on_github.show(release)


def wave(release: Release, number: int) -> None:
    """One wave: its share of workers and of traffic, after every wave before it has passed."""
    waves = release.plan.waves()
    if number > 1:
        require_deployed(release, [holder(n) for n in range(1, number)])
        require_pass(release, [wave_gate(n) for n in range(1, number)])
    require_staging(release)
    verify_signatures(release, STAGE, release.plan.to_version)
    this = waves[number - 1]
    log.info("wave %d of %d: %d %% of traffic", number, len(waves), this.traffic_percent)
    desired = mixed(_snapshot(release).deployment, new_release(release, STAGE), release.plan, this)
    _place(release, desired.with_flags(_flags(release, on=False)), holder=holder(number))


def flags_on(release: Release) -> None:
    """All traffic is on the new release and its waves have passed: turn its features on; the soak watches them."""
    waves = release.plan.waves()
    require_deployed(release, [holder(w.number) for w in waves])
    require_pass(release, [wave_gate(w.number) for w in waves])
    desired = mixed(_snapshot(release).deployment, new_release(release, STAGE), release.plan, waves[-1])
    _place(release, desired.with_flags(_flags(release, on=True)), holder="production.flags_on")


def promote(release: Release) -> None:
    """Every verdict is PASS in the ledger: retire the stable release, and say promoted."""
    require_deployed(release, [holder(w.number) for w in release.plan.waves()] + ["production.flags_on"])
    require_pass(release, [wave_gate(w.number) for w in release.plan.waves()] + [SOAK_GATE])
    require_staging(release)
    desired: Deployment = new_release(release, STAGE).with_flags(_flags(release, on=True))
    observed = _place(release, desired, holder="production.promote")
    environment = release.environment(STAGE).name
    data = {"environment": environment, "deployment": observed.to_json()}
    release.ledger.append_once(release.id, "promoted", environment, data, refuse_after=NO_WAY_FORWARD)
    leasing.end(release)


def require_promoted(release: Release) -> None:
    """Raises PromotionError unless the ledger says promoted: what was deployed and not promoted is taken back."""
    if release.ledger.last(release.id, "promoted") is None:
        raise PromotionError(
            "production was not promoted by this release",
            where=release.id,
            remedy="see the failed or skipped task before; what was deployed is taken back",
        )


def _place(release: Release, desired: Deployment, *, holder: str) -> Deployment:
    """Deploy while the lease is held: from here on somebody has to look after the release."""
    require_accepted(release)
    leasing.hold(release, last_placed(release, STAGE), holder)
    observed = deploy(release, STAGE, desired, holder=holder)
    leasing.hold(release, observed, holder)
    return observed


def _snapshot(release: Release) -> Snapshot:
    known = snapshots.read(release, STAGE)
    if known is None:
        raise PromotionError(
            "no snapshot of production was taken by this release",
            where=release.id,
            remedy="production is not touched without one; run the snapshot task",
        )
    return known


def _flags(release: Release, *, on: bool) -> dict[str, bool]:
    return {flag: on and flag in release.plan.production.flags_on for flag in release.plan.flags}
