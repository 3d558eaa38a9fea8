"""Plan 4.3: takes back what the new version wrote to Redis and the stable one does not know.

Rules:
1. It runs after the new version has stopped, and looks whether it has: nothing writes these keys meanwhile.
2. What is removed was copied aside before, whole, and is in the ledger by file name, digest and counts
   (`state.copied`); `./roundtrip restore-state` puts it back while the plan keeps it.
3. One acts at a time: who removes holds the environment's newest token, and stops when there is a newer one.
4. Killed at any line and run again it copies and removes what is there then; a second copy of a key is newer.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from roundtrip.errors import RollbackError
from roundtrip.release import Release
from roundtrip.rollback.copying import Copied, copy_aside
from roundtrip.rollback.guarding import holds
from roundtrip.rollback.removing import remove
from roundtrip.rollback.restoring import snapshot_of, stages
from roundtrip.rollout import aside
from roundtrip.rollout.aside import Header
from roundtrip.rollout.snapshots import redis_of
from roundtrip.targets.bundles import file_digest

log = logging.getLogger(__name__)

COPIED = "state.copied"
HOLDER = "rollback.revert_state"


def revert_state(release: Release) -> None:
    """Take back what the new version wrote, in every environment that it touched. Raises RollbackError, StaleTokenError."""
    aside.remove_expired(release.home, datetime.now(UTC))
    for stage in stages(release):
        _revert(release, stage)


def _revert(release: Release, stage: str) -> None:
    environment = release.environment(stage).name
    _require_stopped(release, stage)
    before = snapshot_of(release, stage).redis
    token = release.ledger.take_token(environment, release=release.id, holder=HOLDER)
    path = aside.path_of(release.folder, environment, token)
    removed = 0
    with redis_of(release, stage) as client:
        copied = copy_aside(client, release.plan.rollback.state, before, path, _header(release, environment))
        if copied.keys:
            _record(release, environment, path, copied)
            removed = remove(client, path, holds(release, environment, token))
    detail = f"copied {copied.keys} keys aside, removed {removed} of {release.plan.to_version}"
    log.info("%s: %s", environment, detail)
    data = {"environment": environment, "step": "revert_state", "detail": detail}
    release.ledger.append(release.id, "rollback.step", data)


def _require_stopped(release: Release, stage: str) -> None:
    version = release.plan.to_version
    if version in release.target(stage).observe().versions():
        raise RollbackError(
            f"expected {version} to have stopped, it still runs",
            where=release.environment(stage).name,
            remedy="nothing was removed; run the rollback from deploy_last_known_good on again",
        )


def _header(release: Release, environment: str) -> Header:
    now = datetime.now(UTC)
    until = now + timedelta(days=release.plan.rollback.state_kept_days)
    return Header(release.id, environment, now.isoformat(), until.isoformat())


def _record(release: Release, environment: str, path: Path, copied: Copied) -> None:
    data = {
        "environment": environment,
        "file": path.name,
        "digest": file_digest(path),
        "size_bytes": path.stat().st_size,
        "keys": copied.keys,
        "by_pattern": dict(copied.by_pattern),
        "kept_until": aside.read_header(path).kept_until,
    }
    release.ledger.append_once(release.id, COPIED, path.name, data)
    log.info("%s: %d keys are copied to %s until %s", environment, copied.keys, path, data["kept_until"])
