"""A release on the stage, with clients at work from before its beginning until after its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.chaos import observer
from tests.chaos.invariants import Seen, violations
from tests.chaos.observer import Account
from tests.chaos.stage import Stage

LIMIT_SECONDS = 400.0


@dataclass(frozen=True)
class Begun:
    """A release that has begun."""

    stage: Stage
    id: str
    run_id: str
    account: Account
    """the clients'"""

    def coming(self) -> Iterator[dict[str, Any]]:
        """Its events as they come; the last one is its outcome, unless there is none within the limit."""
        for event in observer.coming(self.stage.ledger, self.id, limit_seconds=LIMIT_SECONDS):
            yield event
            if event["kind"] == "release.outcome":
                return

    def events(self) -> list[dict[str, Any]]:
        """All that there are by now."""
        return observer.events(self.stage.ledger, self.id)

    def settled_state(self) -> str:
        """The run's state when Airflow has noticed that its last task is over."""
        return self.stage.settled_state(self.run_id)

    def violations(
        self, outcome: str | None, state: str, *, is_harmful: bool = False, fails_clients: bool = False
    ) -> list[str]:
        """What does not hold of it as it has ended, each as a sentence."""
        seen = Seen(outcome, state, self.events(), self.account, is_harmful, fails_clients)
        stage = self.stage
        return list(violations(seen, stage.front_door, stage.redis_url, stage.ground.running, stage.ledger))


def outcome_of(event: Mapping[str, Any]) -> str | None:
    """What this event says the release has come to; None when it is about something else."""
    return str(event["data"]["outcome"]) if event["kind"] == "release.outcome" else None


@contextmanager
def begun(stage: Stage, name: str, seed: int) -> Iterator[Begun]:
    """A release from the stable version, alone; `seed` is that of the clients' orders. They end with the block."""
    stage.reset()
    run_id = f"{name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    with observer.Client(stage.front_door, seed) as client:
        yield Begun(stage, stage.begin(run_id), run_id, client.account)
