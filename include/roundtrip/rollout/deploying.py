"""Brings an environment to a deployment on behalf of a release.

Rules:
1. `deployed` is in the ledger before the first converge after the environment's snapshot: rollback looks for it.
2. A token is taken for every converge. Once `rollback.begun` or `watchdog.lapsed` is in the ledger, only the way back gets
   one.
3. Where clients are generated they send at the full rate as soon as the new version serves, so that a gate has what it
   needs, and not before: what starts would have to share a machine with them, and what serves already would suffer.
4. What was observed afterwards is recorded, never what was asked for.
"""

from __future__ import annotations

import logging
import os
import socket

from roundtrip.errors import ArtefactError
from roundtrip.plan.deployment import Deployment, in_words, whole
from roundtrip.release import Release
from roundtrip.traffic.rate import ask_for_traffic, let_rest

log = logging.getLogger(__name__)

ROLLBACK_BEGUN = "rollback.begun"
LAPSED = "watchdog.lapsed"
NO_WAY_FORWARD = (ROLLBACK_BEGUN, LAPSED)
"""once one of them is in the ledger, the release only goes back"""


def deploy(release: Release, stage: str, desired: Deployment, *, holder: str) -> Deployment:
    """Converge on behalf of the release going forward. Raises StaleTokenError once it only goes back."""
    environment = release.environment(stage).name
    if release.ledger.last(release.id, "snapshot.taken", environment) is not None:
        data = {"version": release.plan.to_version, "stage": stage}
        release.ledger.append_once(release.id, "deployed", environment, data, refuse_after=NO_WAY_FORWARD)
    token = release.ledger.take_token(
        environment, release=release.id, holder=holder, refuse_after=NO_WAY_FORWARD
    )
    let_rest(release.home, release.environments, but=stage)
    observed = converge(release, stage, desired, token, holder=holder)
    if any(p.version == release.plan.to_version and p.weight_percent for p in observed.placements):
        ask_for_traffic(release.home, release.environments, full=stage)
    return observed


def converge(release: Release, stage: str, desired: Deployment, token: int, *, holder: str) -> Deployment:
    """Converge with a token already taken, and record what was asked for and what was observed."""
    environment = release.environment(stage).name
    about = {"environment": environment, "token": token, "holder": holder}
    who = {"host": socket.gethostname(), "pid": os.getpid()}
    release.ledger.append(release.id, "converge.started", {**about, **who, "desired": desired.to_json()})
    observed = release.target(stage).converge(desired, token, log.info)
    release.ledger.append(release.id, "converge.finished", {**about, "observed": observed.to_json()})
    log.info("%s is at %s", environment, describe(observed))
    return observed


def new_release(release: Release, stage: str) -> Deployment:
    """The new version alone, as built by this release: all replicas, all traffic."""
    return _whole(release, stage, release.plan.to_version, built(release, stage))


def stable_release(release: Release, stage: str, bundles: dict[str, str]) -> Deployment:
    """The stable version alone, from the digests that its signed checksums name."""
    return _whole(release, stage, release.plan.from_version, bundles)


def built(release: Release, stage: str) -> dict[str, str]:
    """Digests of the new version by service, from the ledger, in the form that runs at the stage. Raises ArtefactError."""
    version, form = release.plan.to_version, release.environment(stage).form
    digests: dict[str, str] = {}
    for service in release.plan.services:
        event = release.ledger.last(release.id, f"build.{form}", f"{service}@{version}")
        if event is None:
            raise ArtefactError(
                f"no {form} of {service} {version} was built by this release",
                where=release.id,
                remedy="run the build section again",
            )
        digests[service] = event.data["digest"]
    return digests


def describe(deployment: Deployment) -> str:
    """One line for a log: every placement with replicas and weight."""
    return in_words(deployment.to_json())


def _whole(release: Release, stage: str, version: str, bundles: dict[str, str]) -> Deployment:
    configurations = release.target(stage).configurations(version)
    return whole(version, release.plan, bundles, configurations)
