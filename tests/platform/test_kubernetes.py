"""k8s/deployment.yaml against Kubernetes' own JSON schemas, strictly: a key that Kubernetes does not know fails."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.platform.conftest import PLAN, SECRETS, documents, replicas

OLDEST, NEWEST = "1.25", "1.37"
"""of Kubernetes, that the package has schemas of"""
LINKERD = "linkerd.io/inject"


@pytest.fixture
def found(tree: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The documents, by kind and name."""
    return {(d["kind"], d["metadata"]["name"]): d for d in documents(tree / "k8s" / "deployment.yaml")}


@pytest.fixture
def pods(found: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: d["spec"]["template"] for (kind, name), d in found.items() if kind == "Deployment"}


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_it_follows_the_schemas(found: dict[tuple[str, str], dict[str, Any]], kubernetes: str) -> None:
    assert set(found) == {(kind, name) for kind in ("Deployment", "Service") for name in PLAN.services}
    for document in found.values():
        kubernetes_validate.validate(document, kubernetes, strict=True)


def test_a_key_that_kubernetes_does_not_know_would_be_found(
    found: dict[tuple[str, str], dict[str, Any]],
) -> None:
    bent = copy.deepcopy(found["Deployment", "workers"])
    bent["spec"]["template"]["spec"]["containers"][0]["readinessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinessprobe"):
        kubernetes_validate.validate(bent, NEWEST, strict=True)


def test_replicas_and_images_are_the_versions(
    found: dict[tuple[str, str], dict[str, Any]], pods: dict[str, dict[str, Any]], version: str
) -> None:
    for name, service in PLAN.services.items():
        assert found["Deployment", name]["spec"]["replicas"] == replicas(service, version)
        [container] = pods[name]["spec"]["containers"]
        assert container["image"] == f"top-tier-trading/{name}:{version}"


def test_linkerd_takes_in_every_pod_since_1_1_0(pods: dict[str, dict[str, Any]], version: str) -> None:
    marks = {name: pod["metadata"].get("annotations", {}).get(LINKERD) for name, pod in pods.items()}
    assert set(marks.values()) == {None if version == PLAN.from_version else "enabled"}


def test_probes_ask_where_the_plan_says_and_a_drain_has_time(pods: dict[str, dict[str, Any]]) -> None:
    for name, service in PLAN.services.items():
        [container] = pods[name]["spec"]["containers"]
        port = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        environment = {each["name"]: each["value"] for each in container["env"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": service.health, "port": "http"}
        assert environment == {"HOST": "0.0.0.0", "PORT": port["http"]}  # noqa: S104
        assert pods[name]["spec"]["terminationGracePeriodSeconds"] > 5, "README: a drain takes 5 s at most"


def test_secrets_come_by_reference_alone(pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        [container] = pod["spec"]["containers"]
        assert {"secretRef": {"name": "top-tier-trading"}} in container["envFrom"]
        assert not SECRETS & {each["name"] for each in container["env"]}


def test_a_services_selector_finds_the_pods_of_its_deployment(
    found: dict[tuple[str, str], dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    for name, pod in pods.items():
        labels, service = pod["metadata"]["labels"], found["Service", name]["spec"]
        for selector in (service["selector"], found["Deployment", name]["spec"]["selector"]["matchLabels"]):
            assert selector.items() <= labels.items()
        names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["ports"]} <= names


def test_no_pod_runs_as_root_or_may_become_it(pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        [container] = pod["spec"]["containers"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
