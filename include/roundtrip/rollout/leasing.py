"""The lease of a release in production: held while it stands there, renewed by whoever works for it.

Rules:
1. Production only: in staging nobody is harmed by a version that nobody looks after, and the run takes it back.
2. Every step renews it as long as its process lives, a gate with its samples. A process that was killed or stopped renews
   nothing; a step that hangs does, until its own limit ends it.
3. Once `watchdog.lapsed` is in the ledger the release only goes back (`refuse_lapsed`, and `NO_WAY_FORWARD` of every
   step that deploys).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roundtrip import lease
from roundtrip.errors import StaleTokenError, TargetError
from roundtrip.lease import Lease
from roundtrip.plan.deployment import Deployment
from roundtrip.release import Release
from roundtrip.rollout.deploying import LAPSED

log = logging.getLogger(__name__)

STAGE = "production"
PULLED = "watchdog.pulled"
RENEWALS = 6
"""in the time that the lease holds: a few of them may be late"""


def hold(release: Release, placed: Deployment, holder: str) -> None:
    """Hold the lease, with what the release has placed so far. Raises StaleTokenError when it has lapsed before."""
    refuse_lapsed(release)
    environment = release.environment(STAGE)
    held = Lease(
        release=release.id,
        ledger=release.ledger.url,
        seconds=release.plan.production.lease_seconds,
        version=release.plan.to_version,
        plan=release.plan.model_dump(mode="json"),
        environment=environment.model_dump(mode="json"),
        placed=placed.to_json(),
    )
    lease.hold(_folder(release), held, holder)


def end(release: Release) -> None:
    """The release no longer needs watching; may be repeated."""
    if STAGE in release.environments:
        lease.end(_folder(release), release.id)


def renew(release: Release, holder: str) -> None:
    """A sign of life, where the release holds the lease. Raises StaleTokenError when it has lapsed."""
    if not lease.renew(_folder(release), release.id, holder):
        refuse_lapsed(release)


def renewal_seconds(release: Release) -> float:
    """How far apart two renewals are."""
    return release.plan.production.lease_seconds / RENEWALS


def refuse_lapsed(release: Release) -> None:
    """Raises StaleTokenError when the watchdog has taken the release's traffic back."""
    there = release.ledger.last(release.id, LAPSED)
    unsaid = lease.taken_back(_folder(release))
    if there is None and (unsaid is None or unsaid["lease"]["release"] != release.id):
        return
    reason = there.data["reason"] if there is not None else "the ledger does not know of it yet"
    raise StaleTokenError(
        f"the watchdog of {release.environment(STAGE).name} has taken the traffic back: {reason}",
        where=release.id + (f", event {there.seq}" if there is not None else ""),
        remedy="the release is taken back; look why nothing of it ran then",
    )


@contextmanager
def renewed(release: Release, holder: str) -> Iterator[None]:
    """Renew within, from a thread that ends with the process."""
    if STAGE not in release.environments:
        yield
        return
    over = threading.Event()
    folder, pause = _folder(release), renewal_seconds(release)

    def go_on() -> None:
        while True:
            try:
                lease.renew(folder, release.id, holder)
            except (TargetError, OSError) as error:  # one renewal that is lost is made up for by the next
                log.warning("the lease was not renewed: %s", error)
            if over.wait(pause):
                return

    thread = threading.Thread(target=go_on, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _folder(release: Release) -> Path:
    return release.home.environment(release.environment(STAGE).name)
