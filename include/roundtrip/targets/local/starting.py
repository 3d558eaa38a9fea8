"""Starting: a bundle is verified and unpacked, gets a port, and is given to supervisord.

Rules:
1. Every bundle and configuration is right before the first of them is started.
2. A port that an instance of any environment of this state folder was given is not given again.
3. What was unpacked stays for a day, so that a rollback need not unpack it again; the store has it all.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Placement
from roundtrip.supervision.daemon import Daemon
from roundtrip.targets import ports
from roundtrip.targets.bundles import BundleStore, Manifest
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.instances import Start
from roundtrip.targets.local.instances import Instance, Instances, Unpacked

LEFT_BEHIND_SECONDS = 3600
"""for what a killed converge was unpacking: an older one may still be at it"""
WARM_SECONDS = 24 * 3600
"""for an unpacked bundle that nothing runs any more"""

Interpreters = Callable[[str], dict[str, str]]
"""toolchain -> what {python} and {node} stand for"""


class StartedInstances(Instances):
    """The instances of one environment, and how new ones come to be."""

    def __init__(
        self,
        folder: Path,
        daemon: Daemon,
        store: BundleStore,
        configurations: Configurations,
        interpreters: Interpreters,
    ) -> None:
        super().__init__(folder, daemon)
        self._environments = folder.parent
        self._bundles = folder / "bundles"
        self._store = store
        self._configurations = configurations
        self._interpreters = interpreters

    def prepare(self, placements: Collection[Placement]) -> Callable[[Start], list[Instance]]:
        """What starts instances of these, verified. Raises ArtefactError, TargetError."""
        unpacked: dict[str, Unpacked] = {}
        for p in sorted(placements):
            self._configurations.file(p.configuration)
            unpacked[p.bundle] = self._unpacked(p)
        return partial(self._start, unpacked)

    def tidy(self) -> None:
        """Remove unpacked bundles that nothing ran lately, and what a killed converge was unpacking."""
        used = {i.bundle.removeprefix("sha256:") for i in self.all()}
        for folder in self._bundles.glob("*"):
            if folder.name in used:
                os.utime(folder)  # when it was last in use
                continue
            limit = LEFT_BEHIND_SECONDS if folder.name.startswith(".") else WARM_SECONDS
            if time.time() - folder.stat().st_mtime > limit:
                shutil.rmtree(folder)

    def _unpacked(self, p: Placement) -> Unpacked:
        folder = self._store.open(p.bundle, self._bundles / p.bundle.removeprefix("sha256:"))
        manifest = Manifest.read(folder)
        if (manifest.service, manifest.version) != (p.service, p.version):
            raise TargetError(
                f"the bundle is {manifest.service} {manifest.version}, expected {p.service} {p.version}",
                where=p.bundle,
                remedy="deploy the bundle of this version",
            )
        return Unpacked(folder, manifest, self._interpreters(manifest.toolchain))

    def _start(self, unpacked: Mapping[str, Unpacked], start: Start) -> list[Instance]:
        p, bundle = start.placement, unpacked[start.placement.bundle]
        free = ports.free_ports(len(start.numbers), avoid=ports.given(self._environments))
        started = [
            Instance(
                p.service,
                p.version,
                number,
                p.bundle,
                p.configuration,
                port,
                bundle.manifest.health,
                bundle.manifest.metrics,
            )
            for number, port in zip(start.numbers, free, strict=True)
        ]
        for instance in started:
            self.start(instance, bundle, self._configurations.file(p.configuration))
        return started
