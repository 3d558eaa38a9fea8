"""Targets: places where a deployment can be. Two verbs only: observe and converge.

Imports `plan`, `supervision`, `toolchain` and `errors`, never a section. A new kind is a new folder and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable

from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.protocol import SecretsSource, Target


def _local(environment: Environment, plan: Plan, home: Home, secrets: SecretsSource) -> Target:
    from roundtrip.targets.local.target import LocalTarget

    return LocalTarget(environment, plan, home, secrets)


def _compose(environment: Environment, plan: Plan, home: Home, secrets: SecretsSource) -> Target:
    from roundtrip.targets.compose.target import ComposeTarget

    return ComposeTarget(environment, plan, home, secrets)


KINDS: dict[str, Callable[[Environment, Plan, Home, SecretsSource], Target]] = {
    "local": _local,
    "compose": _compose,
}


def open_target(environment: Environment, plan: Plan, home: Home, secrets: SecretsSource) -> Target:
    """The target of an environment."""
    return KINDS[environment.target.kind](environment, plan, home, secrets)
