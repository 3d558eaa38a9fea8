"""Plan 3.5: a runbook for on-call engineers, and backlog tasks for what remains; both from what happened."""

from __future__ import annotations

import logging

from roundtrip import durable
from roundtrip.forge import open_forge
from roundtrip.narrative.client_traffic import record_traffic
from roundtrip.narrative.runbook import backlog, runbook
from roundtrip.release import Release
from roundtrip.rollout import on_github

log = logging.getLogger(__name__)


def post_launch(release: Release) -> None:
    """Write the runbook of the new version beside the dossier and put the backlog tasks into the forge."""
    record_traffic(release, goes_on=True)
    events = release.ledger.events(release.id)
    path = release.folder / "runbook.md"
    durable.write(path, runbook(release.id, events, release.plan))
    items = backlog(release.id, events, release.plan)
    numbers = open_forge(release).backlog(items)
    data = {"runbook": path.name, "backlog": list(numbers)}
    release.ledger.append_once(release.id, "post_launch.done", "post_launch", data)
    log.info("runbook: %s; backlog tasks: %s", path, ", ".join(map(str, numbers)) or "none")
    on_github.add_backlog(release, items)
