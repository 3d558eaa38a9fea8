"""What has to be assumed to stand in an environment while traffic is taken back, also with a process of it down.

Rules:
1. The new version is what is observed of it: what is down needs no pulling, and nothing of it is started here.
2. The stable version is what was last placed, its processes that are down at this moment included: a deployment made
   from what is observed alone would retire them for good.
3. What is not known from the ledger, because nothing was placed by this release yet, is what the snapshot says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from roundtrip.plan.deployment import Deployment, Placement, pulled
from roundtrip.release import Release
from roundtrip.rollout import snapshots


def standing_pulled(release: Release, stage: str) -> Deployment:
    """What stands in the stage's environment, with no traffic on the new version wherever the stable one can take it."""
    observed = release.target(stage).observe()
    return pulled_back(observed, last_placed(release, stage), release.plan.to_version)


def last_placed(release: Release, stage: str) -> Deployment:
    """The deployment that this release's last finished converge reached; before the first one, the snapshot's."""
    environment = release.environment(stage).name
    for event in reversed(release.ledger.events(release.id, kind="converge.finished")):
        if event.data["environment"] == environment:
            return Deployment.from_json(event.data["observed"])
    known = snapshots.read(release, stage)
    return known.deployment if known is not None else Deployment()


def pulled_back(observed: Deployment, placed: Deployment, version: str) -> Deployment:
    """`observed` with every other version as it was `placed`, and no traffic on `version` where one of them is. Pure."""
    kept: Mapping[tuple[str, str], Placement] = {
        (p.service, p.version): p
        for deployment in (observed, placed)  # what was placed counts for more than what answers now
        for p in deployment.placements
        if p.version != version
    }
    # Weights come from two moments and may add up to anything; `pulled` gives all of it to what is left.
    stable = tuple(replace(p, weight_percent=0) for p in kept.values())
    new = tuple(p for p in observed.placements if p.version == version)
    return pulled(Deployment((*stable, *new), observed.flags), version)
