"""What `./roundtrip status` says: what runs where, and how the newest release stands. It starts and makes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roundtrip import lease
from roundtrip.commands.prepare import Machine
from roundtrip.embedded.airflow import Login
from roundtrip.errors import TargetError
from roundtrip.ledger.ledger import Event
from roundtrip.plan.deployment import Deployment, placement_in_words


@dataclass(frozen=True)
class Standing:
    """This machine at one moment."""

    login: Login | None
    """None on a machine where Airflow was never started"""
    is_airflow_up: bool
    environments: Mapping[str, Deployment | str]
    """what is observed, or why nothing can be"""
    watched: Mapping[str, str]
    """release that holds the environment's lease, where one does, or why that cannot be told"""
    started: Event | None
    outcome: Event | None

    def to_json(self) -> dict[str, Any]:
        """For scripts; without the password."""
        return {
            "airflow": {"url": self.login.url if self.login else None, "is_up": self.is_airflow_up},
            "environments": {
                name: seen.to_json() if isinstance(seen, Deployment) else {"problem": seen}
                for name, seen in self.environments.items()
            },
            "watched": dict(self.watched),
            "release": self.started.release if self.started else None,
            "outcome": dict(self.outcome.data) if self.outcome else None,
        }

    def lines(self) -> list[str]:
        """For a person."""
        return [self._airflow(), *self._environments(), self._release()]

    def _airflow(self) -> str:
        if self.login is None:
            return "Airflow: was never started; ./roundtrip up starts it"
        state = "" if self.is_airflow_up else "is down; "
        return f"Airflow: {state}{self.login.url}  user {self.login.user}  password {self.login.password}"

    def _environments(self) -> list[str]:
        lines: list[str] = []
        for name, seen in self.environments.items():
            watched = f" watched: {self.watched[name]}" if name in self.watched else ""
            if isinstance(seen, str):
                lines.append(f"{name}: {seen}{watched}")
                continue
            flags = ", ".join(f"{flag} {'on' if on else 'off'}" for flag, on in seen.flags.items())
            lines.append(f"{name}:" + (f" flags {flags}" if flags else "") + watched)
            lines += [
                f"  {placement_in_words(p.service, p.version, p.replicas, p.weight_percent)} of its traffic"
                for p in seen.placements
            ] or ["  runs nothing"]
        return lines

    def _release(self) -> str:
        if self.started is None:
            return "no release was started yet"
        begun = f"{self.started.release} of {self.started.at:%Y-%m-%d %H:%M} UTC"
        if self.outcome is None:
            return f"newest release: {begun}: has not ended"
        return f"newest release: {begun}: {self.outcome.data['outcome']}: {self.outcome.data['reason']}"


def standing(machine: Machine) -> Standing:
    """This machine now. Raises LedgerError when the ledger cannot be trusted."""
    airflow = machine.airflow
    started = machine.ledger.last(None, "release.started")
    return Standing(
        login=airflow.login() if airflow.was_started() else None,
        is_airflow_up=airflow.is_up(),
        environments={e.name: _seen(machine, stage) for stage, e in machine.environments.items()},
        watched=_watched(machine),
        started=started,
        outcome=machine.ledger.last(started.release, "release.outcome") if started else None,
    )


def _watched(machine: Machine) -> dict[str, str]:
    watched: dict[str, str] = {}
    for environment in machine.environments.values():
        try:
            held = lease.read(machine.home.environment(environment.name))
        except TargetError as error:
            watched[environment.name] = str(error)
            continue
        if held is not None:
            watched[environment.name] = held.release
    return watched


def _seen(machine: Machine, stage: str) -> Deployment | str:
    target = machine.target(stage)
    if not target.infrastructure.is_up():
        return "is down"
    try:
        return target.observe()
    except TargetError as error:
        return str(error)
