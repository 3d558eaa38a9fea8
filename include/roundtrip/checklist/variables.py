"""Plan 2.3, first half: every variable that a service reads is there in both environments, and well formed.

Rules:
1. A value is never part of a finding, only its name, where it was looked for, and the pattern it does not
   match.
2. A secret stands in the secrets connection; an environment file may name it as a placeholder. One that stands
   in an environment file itself is a finding.
3. Placeholders that a target fills in (addresses and ports it finds free) are judged as if they were filled
   in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from roundtrip.checklist.finding import Finding
from roundtrip.errors import SecretError
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan, Variable
from roundtrip.release import Release

PLACES = {
    "front_door": "http://127.0.0.1:8080",
    "internal": "http://127.0.0.1:8081",
    "github": "http://127.0.0.1:8082",
    "redis_port": "6379",
    "release": "1.0.0",
}
"""Placeholder -> a value of the form that a target fills in."""
PLACES_OF_IMAGES = {**PLACES, "redis_host": "redis"}
"""where services run in a network of their own"""


def inspect_variables(release: Release) -> tuple[list[Finding], dict[str, list[str]]]:
    """Findings of all environments, and which variables were looked at in each."""
    findings: list[Finding] = []
    looked_at = {}
    for stage in sorted(release.environments):
        environment = release.environment(stage)
        try:
            secrets = release.secrets(environment.secrets_connection)
        except SecretError as error:
            findings.append(Finding.of(error))
            continue
        findings += judge(release.plan, environment, secrets)
        looked_at[environment.name] = sorted(_read_by_services(release.plan))
    return findings, looked_at


def judge(plan: Plan, environment: Environment, secrets: Mapping[str, str]) -> Iterator[Finding]:
    """What is wrong with the variables of one environment."""
    for name in sorted(_read_by_services(plan)):
        text = environment.configuration.get(name)
        filled_in = _filled_in(text, environment, secrets) if text is not None else None
        if (
            plan.variables[name].secret
            and filled_in is not None
            and filled_in == _filled_in(text or "", environment, {})
        ):
            yield Finding(
                f"{name} is a secret and stands in the environment file",
                f"environment {environment.name}",
                f"move it to the connection {environment.secrets_connection} and change the secret",
            )
        problem = _problem(name, plan.variables[name], secrets.get(name) if filled_in is None else filled_in)
        if problem:
            yield Finding(
                problem,
                f"environment {environment.name}, connection {environment.secrets_connection}",
                "set it as docs/environments.md says",
            )
    for name in sorted(set(environment.configuration) - set(plan.variables)):
        yield Finding.note(
            f"{name} is set and the plan knows no such variable",
            f"environment {environment.name}",
            "remove it, or add it to the plan",
        )


def _problem(name: str, variable: Variable, value: str | None) -> str | None:
    if not value:
        return f"{name} is missing" if variable.required else None
    unknown = re.search(r"\{([a-z_]+)\}", value)
    if unknown:
        return f"{name} needs {unknown[1].upper()}, which is missing"
    if re.fullmatch(variable.pattern, value) is None:
        return f"{name} is malformed: it does not match {variable.pattern}"
    return None


def _filled_in(text: str, environment: Environment, secrets: Mapping[str, str]) -> str:
    """`text` with what a target would fill in: its places, and secrets by their name in small letters."""
    places = PLACES_OF_IMAGES if environment.form == "image" else PLACES
    values = {**places, **{name.lower(): value for name, value in secrets.items()}}
    return re.sub(r"\{([a-z_]+)\}", lambda match: values.get(match[1], match[0]), text)


def _read_by_services(plan: Plan) -> set[str]:
    return {
        name
        for service in plan.services.values()
        for name in [*service.environment, *(service.environment_stable or [])]
    }
