"""What can be done to a release in containers, and to none of processes: by way of the engine, to the engine, to images and to
the registry.

All else is as in `faults`, with a container's main process for a process; nothing of that list is missing here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from roundtrip.targets.compose.overlay import REVISION
from tests.chaos import network
from tests.chaos.containers import SERVERS, Containers, engine_process, server
from tests.chaos.damage import Undo
from tests.chaos.faults import CORRUPTED, FAULTS, Fault
from tests.chaos.network import way_of
from tests.chaos.signals import kill, nothing, stop
from tests.chaos.stage import Stage

Inject = Callable[[Stage, str, random.Random], Undo | None]
Do = Callable[[Stage, Container], Undo]


def _ground(stage: Stage) -> Containers:
    if not isinstance(stage.ground, Containers):
        raise RuntimeError(f"not of containers: {stage.ground}")
    return stage.ground


def _instance(version: str, do: Do) -> Inject:
    """A container of one version that runs."""

    def inject(stage: Stage, _release: str, dice: random.Random) -> Undo:
        with _ground(stage).containers() as there:
            of = [one for one in there if one.labels.get(REVISION) == version and one.status == "running"]
            if not of:
                return nothing
            return do(stage, dice.choice(sorted(of, key=lambda one: str(one.name))))

    return inject


def _server(name: str, do: Do) -> Inject:
    def inject(stage: Stage, _release: str, _dice: random.Random) -> Undo:
        with _ground(stage).containers() as there:
            found = [one for one in there if one.name == server(name)]
            return do(stage, found[0]) if found else nothing

    return inject


def _killed(_stage: Stage, container: Container) -> Undo:
    """An engine does not start again what somebody has killed by it."""
    container.kill()
    return nothing


def _removed(_stage: Stage, container: Container) -> Undo:
    container.remove(force=True, v=True)
    return nothing


def _killed_for_a_while(stage: Stage, container: Container) -> Undo:
    """Whoever has killed it starts it again."""
    name = str(container.name)
    container.kill()

    def start() -> None:
        with _ground(stage).containers() as there:
            for one in there:
                if one.name == name:
                    one.start()

    return start


def _removed_for_a_while(stage: Stage, container: Container) -> Undo:
    """Whoever has removed it does what there is to do: `./roundtrip up`."""
    container.remove(force=True, v=True)

    def up() -> None:
        stage.machine.target("production").infrastructure.up()

    return up


def _paused(stage: Stage, container: Container) -> Undo:
    identity = str(container.id)
    container.pause()

    def go_on() -> None:
        with closing(_ground(stage).client()) as client, suppress(NotFound):  # the release has removed it
            paused = client.containers.get(identity)
            if paused.status == "paused":
                paused.unpause()

    return go_on


def _images_gone(stage: Stage, _release: str, _dice: random.Random) -> Undo:
    """Of the new version; what runs goes on, and what is to start has to come from the registry again."""
    for artefact in stage.artefacts(stage.plan.to_version):
        _ground(stage).take_away(artefact)
    return nothing


def _registry(how: str) -> Inject:
    """The way to it; with images in the engine nobody would ask it."""

    def inject(stage: Stage, release: str, dice: random.Random) -> Undo | None:
        undo = network.bent(way_of(f"http://{_ground(stage).host.registry.address}"), how)
        if undo is not None:
            _images_gone(stage, release, dice)
        return undo

    return inject


def _socket_away(stage: Stage, _release: str, _dice: random.Random) -> Undo:
    """Nobody can ask the engine anything; what it runs goes on."""
    socket = Path(_ground(stage).host.engine.removeprefix("unix://"))
    aside = socket.with_suffix(".aside")
    socket.rename(aside)

    def back() -> None:
        aside.rename(socket)

    return back


def _engine_stopped(stage: Stage, _release: str, _dice: random.Random) -> Undo:
    return stop([engine_process(_ground(stage).host.engine)])


def _engine_killed(stage: Stage, _release: str, _dice: random.Random) -> Undo:
    """It comes back, and starts every container anew."""
    return kill([engine_process(_ground(stage).host.engine)])


CONTAINER_FAULTS: tuple[Fault, ...] = (
    *(
        replace(fault, name="image of the new version corrupted") if fault is CORRUPTED else fault
        for fault in FAULTS
    ),
    Fault("pause a new container", _instance("1.1.0", _paused), most_seconds=20, fails_clients=True),
    Fault("pause a stable container", _instance("1.0.0", _paused), most_seconds=6, fails_clients=True),
    Fault("kill a new container by the engine", _instance("1.1.0", _killed), fails_clients=True),
    # On its last steps the way back starts nothing any more: what somebody takes away then stays away.
    Fault(
        "kill a stable container by the engine",
        _instance("1.0.0", _killed),
        fails_clients=True,
        may_break=True,
    ),
    Fault("remove a new container", _instance("1.1.0", _removed), fails_clients=True),
    Fault("remove a stable container", _instance("1.0.0", _removed), fails_clients=True, may_break=True),
    *(
        Fault(name, _server(of, do), most_seconds=15, fails_clients=True)
        for of in SERVERS
        for name, do in (
            (f"kill {of} by the engine", _killed_for_a_while),
            (f"remove {of}'s container", _removed_for_a_while),
        )
    ),
    Fault("images of the new version removed", _images_gone),
    Fault("registry refused", _registry("refused"), most_seconds=30),
    Fault("registry half-open", _registry("half-open"), most_seconds=30),
    Fault("engine refused", _socket_away, most_seconds=15),
    Fault("stop engine", _engine_stopped, most_seconds=15),
    Fault("kill engine", _engine_killed, fails_clients=True),
)
