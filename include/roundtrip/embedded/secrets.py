"""The secrets of the local environments: made once, kept in files that only their owner reads.

Rules:
1. Airflow reads them as connections through its own LocalFilesystemBackend; the command line reads the same file.
2. What is there is never made anew: a running service holds it.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.errors import SecretError
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home

Connections = dict[str, dict[str, Any]]


def connections_file(home: Home) -> Path:
    return home.root / "secrets" / "connections.json"


def make_secrets(
    home: Home, environments: Mapping[str, Environment], new_keys: Callable[[], dict[str, str]]
) -> None:
    """Have a connection for each one that the environments name."""
    file = connections_file(home)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    known: Connections = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    wanted = dict(known)
    for environment in environments.values():
        wanted.setdefault(environment.secrets_connection, _connection(_service_secrets()))
        wanted.setdefault(environment.signing_connection, _connection(new_keys()))
    if wanted != known:
        durable.write_json(file, wanted)


def local_secrets(home: Home) -> Callable[[str], Mapping[str, str]]:
    """The secrets source of the command line: the same connections that Airflow has."""

    def read(connection_id: str) -> Mapping[str, str]:
        try:
            known: Connections = json.loads(connections_file(home).read_text(encoding="utf-8"))
            return {name: str(value) for name, value in json.loads(known[connection_id]["extra"]).items()}
        except (FileNotFoundError, KeyError) as error:
            raise SecretError(
                "no such connection", where=connection_id, remedy="./roundtrip up makes the local ones"
            ) from error

    return read


def airflow_secrets(home: Home) -> dict[str, str]:
    """Airflow's own keys and the password of its user `admin`."""
    file = home.root / "secrets" / "airflow.json"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        made = {
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "secret_key": secrets.token_hex(32),
            "jwt_secret": secrets.token_hex(64),
            "password": secrets.token_urlsafe(12),
        }
        durable.write_json(file, made)
    read: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return read


def _service_secrets() -> dict[str, str]:
    return {
        "REDIS_PASSWORD": secrets.token_hex(24),
        "NEXTAUTH_SECRET": secrets.token_urlsafe(48),
        "GITHUB_ID": f"Iv1.{secrets.token_hex(8)}",
        "GITHUB_SECRET": secrets.token_hex(20),
    }


def _connection(values: Mapping[str, str]) -> dict[str, Any]:
    return {"conn_type": "generic", "extra": json.dumps(dict(values))}
