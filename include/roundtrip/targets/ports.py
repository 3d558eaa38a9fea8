"""Loopback ports, chosen where the kernel takes none for outgoing connections.

Rules:
1. A port is chosen once and kept. Only when nothing of ours runs is it given up for one that another program took.
2. A port that an instance of any environment of this state folder was given is not given again.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from roundtrip import durable
from roundtrip.errors import HostError, TargetError
from roundtrip.targets import records

RANGE = range(20_000, 30_000)
TRIES = 500


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one environment's infrastructure."""

    front_door: int
    internal: int
    proxy: int
    """Traefik's own API and metrics"""
    redis: int
    github: int


def read_ports(file: Path) -> Ports:
    """The ports kept in `file`. Raises TargetError when there are none."""
    data = records.read(file)
    if data is None:
        raise TargetError("was never started", where=str(file.parent), remedy="./roundtrip up starts it")
    return Ports(**{field.name: int(str(data[field.name])) for field in fields(Ports)})


def choose_ports(file: Path, *, is_running: bool) -> Ports:
    """The ports kept in `file`; those that are missing, or taken while nothing of ours runs, are chosen anew."""
    kept = asdict(read_ports(file)) if file.exists() else {}
    if not is_running:
        kept = {name: port for name, port in kept.items() if is_free(port, again=True)}
    missing = [field.name for field in fields(Ports) if field.name not in kept]
    if missing:
        fresh = free_ports(len(missing), avoid={*given(file.parent.parent), *kept.values()})
        kept |= dict(zip(missing, fresh, strict=True))
        durable.write_json(file, kept)
    return Ports(**kept)


def given(environments: Path) -> set[int]:
    """Ports of every environment below `environments` and of their instances, running or not."""
    ports: set[int] = set()
    for file in environments.glob("*/ports.json"):
        ports.update(asdict(read_ports(file)).values())
    for file in environments.glob("*/instances/*.json"):
        try:
            ports.add(int(json.loads(file.read_text(encoding="utf-8"))["port"]))
        except FileNotFoundError:
            continue  # retired meanwhile, so its port is free
    return ports


def free_ports(count: int, avoid: Collection[int] = frozenset()) -> list[int]:
    """Ports on which nothing listens now and that are not in `avoid`. Raises HostError."""
    found: list[int] = []
    generator = random.SystemRandom()
    for _ in range(TRIES):
        if len(found) == count:
            return found
        port = generator.choice(RANGE)
        if port not in found and port not in avoid and is_free(port):
            found.append(port)
    raise HostError(f"no {count} free ports in {RANGE}", where="127.0.0.1", remedy="end what listens there")


def is_free(port: int, *, again: bool = False) -> bool:
    """Whether nothing listens there. `again`: connections that ended a moment ago do not count as taken."""
    with socket.socket() as probe:
        if again:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
