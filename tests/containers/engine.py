"""A Docker Engine of one's own for tests.

1. It runs in a process namespace and a mount namespace of its own. When their first process ends, the kernel ends
   whatever else is in them: containers, containerd, its shims and every mount, also after a crash of the engine.
   When the process that started the engine is killed, the kernel ends that first process. (What nobody then takes
   down are bridges, empty control groups and one rule of the filter; they are in nobody's way.)
   Where it shall come back, the first process has a shell that starts it again when it was killed, as a machine's own
   supervisor does: containers, their shims and mounts outlive it there.
2. It shares the machine's network, because a test reaches containers, and the engine reaches a registry, on
   loopback. So two engines may collide there, and this one keeps off: it touches none of the filter's chains (a
   second engine flushes those of the first), has no default network (both would call it docker0), and takes
   addresses from a range that is kept for benchmarks.
3. Of that follows what a test has to know: a container that shall be reached gets a network of its own
   (`networks.create`, or Compose's), its ports are published by a proxy process, and nothing leads to the outside.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

START_LIMIT_SECONDS = 60
END_LIMIT_SECONDS = 20
ADDRESSES = "198.18.0.0/15"
"""RFC 2544: for benchmarks, never routed. An engine takes the networks within it that no interface has yet."""

OWN_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
)

AGAIN = ("sh", "-c", 'trap exit TERM; until "$@"; do :; done', "again")
"""Starts anew what was killed. Both are told to end (docker-init's -g); the shell waits for the other one."""


def why_none() -> str | None:
    """Why no engine can be had here; None if one can."""
    if os.geteuid() != 0:
        return "no right to run dockerd (not root)"
    if shutil.which("dockerd") is None:
        return "no dockerd on PATH (Debian's package docker.io)"
    if subprocess.run([*OWN_NAMESPACES, "true"], capture_output=True, check=False).returncode:
        return "no right to run dockerd (namespaces cannot be made)"
    return None


@contextmanager
def engine(folder: Path, *, comes_back: bool = False) -> Iterator[str]:
    """The address of an engine, `unix://...`. Images are kept below `folder` until it ends, its log longer.

    `comes_back`: killed, it is started again.

    To be called by a thread that lives as long as the engine shall: the kernel ends the one with the other.
    """
    data = folder.resolve() / "data"
    data.mkdir(parents=True)
    with ExitStack() as at_the_end:
        at_the_end.callback(shutil.rmtree, data)
        # Not below `folder`: the path of a socket has at most 107 bytes.
        run = Path(at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="roundtrip-engine-")))
        at_the_end.enter_context(_heard_among_themselves())
        address = f"unix://{run}/docker.sock"
        settings = run / "daemon.json"
        settings.write_text(json.dumps(_settings(address, run, data)))
        log = at_the_end.enter_context((folder / "dockerd.log").open("wb"))
        # docker-init comes with dockerd: it waits for the shims, which dockerd does not.
        init = ("docker-init", "-g", "--", *AGAIN) if comes_back else ("docker-init", "--")
        process = subprocess.Popen(
            [*OWN_NAMESPACES, *init, "dockerd", "--config-file", str(settings)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Control-C is for the tests, which then end the engine in order
        )
        at_the_end.callback(_end, process)
        _wait_until_it_answers(address, process, folder / "dockerd.log")
        at_the_end.callback(_empty, address)
        yield address


def _settings(address: str, run: Path, data: Path) -> dict[str, object]:
    """In a file, so that the machine's own /etc/docker/daemon.json is not read."""
    return {
        "hosts": [address],
        "data-root": str(data),
        "exec-root": str(run / "exec"),
        "pidfile": str(run / "dockerd.pid"),
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
        "default-address-pools": [{"base": ADDRESSES, "size": 24}],
    }


@contextmanager
def _heard_among_themselves() -> Iterator[None]:
    """Have containers of one network hear each other, also where another engine has the machine forward nothing.

    One rule more, at the end one rule less: two engines that have put the same one in do not take each other's.
    """
    rule = ["FORWARD", "-s", ADDRESSES, "-d", ADDRESSES, "-j", "ACCEPT"]
    subprocess.run(["iptables", "--wait", "-I", *rule], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "--wait", "-D", *rule], check=True, capture_output=True)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while True:
        with (
            suppress(DockerException, requests.ConnectionError),
            closing(docker.DockerClient(base_url=address)) as client,
        ):
            client.ping()
            return
        ended = process.poll()
        if ended is not None or time.monotonic() > deadline:
            state = "still runs" if ended is None else f"ended with {ended}"
            raise RuntimeError(f"dockerd does not answer and {state}; the end of its log:\n{_tail(log)}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _empty(address: str) -> None:
    """Have the engine take down what the end of its namespaces does not: bridges and control groups."""
    with closing(docker.DockerClient(base_url=address)) as client:
        for container in client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True, v=True)
        client.networks.prune()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Of the namespaces' first process: it is asked, then told. When it is gone, so is everything in them."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for child in _children(process.pid):
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(child, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT_SECONDS)
            return
    raise RuntimeError(f"dockerd has not ended (below process {process.pid})")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []  # it has ended
