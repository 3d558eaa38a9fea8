"""Of an engine nothing is left on the machine, however it ends."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path

import docker
import psutil
import pytest
from docker.errors import DockerException
from docker.models.containers import Container

from tests.containers.base import base_image
from tests.containers.engine import engine, why_none

WHY_NONE = why_none()
pytestmark = [pytest.mark.integration, pytest.mark.skipif(WHY_NONE is not None, reason=WHY_NONE or "")]

KINDS = {"unshare", "docker-init", "dockerd", "containerd", "containerd-shim-runc-v2", "python3"}
LONG_WORK = ["python3", "-c", "import threading; print('works', flush=True); threading.Event().wait()"]


def working(client: docker.DockerClient, **more: object) -> Container:
    """A container that has begun its work, which does not end by itself."""
    container = client.containers.run(base_image(client), LONG_WORK, detach=True, **more)
    assert b"".join(islice(container.logs(stream=True), 1)) == b"works\n"
    return container


def below_this_process() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def mounted(process: psutil.Process, *, below: Path) -> bool:
    """Whether a process sees something mounted there."""
    lines = Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()
    return any(Path(line.split()[4]).is_relative_to(below) for line in lines)


def test_nothing_is_left_of_an_engine_with_a_container_that_runs(tmp_path: Path) -> None:
    before = below_this_process()
    with engine(tmp_path) as address:
        run = Path(address.removeprefix("unix://")).parent
        with closing(docker.DockerClient(base_url=address)) as client:
            network = client.networks.create("of-its-own")
            bridge = Path("/sys/class/net") / f"br-{network.id[:12]}"
            container = working(client, network=network.name, ports={"80/tcp": ("127.0.0.1", None)})
        started = {process.name(): process for process in below_this_process() - before}
        assert started.keys() == KINDS | {"docker-proxy"}
        assert mounted(started["dockerd"], below=tmp_path)
        assert bridge.exists()
        groups = list(Path("/sys/fs/cgroup").glob(f"**/{container.id}"))
        assert groups

    assert not any(process.is_running() for process in started.values())
    assert not mounted(psutil.Process(), below=tmp_path)
    assert not bridge.exists()
    assert not any(group.exists() for group in groups)
    assert not run.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["dockerd.log"]


def test_no_process_and_no_mount_is_left_of_an_engine_that_was_killed(tmp_path: Path) -> None:
    before = below_this_process()
    with pytest.raises(DockerException), engine(tmp_path) as address:
        with closing(docker.DockerClient(base_url=address)) as client:
            working(client)
        started = {process.name(): process for process in below_this_process() - before}
        assert started.keys() == KINDS
        started["dockerd"].kill()
        started["dockerd"].wait(10)

    assert not any(process.is_running() for process in started.values())
    assert not mounted(psutil.Process(), below=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dockerd.log"]
