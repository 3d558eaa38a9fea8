"""The ground of the local target: processes of this machine under supervisord, started from bundles."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon
from roundtrip.targets.bundles import BundleStore
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from tests.chaos import observer
from tests.chaos.damage import Undo, with_another_byte
from tests.chaos.ground import PRODUCTION, Artefact
from tests.chaos.network import Way, way_of
from tests.chaos.signals import kill

CODE = {"api": "dist", "workers": "site"}
"""the folder of a bundle without which its service does not start"""


@dataclass(frozen=True)
class Processes:
    """Below one state folder."""

    home: Home
    prefix: str = "local"
    warm_up_seconds: float = 1

    @property
    def target(self) -> Mapping[str, Any]:
        return {}

    def end(self, infrastructure: LoopbackInfrastructure) -> None:
        infrastructure.down()

    def running(self) -> dict[tuple[str, str], int]:
        return observer.running(self._folder)

    def pid(self, program: str) -> int | None:
        return self._pids().get(program)

    def instances(self, version: str) -> Mapping[str, int]:
        return {name: pid for name, pid in self._pids().items() if f"-{version}-" in name}

    def way_to_redis(self, url: str) -> Way:
        return way_of(url)

    def damage(self, artefact: Artefact, dice: random.Random) -> Undo:
        return with_another_byte(BundleStore(self.home.store).path(artefact.digest), dice)

    def keep_from_starting(self, artefact: Artefact, dice: random.Random) -> Undo:
        unpacked = self._folder / "bundles" / artefact.digest.removeprefix("sha256:")
        code = CODE[artefact.service]
        there, aside = unpacked / code, unpacked / f"{code}.aside"
        restore = self.damage(artefact, dice)
        there.rename(aside)
        instances = self.instances(artefact.version)
        kill(pid for name, pid in instances.items() if name.startswith(f"{artefact.service}-"))

        def repair() -> None:
            restore()
            if aside.exists() and not there.exists():
                aside.rename(there)

        return repair

    @property
    def _folder(self) -> Path:
        return self.home.environment(PRODUCTION)

    def _pids(self) -> dict[str, int]:
        """Of what has a process."""
        processes = Daemon(self._folder / "supervisor").processes()
        return {name: one.pid for name, one in processes.items() if one.pid}


@contextmanager
def processes(root: Path) -> Iterator[Processes]:
    """They are started with the environment, so there is nothing to prepare."""
    yield Processes(Home(root))
