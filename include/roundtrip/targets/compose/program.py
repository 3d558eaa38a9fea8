"""Compose, as a program: it reads the files that it is given and brings the containers up; the engine tells the rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import TargetError
from roundtrip.targets.compose.engine import meaning
from roundtrip.targets.programs import brought

LIMIT_SECONDS = 120
SAID_LINES = 5
PASSED_ON = ("PATH", "HOME", "DOCKER_CONFIG", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Compose:
    """One Compose project: its name, its files in order, and what `${…}` in them stands for."""

    engine: str
    """address"""
    project: str
    files: tuple[Path, ...]
    variables: Mapping[str, str]
    """in the program's environment only, never in an argument"""

    def add(self, service: str, *, count: int) -> None:
        """Have `count` containers of this service; those that are there are not touched, nothing is pulled or built."""
        scale = f"--scale={service}={count}"
        self._run(
            "up", "--detach", "--no-recreate", "--no-deps", "--no-build", "--pull=never", scale, "--", service
        )

    def up(self) -> None:
        """Have all of it as the files say; a container whose part differs from before is replaced."""
        self._run("up", "--detach", "--pull=missing")

    def _run(self, *arguments: str) -> None:
        files = [f"--file={file}" for file in self.files]
        command = [
            str(brought("docker-compose")),
            "--ansi=never",
            "--progress=plain",
            f"--project-name={self.project}",
            *files,
        ]
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            done = subprocess.run(
                [*command, *arguments],
                env={
                    **passed,
                    **self.variables,
                    "DOCKER_HOST": self.engine,
                    "COMPOSE_IGNORE_ORPHANS": "true",
                },
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TargetError(
                f"docker compose {arguments[0]} did not end within {LIMIT_SECONDS} s",
                where=self.project,
                remedy="see the engine's log, then converge again",
            ) from error
        if done.returncode:
            said = " | ".join(done.stderr.strip().splitlines()[-SAID_LINES:])
            raise meaning(said, f"docker compose {arguments[0]} of {self.project}")
