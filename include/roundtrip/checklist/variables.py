"""Plan 2.3, first half: every variable that a service reads is there in both environments, and well formed.

Rules:
1. A value is never part of a finding, only its name, where it was looked for, and the pattern it does not
   match.
2. A secret stands in the secrets connection. One that stands in an environment file is a finding.
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
        variable = plan.variables[name]
        if variable.secret and name in environment.configuration:
            yield Finding(
                f"{name} is a secret and stands in the environment file",
                f"environment {environment.name}",
                f"move it to the connection {environment.secrets_connection} and change the secret",
            )
        where = (
            f"connection {environment.secrets_connection}"
            if variable.secret
            else f"environment {environment.name}"
        )
        value = secrets.get(name) if variable.secret else environment.configuration.get(name)
        problem = _problem(name, variable, value)
        if problem:
            yield Finding(problem, where, "set it as docs/environments.md says")
    for name in sorted(set(environment.configuration) - set(plan.variables)):
        yield Finding.note(
            f"{name} is set and the plan knows no such variable",
            f"environment {environment.name}",
            "remove it, or add it to the plan",
        )


def _problem(name: str, variable: Variable, value: str | None) -> str | None:
    if not value:
        return f"{name} is missing" if variable.required else None
    if re.fullmatch(variable.pattern, _filled_in(value)) is None:
        return f"{name} is malformed: it does not match {variable.pattern}"
    return None


def _filled_in(value: str) -> str:
    value = re.sub(r"\{[a-z_]*port\}", "6379", value)
    return re.sub(r"\{[a-z_]+\}", "http://127.0.0.1:8080", value)


def _read_by_services(plan: Plan) -> set[str]:
    return {
        name
        for service in plan.services.values()
        for name in [*service.environment, *(service.environment_stable or [])]
    }
