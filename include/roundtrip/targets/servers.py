"""How Traefik and Redis are told to run: their own configuration files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from roundtrip import durable
from roundtrip.errors import HostError
from roundtrip.targets.protocol import SecretsSource

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""seconds; the same as the services' own histograms"""
IDLE_SECONDS = 1
"""after which Traefik closes an unused connection to a service: sooner than any of them closes it itself, since a
request sent on a connection that is just being closed is lost"""


def redis_configuration(address: str, port: int, folder: str, password: str, before: str) -> str:
    """Where it listens, and where its data is. `before` is the file as it was: the passwords that it accepts, as digests,
    are accepted further on."""
    digest = "#" + hashlib.sha256(password.encode()).hexdigest()
    accepted = {word for word in before.split() if word.startswith("#")} | {digest}
    lines = [
        f"bind {address}",
        f"port {port}",
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


def traefik_configuration(entry_points: Mapping[str, str], routes: str) -> str:
    """Traefik's static part: where it listens (front, internal, traefik), where its routes are, what it counts."""
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "api": {"insecure": True, "dashboard": False},
        "entryPoints": {name: {"address": address} for name, address in entry_points.items()},
        "serversTransport": {"forwardingTimeouts": {"idleConnTimeout": f"{IDLE_SECONDS}s"}},
        "providers": {
            "providersThrottleDuration": "0s",
            "file": {"directory": routes, "watch": True},
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


def redis_password(secrets: SecretsSource, connection: str) -> str:
    """The password of the environment's Redis. Raises SecretError, HostError when it is none."""
    password = secrets(connection).get("REDIS_PASSWORD", "")
    if not password.isalnum():
        raise HostError(
            "REDIS_PASSWORD: expected letters and digits in the connection's extra, got something else or nothing",
            where=connection,
            remedy="set it; ./roundtrip up makes the local ones",
        )
    return password


def configured(file: Path, text: str) -> dict[str, str]:
    """Have `file` hold `text`; a variable that differs when the file as it was written differs.

    The number is of the file, not of its content, which may hold a secret short enough to be guessed from a digest.
    """
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        durable.write(file, text)
    return {"CONFIGURATION_WRITTEN": str(file.stat().st_mtime_ns)}
