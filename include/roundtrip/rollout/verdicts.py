"""What lets a release go on: what the ledger holds, and nothing else.

Rules:
1. Only a PASS in the ledger lets a release go on; a task's state in Airflow never does.
2. No event is no pass: a step that was skipped, lost or marked success by hand has left none.
3. A PASS in a person's name goes on as any other, and is never told as one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import product

from roundtrip.errors import PromotionError
from roundtrip.ledger.ledger import Event
from roundtrip.release import Release

log = logging.getLogger(__name__)

STAGING_GATE = "staging.canary"
BY_HAND = "a task marked success by hand leaves nothing in the ledger; clear it and let it run"


def candidate(release: Release) -> str:
    """The commit that everything is built from, tagged and merged. Raises PromotionError when none was chosen."""
    chosen = release.ledger.last(release.id, "candidate.chosen")
    if chosen is None:
        raise PromotionError("no candidate was chosen", where=release.id, remedy="run the checklist")
    return str(chosen.data["commit"])


def require_recorded(release: Release, kind: str, key: str | None = None) -> Event:
    """The release's last event of this kind, and key. Raises PromotionError when there is none."""
    event = release.ledger.last(release.id, kind, key)
    if event is None:
        raise PromotionError(f"expected {kind} in the ledger, got none", where=release.id, remedy=BY_HAND)
    return event


def require_pass(release: Release, gate_ids: Sequence[str]) -> None:
    """Every gate of `gate_ids` has PASS in the ledger. Raises PromotionError naming the first that has not."""
    if not gate_ids:
        raise PromotionError("expected at least one gate, got none", where=release.id)
    for gate_id in gate_ids:
        event = release.ledger.last(release.id, "gate.verdict", gate_id)
        verdict = event.data["verdict"] if event else "no verdict"
        if verdict != "PASS":
            raise PromotionError(
                f"gate {gate_id}: expected PASS in the ledger, got {verdict}"
                + (f" ({event.data['reason']})" if event else ""),
                where=release.id,
                remedy=BY_HAND if event is None else "the release is taken back",
            )
        if event is not None and event.data.get("overridden"):
            log.warning("gate %s: PASS, %s", gate_id, event.data["reason"])


def overridden(release: Release) -> list[str]:
    """Each gate that passed in a person's name, with that name and the reason."""
    verdicts = release.ledger.events(release.id, kind="gate.verdict")
    by_hand = [(event.key, event.data["overridden"]) for event in verdicts if event.data.get("overridden")]
    return [f"gate {gate_id} overridden by {by['by']}: {by['reason']}" for gate_id, by in by_hand]


def require_deployed(release: Release, holders: Sequence[str]) -> None:
    """Each of these steps has brought its environment where it had to. Raises PromotionError naming the first."""
    done = {event.data["holder"] for event in release.ledger.events(release.id, kind="converge.finished")}
    for holder in holders:
        if holder not in done:
            raise PromotionError(f"{holder} has not deployed", where=release.id, remedy=BY_HAND)


def require_ready(release: Release) -> None:
    """Everything before the first deployment was done: opened, checked, built, described. Raises PromotionError."""
    needed = ["release.started", "build.sbom", "build.checksums"]
    needed += [] if release.is_drill else ["checklist.passed"]
    for kind in needed:
        require_recorded(release, kind)
    has_images = any(environment.form == "image" for environment in release.environments.values())
    reproduced = ["build.reproduced", *(["build.image_reproduced"] if has_images else [])]
    for kind, service in product(reproduced, release.plan.services):
        again = release.ledger.last(release.id, kind, service)
        if again is None or not again.data["same"]:
            raise PromotionError(
                f"{kind} {service}: expected a second build with the same digest, got {again.data if again else 'none'}",
                where=release.id,
                remedy=BY_HAND,
            )


def require_smoke(
    release: Release, stage: str, names: Sequence[str], version: str, *, after: int = 0
) -> None:
    """These smoke tests are ok in the ledger, in events newer than `after`. Raises PromotionError naming the first."""
    environment = release.environment(stage).name
    for name in names:
        event = release.ledger.last(release.id, "smoke.result", f"{environment}/{version}/{name}")
        if event is None or event.seq <= after or not event.data["ok"]:
            got = "no result" if event is None or event.seq <= after else f"not ok: {event.data['detail']}"
            raise PromotionError(
                f"smoke test {name} of {version}: expected ok in the ledger, got {got}",
                where=f"{release.id}, {environment}",
                remedy=BY_HAND,
            )


def require_staging(release: Release) -> None:
    """Staging's gate and every smoke test of the plan have passed for this release. Raises PromotionError."""
    require_pass(release, [STAGING_GATE])
    require_smoke(release, "staging", release.plan.staging.smoke, release.plan.to_version)
