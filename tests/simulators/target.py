"""A target that is a JSON file: it obeys the protocol, fencing included, and can be bent.

What stands in it writes to its Redis as its version does: the stable one to `orders`, the new one to `risk:exposure`.
`before_step` is told the number of each step of a converge and may raise `Killed`; `refuse` makes a converge fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis

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
        self._redis = redis.Redis.from_url(redis_url)
        self.refuse: str | None = None
        self.before_step: Callable[[int], None] = lambda _: None

    def observe(self) -> Deployment:
        return Deployment.from_json(self._read()["deployment"])

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        self._obey(token)
        if self.refuse:
            raise TargetError(self.refuse, where="simulated")
        for number, step in enumerate(self._steps(desired)):
            self.before_step(number)
            self._obey(token)
            self._write(step)
            self._serve(step)
            progress(f"step {number}")
        return self.observe()

    def routes(self) -> Mapping[str, str]:
        return {f"PathPrefix(`{s.route}`)": name for name, s in self._plan.services.items() if s.route}

    def addresses(self) -> Addresses:
        return Addresses("http://127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9", self._file)

    def redis_url(self) -> str:
        return self._redis_url

    def configurations(self, version: str) -> Mapping[str, str]:
        return {name: f"sha256:configuration-{name}-{version}" for name in self._plan.services}

    def _steps(self, desired: Deployment) -> list[Deployment]:
        """One placement at a time, weights last: what stands in between is neither the old nor the new."""
        now = self.observe()
        both: dict[tuple[str, str], Placement] = {(p.service, p.version): p for p in now.placements}
        steps = []
        for placement in desired.placements:
            key = (placement.service, placement.version)
            old = both.get(key)
            both[key] = replace(placement, weight_percent=old.weight_percent if old else 0)
            steps.append(Deployment(tuple(both.values()), now.flags))
        return [*steps, desired]

    def _serve(self, deployment: Deployment) -> None:
        versions = deployment.versions()
        if self._plan.from_version in versions:
            self._redis.xadd("orders", {"order_id": "of 1.0.0"})
        if self._plan.to_version in versions:
            self._redis.hset("risk:exposure", "BTC-USD", "1")

    def _obey(self, token: int) -> None:
        newest = self._read()["token"]
        if token < newest:
            raise StaleTokenError(f"token {token} is older than {newest}", where=str(self._file))
        self._write(self.observe(), token)

    def _read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"token": 0, "deployment": Deployment().to_json()}
        content: dict[str, Any] = json.loads(self._file.read_text())
        return content

    def _write(self, deployment: Deployment, token: int | None = None) -> None:
        token = self._read()["token"] if token is None else token
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps({"token": token, "deployment": deployment.to_json()}))
        beside.rename(self._file)
