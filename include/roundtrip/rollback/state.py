"""Plan 4.3: removes the keys that the new version wrote to Redis and the stable one does not know.

Rules:
1. Only keys that a rule of the plan names as not known to the stable version are removed.
2. Every key's type is compared with its rule before any is removed; one that differs stops the step.
3. It runs after the new version has stopped, so nothing writes them again.
4. Keys are removed by UNLINK in bounded batches; run again, it goes on.
"""

from __future__ import annotations

import logging

import redis

from roundtrip.errors import RollbackError
from roundtrip.plan.model import StateRule
from roundtrip.release import Release
from roundtrip.rollback.restoring import snapshot_of, stages
from roundtrip.rollout import redis_state
from roundtrip.rollout.snapshots import redis_of

log = logging.getLogger(__name__)

UNLINK_BATCH = 500


def revert_state(release: Release) -> None:
    """Take back what the new version wrote, in every environment that it touched."""
    for stage in stages(release):
        environment = release.environment(stage).name
        before = set(snapshot_of(release, stage).redis)
        with redis_of(release, stage) as client:
            doomed = to_remove(client, release.plan.rollback.state, before, environment)
            remove(client, doomed)
        log.info("%s: removed %d keys of %s", environment, len(doomed), release.plan.to_version)
        release.ledger.append(
            release.id,
            "rollback.step",
            {
                "environment": environment,
                "step": "revert_state",
                "detail": f"removed {len(doomed)} keys",
                "keys": doomed,
            },
        )


def to_remove(client: redis.Redis, rules: list[StateRule], before: set[str], environment: str) -> list[str]:
    """Names of the new version's keys. Raises RollbackError, before anything is removed, on a type that does not fit."""
    doomed: list[str] = []
    problems: list[str] = []
    for rule in (r for r in rules if not r.known_to_stable):
        for name in redis_state.matching(client, rule.pattern):
            kind = redis_state.key_type(client, name)
            if kind not in (rule.type, "none"):
                problems.append(f"{name}: rule {rule.pattern} says {rule.type}, Redis has {kind}")
            elif name not in before and kind != "none":
                doomed.append(name)
    if problems:
        raise RollbackError(
            f"{len(problems)} keys do not fit the plan's state rules: " + "; ".join(problems[:10]),
            where=environment,
            remedy="nothing was removed; mend rollback.state in the plan or the keys, then run this task again",
        )
    return sorted(set(doomed))


def remove(client: redis.Redis, names: list[str]) -> None:
    """UNLINK in batches: the memory is freed beside the event loop of Redis."""
    for start in range(0, len(names), UNLINK_BATCH):
        client.unlink(*names[start : start + UNLINK_BATCH])
