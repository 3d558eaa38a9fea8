"""The one safe thing: no traffic on the new version, and none of its workers at a queue, wherever the stable one is there.

Rules:
1. It needs neither Airflow nor a secret nor the ledger. What stands is observed and what was placed is in the lease.
2. Where the ledger can be written, `watchdog.lapsed` is there first: from then on the release does not go forward, whoever
   of it wakes up. A ledger that does not answer within LEDGER_SECONDS is not waited for; a task that wanted to go
   forward could not get a token from it either.
3. It acts with a token of its own. Without the ledger that is one above the newest that the target has seen: a converge
   that slept is overtaken, and any token that the ledger gives out later is at least as new.
4. What was done is in a file before it is in the ledger; it is written there when the ledger is back.
5. A release that the ledger says has ended is left as it is; the ledger takes either the end or the lapse, whichever came
   first.
6. A weight holds no worker that takes from a queue, so the new version's are told to end, after traffic is back. They finish
   what they have taken, and the stable version's go on.
7. Each step may be repeated: a watchdog that was killed does the same again, or finds it done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from roundtrip.errors import LedgerError, SecretError, StaleTokenError, TargetError
from roundtrip.lease import Lease
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.rollout.deploying import LAPSED
from roundtrip.rollout.leasing import PULLED
from roundtrip.rollout.standing import pulled_back
from roundtrip.targets import open_target
from roundtrip.targets.fence import Fence

log = logging.getLogger(__name__)

HOLDER = "watchdog"
ENDED = ("promoted", "release.outcome")
"""A release that has ended is not looked after any more; whoever ended it was killed before it ended the lease."""
LEDGER_SECONDS = 5.0


class TakingBack:
    """Takes back one release whose lease has lapsed. Raises TargetError when the lease holds no plan."""

    def __init__(self, folder: Path, lease: Lease, last_holder: str) -> None:
        self._folder = folder
        self._lease = lease
        try:
            self._environment = Environment.model_validate(lease.environment)
            self._plan = Plan.model_validate(lease.plan)
        except ValidationError as error:
            raise TargetError(
                f"the lease of {lease.release} holds no plan or environment of this Roundtrip: {error.error_count()} problems",
                where=str(folder),
                remedy="take the release back by hand: Dags > rollback_… > Trigger",
            ) from error
        self._about = {
            "environment": self._environment.name,
            "version": lease.version,
            "seconds": lease.seconds,
            "holder": last_holder,
            "reason": f"nobody has renewed the lease for {lease.seconds:g} s, {last_holder} last",
        }
        home = Home(folder.parent.parent)
        self._target = open_target(self._environment, self._plan, home, _no_secrets)

    def pull(self) -> dict[str, Any] | None:
        """Bring traffic back; what is to be in the ledger about it, None for a release that has ended.

        Raises TargetError, HostError, StaleTokenError.
        """
        try:
            token = self._within(LEDGER_SECONDS, self._say_lapsed)
        except StaleTokenError as error:
            log.info("nothing to take back: %s", error)
            return None
        where = "the ledger's" if token is not None else "one above the newest: the ledger does not answer"
        if token is None:
            token = Fence(self._folder).newest() + 1
        log.warning("%s: %s; token %d, %s", self._lease.release, self._about["reason"], token, where)
        placed = Deployment.from_json(self._lease.placed)
        desired = pulled_back(self._target.observe(), placed, self._lease.version)
        observed = self._target.converge(desired, token, log.info)
        if (quiet := self._without_queue_workers(desired)) != desired:
            observed = self._target.converge(quiet, token, log.info)
        return {**self._about, "token": token, "deployment": observed.to_json()}

    def record(self, done: Mapping[str, Any]) -> bool:
        """Whether it is in the ledger now."""
        return self._within(LEDGER_SECONDS, lambda ledger: self._say_pulled(ledger, done)) is not None

    def record_failure(self, why: str) -> None:
        """Say once that it did not succeed yet."""
        data = {**self._about, "why": why}

        def say(ledger: Ledger) -> int:
            return ledger.append_once(
                self._lease.release, "watchdog.failed", self._environment.name, data
            ).seq

        self._within(LEDGER_SECONDS, say)

    def _without_queue_workers(self, deployment: Deployment) -> Deployment:
        """Rule 6."""
        others = {p.service for p in deployment.placements if p.version != self._lease.version}
        queues = others & {name for name, service in self._plan.services.items() if service.queue}
        kept = [
            p for p in deployment.placements if p.version != self._lease.version or p.service not in queues
        ]
        return replace(deployment, placements=tuple(kept))

    def _say_lapsed(self, ledger: Ledger) -> int:
        environment, release = self._environment.name, self._lease.release
        ledger.append_once(release, LAPSED, environment, self._about, refuse_after=ENDED)
        return ledger.take_token(environment, release=release, holder=HOLDER)

    def _say_pulled(self, ledger: Ledger, done: Mapping[str, Any]) -> int:
        environment, release = self._environment.name, self._lease.release
        ledger.append_once(release, LAPSED, environment, self._about)
        return ledger.append_once(release, PULLED, environment, done).seq

    def _within(self, seconds: float, say: Callable[[Ledger], int]) -> int | None:
        """What `say` gives; None when the ledger did not take it in that time. It may still take it later.

        Raises StaleTokenError when the ledger refuses it.
        """
        said: list[int | StaleTokenError] = []

        def speak() -> None:
            try:
                said.append(say(Ledger(self._lease.ledger)))
            except StaleTokenError as error:
                said.append(error)
            except LedgerError as error:
                log.error("%s", error)

        speaking = threading.Thread(target=speak, daemon=True)
        speaking.start()
        speaking.join(seconds)
        answer = said[0] if said else None
        if isinstance(answer, StaleTokenError):
            raise answer
        return answer


def _no_secrets(connection: str) -> Mapping[str, str]:
    raise SecretError(f"the watchdog has no secrets, and was asked for those of {connection}")
