"""The last known good release of an environment, as one value in the ledger.

Rules:
1. It is taken before the new version is placed anywhere in the environment, and once: later calls return the first.
2. An environment that runs a version other than the plan's stable one has no snapshot; the release stops there.
3. So has one where less of the stable version is there than the plan says, as when a process of it is down at this moment:
   what is not in the snapshot is not restored.
4. Rollback is `converge(snapshot.deployment)`. Routes are the plan's, and no converge brings back those of another plan; they are
   compared afterwards, and what differs is said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout import redis_state
from roundtrip.rollout.deploying import describe
from roundtrip.rollout.redis_state import Key

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5
ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Snapshot:
    """What an environment was before this release touched it."""

    deployment: Deployment
    redis: dict[str, Key]
    """by key name"""
    routes: Mapping[str, str] | None
    """what was answered by whom at the front door: the proxy's rule -> service; None: it was taken without them"""


@contextmanager
def redis_of(release: Release, stage: str) -> Iterator[redis.Redis]:
    """A client of the environment's Redis. Its address is a secret and stays in this process.

    Raises TargetError when Redis does not answer, or not as it has to.
    """
    url = release.target(stage).redis_url()
    with redis.Redis.from_url(
        url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=CONNECT_SECONDS
    ) as client:
        try:
            yield client
        except redis.RedisError as error:
            raise TargetError(
                f"its Redis: {type(error).__name__}: {error}",
                where=release.environment(stage).name,
                remedy="look whether it runs and has room; what was done is kept, and the task can be run again",
            ) from error


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
    if lacking := _lacking(release.plan, deployment):
        raise TargetError(
            f"{release.plan.from_version} is not whole: {'; '.join(lacking)}",
            where=environment,
            remedy="bring up what is down, or mend replicas.stable in the plan; what is missing could not be restored",
        )
    routes = dict(release.target(stage).routes())
    with redis_of(release, stage) as client:
        keys = redis_state.record(client)
    data = {
        "deployment": deployment.to_json(),
        "routes": routes,
        "redis": {name: key.to_json() for name, key in keys.items()},
        "state_rules": [rule.model_dump(mode="json") for rule in release.plan.rollback.state],
    }
    release.ledger.append_once(release.id, "snapshot.taken", environment, data)
    log.info(
        "%s: snapshot of %s, %d routes, %d Redis keys",
        environment,
        describe(deployment),
        len(routes),
        len(keys),
    )
    return Snapshot(deployment, keys, routes)


def _lacking(plan: Plan, deployment: Deployment) -> list[str]:
    """What the plan says of its stable version and is not there. More than it says is kept."""
    found = []
    for name, service in plan.services.items():
        placed = deployment.get(name, plan.from_version)
        count = placed.replicas if placed else 0
        if count < service.replicas.stable:
            found.append(f"{name}: expected {service.replicas.stable} processes, got {count}")
        elif placed and service.route and placed.weight_percent < 100:
            found.append(f"{name}: expected all of its traffic, got {placed.weight_percent} %")
    return found


def read(release: Release, stage: str) -> Snapshot | None:
    """The snapshot that this release took of this stage's environment; None when it took none."""
    event = release.ledger.last(release.id, "snapshot.taken", release.environment(stage).name)
    if event is None:
        return None
    return Snapshot(
        Deployment.from_json(event.data["deployment"]),
        redis_state.from_json(event.data["redis"]),
        event.data.get("routes"),
    )
