"""Configuration, from environment variables only.

Rules:
1. A missing or malformed variable is a ConfigurationError that names it, never its value.
2. An empty variable is one that is not set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_DEPLOY_ENVS = ("staging", "production", "test")


class ConfigurationError(Exception):
    """A variable cannot be used. The message names it."""


@dataclass(frozen=True)
class Configuration:
    host: str
    port: int
    """0: any free one"""
    deploy_env: str
    sentry_dsn: str | None = field(repr=False)
    """where exceptions are sent; None when nowhere"""


def read_configuration(environment: Mapping[str, str]) -> Configuration:
    """Raises ConfigurationError for the first variable that cannot be used."""
    return Configuration(
        host=environment.get("HOST") or "127.0.0.1",
        port=_port(_required(environment, "PORT")),
        deploy_env=_deploy_env(_required(environment, "DEPLOY_ENV")),
        sentry_dsn=_address("SENTRY_DSN", environment.get("SENTRY_DSN", ""), ("http", "https")) or None,
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(f"{name} is not set")
    return value


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ConfigurationError("PORT is no port number")
    return int(text)


def _deploy_env(text: str) -> str:
    if text not in _DEPLOY_ENVS:
        raise ConfigurationError(f"DEPLOY_ENV is none of {', '.join(_DEPLOY_ENVS)}")
    return text


def _address(name: str, text: str, schemes: tuple[str, ...]) -> str:
    if text and not _is_address(text, schemes):
        starts = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ConfigurationError(f"{name} is no address that starts with {starts}")
    return text


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False
