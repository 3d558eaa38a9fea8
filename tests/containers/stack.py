"""docker-compose.yaml brought up by the real Compose in an engine of one's own; a copy of the product whose environments name
stand-ins for public images. Nothing else of it differs; ports and images are its own variables.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from ruamel.yaml import YAML

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.prepare import ROOT
from roundtrip.embedded.airflow import Login
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from tests.conftest import free_port
from tests.containers import debian, engine
from tests.containers.host import images_of
from tests.containers.product import copied

PROJECT = "roundtrip"
USER = 50_000
FILES = ("docker-compose.yaml", "Dockerfile", ".dockerignore", "requirements.txt", "requirements.lock")
PROBE = Path(__file__).parent / "dags" / "probe.py"
PORTS = ("API_PORT", "POSTGRES_PORT", "REDIS_PORT", "REGISTRY_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
SECRETS = ("postgres_password", "redis_password", "jwt_secret", "api_secret_key", "grafana_password")
COMMAND_LIMIT_SECONDS = 3600


def why_none() -> str | None:
    """Why it cannot be had here; None if it can."""
    return engine.why_none() or debian.why_none()


@dataclass(frozen=True)
class Stack:
    """The whole, of which nothing is up at first."""

    client: docker.DockerClient
    checkout: Path
    home: Home
    variables: Mapping[str, str]

    def compose(self, *arguments: str) -> str:
        """What Compose says on standard output."""
        program = str(Path(sysconfig.get_path("scripts")) / "docker-compose")
        done = subprocess.run(
            [program, "--ansi=never", "--progress=plain", "--profile=platform", *arguments],
            cwd=self.checkout,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr[-4000:], self._sick())
        return done.stdout

    def up(self, *services: str) -> None:
        """Have these up and healthy, and what they depend on."""
        self.compose("up", "--detach", "--wait", "--no-build", *services)

    def down(self) -> None:
        self.compose("down", "--volumes")

    def health(self) -> dict[str, str]:
        """Of each service that runs; of one without a health check its state."""
        of_project = {"label": f"com.docker.compose.project={PROJECT}"}
        return {
            container.labels["com.docker.compose.service"]: container.attrs["State"]
            .get("Health", {})
            .get("Status", container.status)
            for container in self.client.containers.list(filters=of_project)
        }

    def processes(self, service: str) -> list[str]:
        """Command lines in a container."""
        container = self.client.containers.get(f"{PROJECT}-{service}-1")
        return [" ".join(process[7:]) for process in container.top()["Processes"]]

    @property
    def api(self) -> AirflowApi:
        passwords = YAML(typ="safe").load(self.home.root / "passwords.json")
        return AirflowApi(Login(self.url("API_PORT"), "admin", passwords["admin"]))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.home.ledger_url)

    def url(self, port: str) -> str:
        """What is published under this variable."""
        return f"http://127.0.0.1:{self.variables[port]}"

    def _sick(self) -> str:
        """The last words of those that are not healthy."""
        sick = [name for name, health in self.health().items() if health not in ("healthy", "running")]
        said = {
            name: self.client.containers.get(f"{PROJECT}-{name}-1").logs(tail=20).decode() for name in sick
        }
        return "\n".join(f"{name}:\n{text}" for name, text in said.items())


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """The product of an engine that is there for as long; its images are made, nothing of it is up."""
    with (
        engine.engine(_made(folder / "engine")) as address,
        closing(docker.DockerClient(base_url=address, timeout=600)) as client,
    ):
        ports = {name: str(free_port()) for name in PORTS}
        state = _made(folder / "state")
        os.chown(state, USER, USER)
        here = {"registry": f"127.0.0.1:{ports['REGISTRY_PORT']}", **images_of(client, folder)}
        checkout = copied(folder / "product", here)
        for name in FILES:
            shutil.copy(ROOT / name, checkout / name)
        shutil.copy(PROBE, checkout / "dags" / PROBE.name)
        _make_secrets(_made(checkout / "secrets"))
        images = debian.stand_ins(client, folder / "stand-ins")
        client.images.build(
            path=str(checkout),
            tag="roundtrip-airflow",
            buildargs={"BASE": debian.debian_image(client)},
            network_mode="host",
            rm=True,
        )
        variables = {
            **{"DOCKER_HOST": address, "ENGINE_SOCKET": address.removeprefix("unix://")},
            **{"ROUNDTRIP_STATE": str(state), **ports, **images},
        }
        yield Stack(client, checkout, Home(state), variables)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _make_secrets(folder: Path) -> None:
    """As the head of docker-compose.yaml says."""
    values = {name: secrets.token_hex(32) for name in SECRETS}
    values["fernet_key"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    for name, value in values.items():
        (folder / name).write_text(value)
