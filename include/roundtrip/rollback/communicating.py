"""Plan 4.5: notify stakeholders, track the incident's timeline, draft the post-mortem.

Rules:
1. A channel that fails is recorded and never stops a rollback. A rollback that could not finish is told too, as that.
2. The post-mortem is a view of the ledger: what was seen when, what decided, what it cost clients.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

from roundtrip import durable
from roundtrip.narrative.client_traffic import record_traffic
from roundtrip.narrative.postmortem import postmortem
from roundtrip.release import Release
from roundtrip.rollback.restoring import stages
from roundtrip.rollout.outcome import Outcome, decide

log = logging.getLogger(__name__)


def communicate(release: Release) -> None:
    """Record the traffic's account, draft the post-mortem, and tell every channel of the environments."""
    record_traffic(release)
    path = release.folder / "postmortem.md"
    durable.write(path, postmortem(release.id, release.ledger.events(release.id)))
    log.info("post-mortem draft: %s", path)
    where = ", ".join(release.environment(stage).name for stage in stages(release))
    is_back = decide(release).outcome is Outcome.ROLLED_BACK
    what = "was rolled back in" if is_back else "COULD NOT BE TAKEN BACK, somebody has to look at"
    subject = f"{release.plan.platform} {release.plan.to_version} {what} {where}"
    for channel in sorted({c for stage in stages(release) for c in release.environment(stage).notify}):
        _notify(release, channel, subject)


def _notify(release: Release, channel: str, subject: str) -> None:
    if channel != "file":
        error = f"no channel '{channel}', known: file"
        release.ledger.append(release.id, "notification.failed", {"channel": channel, "error": error})
        log.error("notification: %s", error)
        return
    line = json.dumps({"at": datetime.now(UTC).isoformat(), "release": release.id, "subject": subject})
    path = release.home.root / "notifications.jsonl"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as failure:
        data = {"channel": channel, "error": str(failure)}
        release.ledger.append(release.id, "notification.failed", data)
        log.error("notification by %s failed: %s", channel, failure)
        return
    release.ledger.append(release.id, "notification.sent", {"channel": channel, "subject": subject})
    log.info("notified %s: %s", channel, subject)
