"""The environment variables of each service, by digest.

Rules:
1. A configuration is named by a keyed digest (HMAC): equal values give equal names, a name gives no value away.
2. Its values are kept in a file that only its owner reads, for as long as a deployment may go back to them: secrets as
   they were, addresses of the environment itself by name, since these are the target's and not the release's. `{release}`
   is the version whose configuration it is.
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
from dataclasses import asdict, dataclass
from pathlib import Path

from roundtrip import durable
from roundtrip.errors import SecretError, TargetError
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan
from roundtrip.targets import filling
from roundtrip.targets.filling import PLACEHOLDER, filled
from roundtrip.targets.protocol import SecretsSource

RELEASE = "{release}"


@dataclass(frozen=True)
class Value:
    """What a variable is made of."""

    text: str
    """may hold `{name}`"""
    secrets: Mapping[str, str]
    """the secrets among those names, as they are today"""


class Configurations:
    """The configurations of one environment, kept below `folder`."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        environment: Environment,
        secrets: SecretsSource,
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._environment = environment
        self._secrets = secrets

    def digests(self, version: str, places: Mapping[str, str]) -> dict[str, str]:
        """Digest of each service's configuration in `version`; the values are kept. Raises SecretError.

        `places` is what the target's own names stand for now.
        """
        secrets = self._secrets(self._environment.secrets_connection)
        values = {name: self._values(name, version, secrets, places) for name in self._plan.services}
        return {name: self._keep(of) for name, of in values.items()}

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

    def variables(self, digest: str, places: Mapping[str, str]) -> dict[str, str]:
        """The variables of a configuration, filled in. Raises TargetError when it was never kept here."""
        return filling.variables(json.loads(self.file(digest).read_text(encoding="utf-8")), places)

    def _values(
        self, service: str, version: str, secrets: Mapping[str, str], places: Mapping[str, str]
    ) -> dict[str, Value]:
        settings = self._plan.services[service]
        is_stable = version == self._plan.from_version
        stable = settings.environment_stable
        names = stable if is_stable and stable is not None else settings.environment
        values: dict[str, Value] = {}
        for name in names:
            value = self._value(name, version, secrets, places)
            if value is not None:
                values[name] = value
        return values

    def _value(
        self, name: str, version: str, secrets: Mapping[str, str], places: Mapping[str, str]
    ) -> Value | None:
        variable = self._plan.variables[name]
        plain = self._environment.configuration.get(name)
        if plain is None and name not in secrets:
            if not variable.required:
                return None
            raise self._problem(name, "is missing")
        value = (
            Value("{value}", {"value": secrets[name]}) if plain is None else _parted(plain, version, secrets)
        )
        try:
            whole = filled(value.text, {**places, **value.secrets})
        except KeyError as error:
            known = ", ".join([*places, "release"])
            raise self._problem(name, f"names {{{error.args[0]}}}, known: {known}") from error
        if not re.fullmatch(variable.pattern, whole):
            raise self._problem(name, f"does not match {variable.pattern}")
        if "\0" in whole:
            raise self._problem(name, "holds a NUL byte, which no environment variable can")
        return value

    def _problem(self, name: str, problem: str) -> SecretError:
        return SecretError(
            f"{name} {problem}",
            where=f"environment {self._environment.name}, connection {self._environment.secrets_connection}",
            remedy="set it in the environment's configuration or in the connection's extra",
        )

    def _keep(self, values: Mapping[str, Value]) -> str:
        text = json.dumps({name: asdict(value) for name, value in values.items()}, sort_keys=True)
        digest = "hmac-sha256:" + hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()
        path = self._path(digest)
        if not path.exists():
            durable.write(path, text)
        return digest

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.rpartition(':')[2]}.json"

    def _key(self) -> bytes:
        """The key of this folder's names; of two that make it at once the first one's counts."""
        path = self._folder / "key"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = self._folder / f"key.{random_secrets.token_hex(8)}"
            durable.write(beside, random_secrets.token_hex(32))
            try:
                os.link(beside, path)
            except FileExistsError:
                pass
            finally:
                beside.unlink()
            durable.sync(self._folder)
        return path.read_bytes()


def _parted(plain: str, version: str, secrets: Mapping[str, str]) -> Value:
    """A secret is named in the environment's configuration by its name in small letters."""
    plain = plain.replace(RELEASE, version)
    by_name = {name.lower(): secret for name, secret in secrets.items()}
    named = {name: by_name[name] for name in PLACEHOLDER.findall(plain) if name in by_name}
    return Value(plain, named)
