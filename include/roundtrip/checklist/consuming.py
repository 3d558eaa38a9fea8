"""Plan 2.8, "environment variables are correctly consumed": each image is run without each variable that it needs, and with all.

Rules:
1. A service refuses to start without a variable that the plan says it needs, and names it. One that has not ended by the limit
   runs without it.
2. With all of them it refuses none: it runs while it is asked for its health several times, or ends for a reason that is no variable.
3. The values are those of the environment that it goes to first; its containers have no network, so nothing is done with them.
4. What a service says is searched for names and never shown: values may be in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roundtrip.checklist.finding import Finding
from roundtrip.targets.compose.engine import asking

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

SECOND = 1_000_000_000
"""in nanoseconds, the engine's unit"""
OWN = {"HOST": "127.0.0.1", "PORT": "8000"}
LIMIT_SECONDS = 60
"""for a service to come to its variables, also on a machine that is busy"""
ASKED = 5
"""times for its health, a second apart; as many as the engine remembers"""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Consumer:
    """One service's image, and what it is given."""

    service: str
    image: str
    variables: Mapping[str, str]
    required: Sequence[str]


def consumed(client: DockerClient, of: Consumer) -> list[Finding]:
    """What is wrong with how it takes its variables; nothing when all is right. Raises HostError, TargetError."""
    findings = []
    for name in of.required:
        given = {key: value for key, value in of.variables.items() if key != name}
        code, said = _run(client, of, given, lambda _: False)
        if code in (None, 0) or name not in said:
            unnamed = "" if name in said else " and does not name it"
            how = "runs" if code is None else f"ends with {code}{unnamed}"
            findings.append(
                _finding(of, f"without {name} it {how}", f"refuse to start without {name}, and name it")
            )
    code, said = _run(
        client, of, of.variables, lambda state: len(state.get("Health", {}).get("Log", ())) >= ASKED
    )
    refused = [name for name in of.variables if name in said] if code is not None else []
    if refused:
        what = f"with every variable it ends with {code} and speaks of {', '.join(refused)}"
        findings.append(_finding(of, what, "take it as the environment gives it, or correct the environment"))
    return findings


def _finding(of: Consumer, what: str, remedy: str) -> Finding:
    return Finding(f"{of.service}: {what}", f"image {of.image}", remedy)


def _run(
    client: DockerClient,
    of: Consumer,
    variables: Mapping[str, str],
    is_enough: Callable[[Mapping[str, Any]], bool],
) -> tuple[int | None, str]:
    """Its exit code, None when it still ran as that was enough or the limit had come, and what it said."""
    with _container(client, of, variables) as container:
        state = _wait(container, is_enough)
        with asking(of.image):
            said = container.logs().decode(errors="replace")
    return (None if state["Running"] else int(state["ExitCode"])), said


@contextmanager
def _container(client: DockerClient, of: Consumer, variables: Mapping[str, str]) -> Iterator[Container]:
    with asking(of.image):
        made = client.containers.create(
            of.image,
            environment={**variables, **OWN},
            network_mode="none",
            cap_drop=["ALL"],
            healthcheck={"interval": SECOND, "start_period": 0},
        )
        try:
            made.start()
            yield made
        finally:
            made.remove(force=True, v=True)


def _wait(container: Container, is_enough: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """How it is once it has ended, that is enough, or the limit has come."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        with asking(str(container.name)):
            container.reload()
        state: Mapping[str, Any] = container.attrs["State"]
        if not state["Running"] or is_enough(state) or time.monotonic() > deadline:
            return state
        time.sleep(POLL_SECONDS)
