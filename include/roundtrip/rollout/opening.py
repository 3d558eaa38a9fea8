"""The first event of a release: what is released, where, from which plan, and who asked for it.

Rules:
1. An environment belongs to one release at a time. One that has begun and not ended, in the same environments, refuses
   the next; its name is in the error.
2. What the environment shortens is in the ledger from the start, so that the dossier cannot forget it.
3. Copies of Redis keys that are kept no longer are removed here: every release begins so, and the scheduled drill too.
4. A plan whose gates cannot decide with the traffic that the environment states is refused here, and one with a one-way
   door that nobody may accept.
5. Environments that take their images from several places are refused here, before anything is checked or built.
6. A plan that demands of images what only cosign can show is refused here where there is none.
7. People are told once it is open; a channel that fails does not keep it from beginning.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from roundtrip.errors import PlanError, PromotionError
from roundtrip.forge import lay_platform
from roundtrip.notifying import messages
from roundtrip.notifying.telling import notify
from roundtrip.plan.environment import image_settings
from roundtrip.plan.loading import digest
from roundtrip.release import Release
from roundtrip.rollout import aside
from roundtrip.rollout.decidable import refuse_undecidable
from roundtrip.rollout.gate_settings import soak_seconds
from roundtrip.rollout.one_way_door import refuse_unanswerable
from roundtrip.toolchain import cosign

log = logging.getLogger(__name__)


def open_release(release: Release, triggered_by: str, fault: str = "") -> None:
    """Record what this release is.

    Raises PromotionError when another one holds an environment, PlanError when a gate could not decide there.
    """
    _refuse_second(release)
    refuse_undecidable(release)
    refuse_unanswerable(release)
    if release.plan.sign.demands.images and image_settings(release.environments) is not None:
        cosign.required()
    started = _start(release, triggered_by, fault, drill=False)
    log.info("release %s: %s", release.id, started)
    if release.plan.rollback.one_way_door is not None:
        log.warning(
            "one-way door: %s; a person has to accept that before production is touched",
            release.plan.rollback.one_way_door,
        )
    notify(release, messages.started(release))


def open_drill(release: Release, fault: str) -> None:
    """Record a drill, and lay a repository of its own whose release branch carries the fault."""
    _refuse_second(release)
    refuse_undecidable(release)
    if release.home.repository == release.repository:
        raise PlanError(
            "a drill works on a repository of its own, got the release's",
            where=str(release.repository),
            remedy="run the drill by its DAG",
        )
    commit = lay_platform(release.repository, release.plan, fault=fault)
    started = _start(release, "scheduler", fault, drill=True)
    branch = release.plan.repository.working_branch
    release.ledger.append(release.id, "candidate.chosen", {"commit": commit, "branch": branch})
    log.info("drill %s: %s, candidate %s", release.id, started, commit)
    notify(release, messages.started(release))


def _start(release: Release, triggered_by: str, fault: str, *, drill: bool) -> dict[str, object]:
    plan = release.plan
    image_settings(release.environments)
    aside.remove_expired(release.home, datetime.now(UTC))
    data: dict[str, object] = {
        "plan": plan.name,
        "plan_digest": digest(plan),
        "platform": plan.platform,
        "document": plan.document,
        "from_version": plan.from_version,
        "to_version": plan.to_version,
        "environments": {stage: e.name for stage, e in release.environments.items()},
        "environment_digests": {stage: digest(e) for stage, e in release.environments.items()},
        "one_way_door": plan.rollback.one_way_door,
        "soak_seconds": soak_seconds(release),
        "plan_soak_seconds": plan.production.soak_seconds,
        "fault": fault or None,
        "drill": drill,
    }
    release.ledger.append_once(
        release.id, "release.started", "started", data, actor=triggered_by or "scheduler"
    )
    return data


def _refuse_second(release: Release) -> None:
    names = {e.name for e in release.environments.values()}
    for event in release.ledger.events(kind="release.started"):
        if event.release == release.id or release.ledger.last(event.release, "release.outcome"):
            continue
        shared = names & set(event.data["environments"].values())
        if shared:
            raise PromotionError(
                f"release {event.release} of {event.at:%Y-%m-%d %H:%M} UTC has begun and not ended",
                where=", ".join(sorted(shared)),
                remedy="wait for it, or run the rollback DAG for it; then release again",
            )
