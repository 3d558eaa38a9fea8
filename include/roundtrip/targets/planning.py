"""What has to be kept, started and retired so that what is there becomes what is desired. Pure.

Rules:
1. An instance is kept when it runs just what is desired and is not lost; the lowest numbers are kept first.
2. A new instance gets a number that no instance of its service and version has, so that old and new can run at once.
3. Everything else is retired. Planning again after the steps were done keeps all and starts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Generic

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.targets.instances import Instance, InstanceT, Start


@dataclass(frozen=True)
class Steps(Generic[InstanceT]):
    """The way from the instances that are there to a deployment."""

    keep: tuple[InstanceT, ...]
    start: tuple[Start, ...]
    retire: tuple[InstanceT, ...]


def plan_steps(
    present: Collection[InstanceT], desired: Deployment, lost: Collection[InstanceT] = frozenset()
) -> Steps[InstanceT]:
    """`present` is every instance that is known; `lost` are those of them that cannot come up again."""
    keep: list[InstanceT] = []
    start: list[Start] = []
    for p in desired.placements:
        of = sorted(i for i in present if (i.service, i.version) == (p.service, p.version))
        fit = [i for i in of if runs(i, p) and i not in lost][: p.replicas]
        keep += fit
        if len(fit) < p.replicas:
            numbers = islice(_free({i.number for i in of}), p.replicas - len(fit))
            start.append(Start(p, tuple(numbers)))
    return Steps(tuple(keep), tuple(start), tuple(sorted(set(present) - set(keep))))


def runs(instance: Instance, placement: Placement) -> bool:
    """Whether it runs just this bundle with just this configuration."""
    return (instance.bundle, instance.configuration) == (placement.bundle, placement.configuration)


def _free(taken: Collection[int]) -> Iterator[int]:
    return (number for number in count(1) if number not in taken)
