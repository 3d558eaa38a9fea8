"""Proves that what was restored is what was there before.

Rules:
1. `observe()` equals the snapshot, as values. Routes that differ are said and bar nothing: a converge cannot bring them back.
2. Every key of Redis is as it was, but for what the stable version itself wrote since.
3. The stable release passes its own smoke test, and answers a stale session cookie as if there were none (plan 4.4).
4. The main branch is without the release's merge.
5. Only then is `rollback.verified` in the ledger, for each environment; the outcome needs all of them.
6. A smoke test that fails here, or a process that is not there, is looked at again for as long as the step is tried: forward
   a failure stops the release, but on the way back nothing else is left to do, and what took the release down (a disk,
   Redis) may take a minute to come back. Each failure is in the ledger. A key of Redis that is not as it was stays so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from roundtrip.errors import NotYetRestoredError, RollbackError, SmokeError
from roundtrip.forge import open_forge
from roundtrip.plan.deployment import Deployment
from roundtrip.release import Release
from roundtrip.rollback.restoring import snapshot_of, stages
from roundtrip.rollout import redis_state
from roundtrip.rollout.deploying import ROLLBACK_BEGUN
from roundtrip.rollout.snapshots import redis_of
from roundtrip.rollout.verdicts import BY_HAND, require_smoke
from roundtrip.smoke.runner import run_smoke

log = logging.getLogger(__name__)

STABLE_SMOKE = ("stable_smoke",)
UI_SMOKE = ("stale_cookies",)


def restore_ui(release: Release) -> None:
    """Plan 4.4: the old UI is back and ignores what the new one left in browsers."""
    for stage in stages(release):
        _smoke(release, stage, UI_SMOKE)


def smoke_restored(release: Release) -> None:
    """The stable release does end to end what it has to do."""
    for stage in stages(release):
        _smoke(release, stage, STABLE_SMOKE)


def _smoke(release: Release, stage: str, names: Sequence[str]) -> None:
    """Raises NotYetRestoredError."""
    try:
        run_smoke(release, stage, release.plan.from_version, names)
    except SmokeError as error:
        raise NotYetRestoredError(error.what, where=error.where, remedy=error.remedy) from error


def restore_main(release: Release) -> None:
    """The main branch is again what runs in production, also when a merge was cut off or is still on its way."""
    begun = release.ledger.last(release.id, "merge.begun")
    if begun is None:
        log.info("nothing was merged")
        return
    commit = open_forge(release).take_back_merge(begun.data["head"])
    release.ledger.append_once(release.id, "merge.reverted", "merge", {"commit": commit})
    log.info("the merge is taken back by %s", commit)


def verify_restored(release: Release) -> None:
    """main is without the merge, every environment equals its snapshot and has passed its smoke tests.

    Raises NotYetRestoredError where only the deployment differs, RollbackError, PromotionError.
    """
    _require_main_restored(release)
    begun = release.ledger.last(release.id, ROLLBACK_BEGUN)
    for stage in stages(release):
        names, version = (*UI_SMOKE, *STABLE_SMOKE), release.plan.from_version
        require_smoke(release, stage, names, version, after=begun.seq if begun else 0)
        environment = release.environment(stage).name
        before = snapshot_of(release, stage)
        observed = release.target(stage).observe()
        differences = _differences(before.deployment, observed)
        with redis_of(release, stage) as client:
            state = redis_state.compare(before.redis, client, release.plan.rollback.state)
        differences += [f"Redis {difference}" for difference in state.differences]
        if differences:
            error = RollbackError if state.differences else NotYetRestoredError
            raise error(
                f"{len(differences)} differences from the snapshot: " + "; ".join(differences[:10]),
                where=environment,
                remedy=f"{release.way_back}; docs/runbook.md, 'BROKEN'",
            )
        changed = _changed_routes(before.routes, release.target(stage).routes())
        _record(release, environment, observed, state, changed)


def _require_main_restored(release: Release) -> None:
    merged = release.ledger.last(release.id, "merge.begun")
    if merged is not None and release.ledger.last(release.id, "merge.reverted") is None:
        raise RollbackError(
            "expected merge.reverted in the ledger, got none: main may hold what does not run",
            where=release.id,
            remedy=BY_HAND,
        )


def _record(
    release: Release,
    environment: str,
    observed: Deployment,
    state: redis_state.Comparison,
    changed_routes: Sequence[str],
) -> None:
    for change in changed_routes:
        log.warning("routes, which are the plan's and not restored: %s", change)
    data = {
        "deployment": observed.to_json(),
        "routes": {"differences": list(changed_routes)},
        "redis": {"kept": state.kept, "grown": list(state.grown), "differences": 0},
        "smoke": [*UI_SMOKE, *STABLE_SMOKE],
    }
    release.ledger.append_once(release.id, "rollback.verified", environment, data)
    log.info(
        "%s equals its snapshot; Redis: no key differs, %d unchanged, %d grown",
        environment,
        state.kept,
        len(state.grown),
    )


def _changed_routes(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    if before is None:
        return ["the snapshot has no routes to compare with"]
    return [
        f"{rule}: {before.get(rule, 'nobody')} before, {now.get(rule, 'nobody')} now"
        for rule in sorted({*before, *now})
        if before.get(rule) != now.get(rule)
    ]


def _differences(before: Deployment, now: Deployment) -> list[str]:
    names = sorted({(p.service, p.version) for p in (*before.placements, *now.placements)})
    changed = [
        f"{service} {version}: expected {before.get(service, version)}, got {now.get(service, version)}"
        for service, version in names
        if before.get(service, version) != now.get(service, version)
    ]
    if before.flags != now.flags:
        changed.append(f"flags: expected {before.flags}, got {now.flags}")
    return changed
