"""What the campaign has to know of a kind of environment: what it is made of, how it is looked at, how it is harmed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from roundtrip.targets.infrastructure import LoopbackInfrastructure
from tests.chaos.damage import Undo
from tests.chaos.network import Way

PRODUCTION = "chaos_production"
"""the environment that the campaign's releases go to"""


@dataclass(frozen=True)
class Artefact:
    """What a service of one version is started from."""

    service: str
    version: str
    digest: str


class Ground(Protocol):
    """What environments of one kind stand on, here. What is asked or done is production's."""

    @property
    def prefix(self) -> str:
        """What the files of its environments begin with."""

    @property
    def target(self) -> Mapping[str, Any]:
        """What an environment's `target` says beside its kind."""

    @property
    def warm_up_seconds(self) -> float:
        """Of a gate: for how long what has just been started may be slow."""

    def end(self, infrastructure: LoopbackInfrastructure) -> None:
        """Nothing of the environment is left but its folder."""

    def running(self) -> dict[tuple[str, str], int]:
        """How often each service runs, by service and version: what the machine says, not the product."""

    def pid(self, program: str) -> int | None:
        """Of traefik, redis or the watchdog; None while it has no process."""

    def instances(self, version: str) -> Mapping[str, int]:
        """The main process of each instance of this version, by the instance's name."""

    def way_to_redis(self, url: str) -> Way:
        """What the services of the platform reach it by, and whoever has its `url`."""

    def damage(self, artefact: Artefact, dice: random.Random) -> Undo:
        """It is not what its digest says any more, where an instance would be started from."""

    def keep_from_starting(self, artefact: Artefact, dice: random.Random) -> Undo:
        """Its instances die, what they were started from is gone, and so is what that was taken from."""
