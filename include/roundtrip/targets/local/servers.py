"""How Traefik and Redis are told to run: their own configuration files, as text. Pure but for finding the program."""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from roundtrip.errors import HostError
from roundtrip.targets.local.ports import Ports

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""seconds; the same as the services' own histograms"""
IDLE_SECONDS = 1
"""after which Traefik closes an unused connection to a service: sooner than any of them closes it itself, since a
request sent on a connection that is just being closed is lost"""


def redis_configuration(ports: Ports, folder: Path, password: str, before: str) -> str:
    """`before` is the file as it was: the passwords that it accepts, as digests, are accepted further on."""
    digest = "#" + hashlib.sha256(password.encode()).hexdigest()
    accepted = {word for word in before.split() if word.startswith("#")} | {digest}
    lines = [
        "bind 127.0.0.1",
        f"port {ports.redis}",
        f'dir "{folder}"',
        f"user default on ~* &* +@all {' '.join(sorted(accepted))}",
        "appendonly yes",
        "appendfsync always",
        'save ""',
        "daemonize no",
        # A title is written over the environment, which says whose process it is when its supervisord was killed.
        "set-proc-title no",
    ]
    return "\n".join(lines) + "\n"


def traefik_configuration(ports: Ports, routes: Path) -> str:
    """Traefik's static part: where it listens, where its routes are, what it counts."""
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "api": {"insecure": True, "dashboard": False},
        "entryPoints": {
            "front": {"address": f"127.0.0.1:{ports.front_door}"},
            "internal": {"address": f"127.0.0.1:{ports.internal}"},
            "traefik": {"address": f"127.0.0.1:{ports.proxy}"},
        },
        "serversTransport": {"forwardingTimeouts": {"idleConnTimeout": f"{IDLE_SECONDS}s"}},
        "providers": {
            "providersThrottleDuration": "0s",
            "file": {"directory": str(routes), "watch": True},
        },
        "metrics": {
            "prometheus": {
                "entryPoint": "traefik",
                "addServicesLabels": True,
                "addEntryPointsLabels": False,
                "buckets": list(BUCKETS),
            }
        },
    }
    text = StringIO()
    yaml: Any = YAML(typ="safe")
    yaml.dump(static, text)
    return text.getvalue()


def traefik() -> Path:
    """Its program, which the wheel puts beside the interpreter. Raises HostError."""
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    found = beside if beside.exists() else Path(shutil.which("traefik") or "")
    if not found.is_file():
        raise HostError(
            "traefik is not installed",
            where=str(beside),
            remedy="./roundtrip installs it from requirements.txt",
        )
    return found
