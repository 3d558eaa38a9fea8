"""The last known good release of an environment, as one value in the ledger.

Rules:
1. It is taken before the new version is placed anywhere in the environment, and once: later calls return the first.
2. An environment that runs a version other than the plan's stable one has no snapshot; the release stops there.
3. Rollback is `converge(snapshot.deployment)`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import redis

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment
from roundtrip.release import Release
from roundtrip.rollout import redis_state
from roundtrip.rollout.deploying import describe
from roundtrip.rollout.redis_state import Key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What an environment was before this release touched it."""

    deployment: Deployment
    redis: dict[str, Key]
    """by key name"""


def redis_of(release: Release, stage: str) -> redis.Redis:
    """A client of the environment's Redis. Its address is a secret and stays in this process."""
    return redis.Redis.from_url(
        release.target(stage).redis_url(),
        socket_timeout=30,
        socket_connect_timeout=5,
    )


def take(release: Release, stage: str) -> Snapshot:
    """Take the snapshot of this stage's environment, or return the one already taken by this release."""
    environment = release.environment(stage).name
    known = read(release, stage)
    if known is not None:
        log.info("%s: the snapshot of this release is already taken", environment)
        return known
    deployment = release.target(stage).observe()
    if set(deployment.versions()) != {release.plan.from_version}:
        raise TargetError(
            f"expected only {release.plan.from_version} to run, got {', '.join(deployment.versions()) or 'nothing'}",
            where=environment,
            remedy="bring the environment to the plan's from_version, then release again",
        )
    keys = redis_state.record(redis_of(release, stage))
    release.ledger.append_once(
        release.id,
        "snapshot.taken",
        environment,
        {"deployment": deployment.to_json(), "redis": {name: key.to_json() for name, key in keys.items()}},
    )
    log.info("%s: snapshot of %s, %d Redis keys", environment, describe(deployment), len(keys))
    return Snapshot(deployment, keys)


def read(release: Release, stage: str) -> Snapshot | None:
    """The snapshot that this release took of this stage's environment; None when it took none."""
    event = release.ledger.last(release.id, "snapshot.taken", release.environment(stage).name)
    if event is None:
        return None
    return Snapshot(
        Deployment.from_json(event.data["deployment"]), redis_state.from_json(event.data["redis"])
    )
