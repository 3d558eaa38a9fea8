"""Plan 4.5: notify stakeholders, track the incident's timeline, draft the post-mortem.

Rules:
1. `tell_begun` runs beside the way back: no step of it waits for a channel (decision 0005).
2. A rollback that could not finish is told too, as that.
3. The post-mortem is a view of the ledger: what was seen when, what decided, what it cost clients. It is due once
   everything is restored; of a drill it is not.
"""

from __future__ import annotations

import logging

from roundtrip import durable
from roundtrip.narrative.client_traffic import record_traffic
from roundtrip.narrative.postmortem import postmortem
from roundtrip.notifying import messages
from roundtrip.notifying.telling import notify
from roundtrip.release import Release
from roundtrip.rollout.outcome import Outcome, decide

log = logging.getLogger(__name__)


def tell_begun(release: Release) -> None:
    """Tell what a gate has found, and that the release is being taken back.

    The gate has done what was urgent, the traffic; it does not tell, since it shares its process with other gates.
    """
    for breach in messages.breaches(release):
        notify(release, breach)
    notify(release, messages.rollback_begun(release))


def communicate(release: Release) -> None:
    """Record the traffic's account, draft the post-mortem, and tell how it ended."""
    record_traffic(release)
    ended = decide(release)
    events = release.ledger.events(release.id)
    path = release.folder / "postmortem.md"
    durable.write(path, postmortem(release.id, events, outcome=ended.outcome.value, reason=ended.reason))
    log.info("post-mortem draft: %s", path)
    notify(release, messages.ended(release, ended.outcome.value))
    if ended.outcome is Outcome.ROLLED_BACK and not release.is_drill:
        notify(release, messages.post_mortem_due(release))
