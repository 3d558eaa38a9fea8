"""What is there, from instances, routes and flags.

It never says more than is there, and always says something: a release that was killed half way is taken back from what
is observed. Where the proxy itself is down nobody has traffic: the way back begins with looking, and brings it up. A version
with no healthy instance is not placed, so the weights of its service may add up to less than 100.
Two builds of one version at once are told as the one that has the traffic.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.targets import routing
from roundtrip.targets.flags import Flags
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from roundtrip.targets.instances import Instance, Instances, InstanceT
from roundtrip.targets.routes import Backend

PATIENCE_SECONDS = 3.0
"""An instance that does not answer is asked again for so long before it counts as gone: one that is being started
again after a crash, or is late under load, must not be taken for one that was never there."""
POLL_SECONDS = 0.1


def observed(
    instances: Instances[InstanceT], infrastructure: LoopbackInfrastructure, flags: Flags
) -> Deployment:
    """What runs now. Raises TargetError, HostError."""
    api, healthy = infrastructure.api(), _healthy(instances)
    served = routing.read(api) if infrastructure.is_up() else []
    return deployment_of(healthy, served, flags.read())


def deployment_of(
    healthy: Sequence[Instance], served: Sequence[Backend], flags: Mapping[str, bool]
) -> Deployment:
    """The deployment that healthy instances, the proxy's routes and the flags make. Pure."""
    weights = {(b.service, b.version): b.weight_percent for b in served}
    urls = {url for b in served for url in b.urls}
    replicas = Counter((i.service, i.version, i.bundle, i.configuration) for i in healthy)
    routed = Counter((i.service, i.version, i.bundle, i.configuration) for i in healthy if i.url in urls)
    # Of two builds of one version the one with the traffic stands for it.
    by_traffic = sorted(replicas, key=lambda build: (routed[build], replicas[build], build))
    placed = {(build[0], build[1]): build for build in by_traffic}
    return Deployment(
        tuple(
            Placement(build[0], build[1], replicas[build], build[2], build[3], weights.get(key, 0))
            for key, build in placed.items()
        ),
        flags,
    )


def _healthy(instances: Instances[InstanceT]) -> list[InstanceT]:
    """Those that are healthy, asked until all are or patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        present = instances.all()
        healthy = instances.healthy(present)
        if healthy == present or time.monotonic() > deadline:
            return healthy
        time.sleep(POLL_SECONDS)
