"""Plan 2.4 and 2.5: the manifests and the code changes that the plan names are there.

Rules:
1. Every entry of the plan names a file, what has to be in it and what must not be, as regular expressions.
2. A file that claims to be YAML, JSON or TOML is parsed; one that does not parse is a finding.
3. Replicas, env_file and Linkerd are read from the parsed manifests, since text that matches may stand in a
   comment.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.source import checkout
from roundtrip.plan.model import CodeChange, Plan
from roundtrip.release import Release


def manifests(release: Release) -> Inspection:
    """Plan 2.4: docker-compose.yml, k8s/deployment.yaml, Terraform."""
    source, entries = checkout(release), release.plan.checklist.manifests
    findings = list(_entries(source, entries))
    for file in sorted({entry.file for entry in entries}):
        documents = parse(source / file) if (source / file).is_file() else None
        if isinstance(documents, list):
            findings += _compose(file, documents, release.plan)
            findings += _kubernetes(file, documents, release.plan)
    return Inspection(tuple(findings), {"files": sorted({entry.file for entry in entries})})


def code_changes(release: Release) -> Inspection:
    """Plan 2.5: implement code changes."""
    entries = release.plan.checklist.code_changes
    findings = tuple(_entries(checkout(release), entries))
    return Inspection(findings, {"files": sorted({entry.file for entry in entries})})


def _entries(source: Path, entries: Sequence[CodeChange]) -> Iterator[Finding]:
    for entry in entries:
        path = source / entry.file
        if not path.is_file():
            yield Finding(f"is missing ({entry.sentence})", entry.file, "add it")
            continue
        text = path.read_text(encoding="utf-8")
        for pattern in entry.contains:
            if re.search(pattern, text, re.MULTILINE) is None:
                yield Finding(
                    f"lacks /{pattern}/ ({entry.sentence})", entry.file, "make the change, or mend the plan"
                )
        for pattern in entry.absent:
            match = re.search(pattern, text, re.MULTILINE)
            if match:
                line = text.count("\n", 0, match.start()) + 1
                yield Finding(
                    f"still has /{pattern}/ ({entry.sentence})", f"{entry.file}:{line}", "remove it"
                )
        problem = parse(path)
        if isinstance(problem, str):
            yield Finding(f"cannot be parsed: {problem}", entry.file, "mend that line")


def parse(path: Path) -> list[Any] | str | None:
    """The documents of a file, what is wrong with it, or None for a kind that is not parsed here."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix in (".yml", ".yaml"):
            return list(YAML(typ="rt").load_all(text))
        if path.suffix == ".json":
            return [json.loads(text)]
        if path.suffix == ".toml":
            return [tomllib.loads(text)]
    except (YAMLError, ValueError) as error:
        return " ".join(str(error).split())
    return None


def _compose(file: str, documents: Sequence[Any], plan: Plan) -> Iterator[Finding]:
    """Replicas of every service, and env_file for those that read a secret (plan 1, Infrastructure)."""
    for document in documents:
        services = _get(document, "services")
        if not isinstance(services, Mapping):
            continue
        for name, service in plan.services.items():
            if name not in services:
                yield Finding(f"service '{name}' is missing", file, "add the service")
                continue
            replicas = _get(services[name], "deploy", "replicas") or 1
            if replicas != service.replicas.new:
                yield _wrong(f"{name}: deploy.replicas", service.replicas.new, replicas, file)
            reads_secret = any(plan.variables[variable].secret for variable in service.environment)
            if reads_secret and not services[name].get("env_file"):
                yield _wrong(f"{name}: env_file", "a file", "none", file)


def _kubernetes(file: str, documents: Sequence[Any], plan: Plan) -> Iterator[Finding]:
    """Replicas and Linkerd's annotation of every Deployment (plan 1, Infrastructure)."""
    for document in documents:
        if _get(document, "kind") != "Deployment":
            continue
        name = str(_get(document, "metadata", "name"))
        inject = _get(document, "spec", "template", "metadata", "annotations", "linkerd.io/inject")
        if inject != "enabled":
            yield _wrong(f"{name}: annotation linkerd.io/inject", "enabled", inject, file)
        service = plan.services.get(name)
        replicas = _get(document, "spec", "replicas")
        if service is not None and replicas != service.replicas.new:
            yield _wrong(f"{name}: spec.replicas", service.replicas.new, replicas, file)


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _wrong(what: str, expected: object, got: object, file: str) -> Finding:
    return Finding(f"{what}: expected {expected}, got {got}", file, "set it as the plan says")
