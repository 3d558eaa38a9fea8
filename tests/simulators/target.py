"""A target that is a JSON file: it obeys the protocol, fencing included, and can be bent.

`die_after` makes the next converge die in the middle as a killed process does; `refuse` makes it raise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from roundtrip.errors import StaleTokenError, TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan
from roundtrip.targets.protocol import Addresses, Progress


class Killed(BaseException):
    """The process that ran this was killed; nothing after it runs."""


class SimulatedTarget:
    """One environment as a file below `folder`."""

    def __init__(self, folder: Path, environment: Environment, plan: Plan, redis_url: str) -> None:
        self._file = folder / f"{environment.name}.json"
        self._plan = plan
        self._redis_url = redis_url
        self.die_after: int | None = None
        self.refuse: str | None = None
        self.before_step: Callable[[], None] = lambda: None

    def observe(self) -> Deployment:
        return Deployment.from_json(self._read()["deployment"])

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        self._obey(token)
        if self.refuse:
            raise TargetError(self.refuse, where="simulated")
        for number, step in enumerate(self._steps(desired)):
            if self.die_after is not None and number >= self.die_after:
                self.die_after = None
                raise Killed
            self.before_step()
            self._obey(token)
            self._write(step)
            progress(f"step {number}")
        return self.observe()

    def addresses(self) -> Addresses:
        return Addresses("http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9", self._file)

    def redis_url(self) -> str:
        return self._redis_url

    def configurations(self, version: str) -> Mapping[str, str]:
        return {name: f"sha256:configuration-{name}-{version}" for name in self._plan.services}

    def _steps(self, desired: Deployment) -> list[Deployment]:
        """One placement at a time, weights last: what stands in between is neither the old nor the new."""
        now = self.observe()
        wanted = {(p.service, p.version): p for p in desired.placements}
        both: dict[tuple[str, str], Placement] = {(p.service, p.version): p for p in now.placements}
        steps = []
        for key, placement in wanted.items():
            old = both.get(key)
            both[key] = replace(placement, weight_percent=old.weight_percent if old else 0)
            steps.append(self._whatever(both, now))
        return [*steps, desired]

    @staticmethod
    def _whatever(placements: Mapping[tuple[str, str], Placement], now: Deployment) -> Deployment:
        return Deployment(tuple(placements.values()), now.flags)

    def _obey(self, token: int) -> None:
        newest = self._read()["token"]
        if token < newest:
            raise StaleTokenError(f"token {token} is older than {newest}", where=str(self._file))
        self._write(self.observe(), token)

    def _read(self) -> dict:
        if not self._file.exists():
            return {"token": 0, "deployment": Deployment().to_json()}
        return json.loads(self._file.read_text())

    def _write(self, deployment: Deployment, token: int | None = None) -> None:
        token = self._read()["token"] if token is None else token
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({"token": token, "deployment": deployment.to_json()}))
        beside.rename(self._file)
