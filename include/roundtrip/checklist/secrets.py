"""Plan 2.3: populate secrets, and avoid committing secrets to version control."""

from __future__ import annotations

from collections.abc import Iterator

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.secret_scan import Content, scan
from roundtrip.checklist.source import inspected_commit
from roundtrip.checklist.variables import inspect_variables
from roundtrip.errors import SecretError
from roundtrip.forge.checkouts import blobs, contents, messages
from roundtrip.forge.git import Git
from roundtrip.release import Release


def secrets(release: Release) -> Inspection:
    """Required variables in both environments, then the whole history of the release branch."""
    findings, variables = inspect_variables(release)
    commit = inspected_commit(release)
    scanned = list(_history(Git(release.repository), commit))
    suspects = scan(scanned, _own_secrets(release))
    findings += [
        Finding(
            f"looks like a secret in version control: {suspect.kind}",
            f"{suspect.where}:{suspect.line}",
            "change the secret, then remove it; a value that is none gets the comment 'pragma: allowlist secret'",
        )
        for suspect in suspects
    ]
    return Inspection(
        tuple(findings), {"variables": variables, "commit": commit, "contents_scanned": len(scanned)}
    )


def _history(git: Git, commit: str) -> Iterator[Content]:
    for blob, data in contents(git, blobs(git, commit)):
        yield Content(f"{blob.path} ({blob.id[:12]})", blob.path, data)
    for id_, message in messages(git, commit):
        yield Content(f"message of commit {id_[:12]}", "message.txt", message.encode())


def _own_secrets(release: Release) -> list[tuple[str, str]]:
    """Names and values in the secrets connections, without what the plan says is no secret."""
    known = release.plan.variables
    found: list[tuple[str, str]] = []
    for environment in release.environments.values():
        try:
            values = release.secrets(environment.secrets_connection)
        except SecretError:
            continue  # reported with the variables
        found += [
            (f"{name} of {environment.name}", value)
            for name, value in values.items()
            if name not in known or known[name].secret
        ]
    return found
