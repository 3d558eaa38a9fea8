"""The environment variables of each service, by digest.

Rules:
1. A configuration is named by a keyed digest (HMAC): equal values give equal names, a name gives no value away.
2. Its values are kept in a file that only its owner reads, for as long as a deployment may go back to them.
3. A variable that is missing or malformed is an error that names it, never its value.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets as random_secrets
from collections.abc import Mapping
from pathlib import Path

from roundtrip.errors import SecretError, TargetError
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan
from roundtrip.targets.protocol import SecretsSource


class Configurations:
    """The configurations of one environment, kept below `folder`."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        environment: Environment,
        secrets: SecretsSource,
        places: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._environment = environment
        self._secrets = secrets
        self._places = places

    def digests(self, version: str) -> dict[str, str]:
        """Digest of each service's configuration in `version`; the values are kept. Raises SecretError."""
        secrets = self._secrets(self._environment.secrets_connection)
        return {name: self._keep(self._values(name, version, secrets)) for name in self._plan.services}

    def file(self, digest: str) -> Path:
        """The private JSON file of a configuration. Raises TargetError when it was never kept here."""
        path = self._path(digest)
        if not path.exists():
            raise TargetError(
                f"no configuration {digest} is kept here",
                where=str(self._folder),
                remedy="its values were lost with this folder; deploy with the values of today",
            )
        return path

    def _values(self, service: str, version: str, secrets: Mapping[str, str]) -> dict[str, str]:
        settings = self._plan.services[service]
        is_stable = version == self._plan.from_version
        stable = settings.environment_stable
        names = stable if is_stable and stable is not None else settings.environment
        values: dict[str, str] = {}
        for name in names:
            value = self._value(name, secrets)
            if value is not None:
                values[name] = value
        return values

    def _value(self, name: str, secrets: Mapping[str, str]) -> str | None:
        variable = self._plan.variables[name]
        plain = self._environment.configuration.get(name)
        value = secrets.get(name) if plain is None else _filled(plain, {**self._places, **_lower(secrets)})
        if value is None and not variable.required:
            return None
        if value is None or not re.fullmatch(variable.pattern, value):
            problem = "is missing" if value is None else f"does not match {variable.pattern}"
            raise SecretError(
                f"{name} {problem}",
                where=f"environment {self._environment.name}, connection {self._environment.secrets_connection}",
                remedy="set it in the environment's configuration or in the connection's extra",
            )
        return value

    def _keep(self, values: Mapping[str, str]) -> str:
        text = json.dumps(values, sort_keys=True)
        digest = "hmac-sha256:" + hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()
        path = self._path(digest)
        if not path.exists():
            _write_private(path, text.encode())
        return digest

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.rpartition(':')[2]}.json"

    def _key(self) -> bytes:
        path = self._folder / "key"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(path, random_secrets.token_bytes(32), keep_first=True)
        return path.read_bytes()


def _lower(secrets: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in secrets.items()}


def _filled(text: str, places: Mapping[str, str]) -> str:
    """`text` with `{name}` replaced by what the target knows under that name."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: places.get(match[1], match[0]), text)


def _write_private(path: Path, content: bytes, *, keep_first: bool = False) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if keep_first:
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    else:
        beside.rename(path)
