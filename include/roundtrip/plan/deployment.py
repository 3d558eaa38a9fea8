"""A deployment is a value: what runs where, with which share of traffic. Every change of it is a pure function.

Rules:
1. A deployment never changes; `canary`, `wave`, `without_version` return a new one.
2. Weights of a service's versions add up to 100, or the service is not routed at all (all weights 0). Only an observed
   deployment may fall short: a version that has traffic but no healthy process is not placed.
3. Two deployments that mean the same are equal: parts are sorted, a version with no replicas is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from roundtrip.plan.model import Plan, Wave


@dataclass(frozen=True, order=True)
class Placement:
    """One version of one service."""

    service: str
    version: str
    replicas: int
    """processes, at least 1"""
    bundle: str
    """sha256:… of the bundle that runs"""
    configuration: str
    """sha256:… of its environment variables; the values stay in the secrets backend"""
    weight_percent: int
    """share of the service's traffic, 0 to 100"""

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(
                f"{self.service} {self.version}: replicas: expected at least 1, got {self.replicas}"
            )
        if not 0 <= self.weight_percent <= 100:
            raise ValueError(
                f"{self.service} {self.version}: weight_percent: expected 0 to 100, got {self.weight_percent}"
            )


def placement_in_words(service: object, version: object, replicas: object, weight_percent: object) -> str:
    """`api 1.1.0 × 2 at 50 %`: the same words in logs, on pages and in the command's answers."""
    return f"{service} {version} × {replicas} at {weight_percent} %"


def in_words(deployment: Mapping[str, Any]) -> str:
    """A deployment as the ledger has it, in one line."""
    names = ("service", "version", "replicas", "weight_percent")
    parts = [placement_in_words(*map(placement.get, names)) for placement in deployment.get("placements", [])]
    on = [name for name, is_on in deployment.get("flags", {}).items() if is_on]
    return "; ".join([*(parts or ["nothing runs"]), f"flags on: {', '.join(on)}" if on else "flags off"])


@dataclass(frozen=True)
class Deployment:
    """All placements of one environment, and its feature flags."""

    placements: tuple[Placement, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "placements", tuple(sorted(self.placements)))
        object.__setattr__(self, "flags", dict(sorted(self.flags.items())))
        keys = [(p.service, p.version) for p in self.placements]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a version of a service is placed twice: {keys}")
        for service in self.services():
            total = sum(p.weight_percent for p in self.of(service))
            if total > 100:
                raise ValueError(
                    f"{service}: weights of its versions: expected at most 100 in all, got {total}"
                )

    def services(self) -> tuple[str, ...]:
        return tuple(sorted({p.service for p in self.placements}))

    def versions(self) -> tuple[str, ...]:
        return tuple(sorted({p.version for p in self.placements}))

    def of(self, service: str) -> tuple[Placement, ...]:
        return tuple(p for p in self.placements if p.service == service)

    def get(self, service: str, version: str) -> Placement | None:
        return next((p for p in self.placements if (p.service, p.version) == (service, version)), None)

    def with_flags(self, flags: Mapping[str, bool]) -> Deployment:
        return replace(self, flags={**self.flags, **flags})

    def to_json(self) -> dict[str, Any]:
        return {"placements": [vars(p) for p in self.placements], "flags": dict(self.flags)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Deployment:
        return cls(tuple(Placement(**p) for p in data["placements"]), dict(data["flags"]))

    def digest(self) -> str:
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def whole(
    version: str, plan: Plan, bundles: Mapping[str, str], configurations: Mapping[str, str]
) -> Deployment:
    """One version, alone: all its replicas, all traffic. `bundles` and `configurations` are digests by service."""
    stable = version == plan.from_version
    return Deployment(
        tuple(
            Placement(name, version, count, bundles[name], configurations[name], 100)
            for name, service in plan.services.items()
            if (count := service.replicas.stable if stable else service.replicas.new)
        )
    )


def mixed(stable: Deployment, new: Deployment, plan: Plan, wave: Wave) -> Deployment:
    """`stable` with `new` beside it at this wave's share.

    Stable keeps all its replicas until it is retired, so traffic can go back at once; a service that takes its work
    from a queue is shared by replicas. Services that only one side has are placed with all their traffic.
    """
    placements: list[Placement] = []
    for service in sorted({*stable.services(), *new.services()}):
        before, after = stable.of(service), new.of(service)
        share = wave.traffic_percent if before and after else 100
        is_queue = service in plan.services and plan.services[service].queue
        for p in after:
            replicas = wave.workers(p.replicas) if is_queue else p.replicas
            placements.append(replace(p, replicas=replicas, weight_percent=share))
        rest = 100 - share if after else 100
        placements += [replace(p, weight_percent=rest) for p in before]
    return Deployment(tuple(placements), stable.flags)


def pulled(deployment: Deployment, version: str) -> Deployment:
    """`deployment` with no traffic on `version` wherever another version can take it."""

    def weight(p: Placement) -> int:
        others = [o for o in deployment.of(p.service) if o.version != version]
        if not others:
            return p.weight_percent
        if p.version == version:
            return 0
        share = sum(o.weight_percent for o in others)
        if share == 0:
            return 100 if p == others[0] else 0
        return p.weight_percent + (100 - share if p == others[0] else 0)

    return _each(deployment, lambda p: replace(p, weight_percent=weight(p)))


def retired(deployment: Deployment, version: str) -> Deployment:
    """`deployment` without `version`: stop new services (plan 4.1), or retire the old ones after promotion."""
    left = tuple(p for p in pulled(deployment, version).placements if p.version != version)
    return Deployment(left, deployment.flags)


def _each(deployment: Deployment, change: Callable[[Placement], Placement]) -> Deployment:
    changed: Iterable[Placement] = (change(p) for p in deployment.placements)
    return Deployment(tuple(changed), deployment.flags)
