"""Moments of a release at which something may happen: the first event of a kind, and a while after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """The first event of `kind` whose key, holder or step is `what`."""

    kind: str
    what: str
    needs_harm: bool = False
    """it comes only in a release that is taken back"""
    needs_health: bool = False
    """it comes only in a release that is not"""

    def is_now(self, event: Mapping[str, Any]) -> bool:
        data = event["data"]
        return event["kind"] == self.kind and self.what in (
            event["key"],
            data.get("holder"),
            data.get("step"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


MOMENTS = (
    Moment("token.taken", "production.flags_off"),
    Moment("converge.started", "production.wave_1"),
    Moment("gate.sample", "production.wave_1#1"),
    Moment("gate.verdict", "production.wave_1"),
    Moment("converge.started", "production.wave_2"),
    Moment("gate.sample", "production.wave_2#2"),
    Moment("converge.started", "production.flags_on", needs_health=True),
    Moment("gate.sample", "production.soak#2", needs_health=True),
    Moment("converge.started", "production.promote", needs_health=True),
    Moment("gate.verdict", "production.wave_2", needs_harm=True),
    Moment("token.taken", "rollback.begin", needs_harm=True),
    Moment("converge.started", "rollback.pull_traffic", needs_harm=True),
    Moment("converge.started", "rollback.stop_new_services", needs_harm=True),
    Moment("converge.started", "rollback.deploy_last_known_good", needs_harm=True),
    Moment("token.taken", "rollback.revert_state", needs_harm=True),
    Moment("rollback.step", "revert_state", needs_harm=True),
)
