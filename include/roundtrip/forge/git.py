"""Runs git: isolated from the configuration of whoever runs it, bounded, and with git's own words in the
error.

Rules:
1. Only the repository's own configuration counts. A user's aliases, hooks, signing or merge settings change
   nothing.
2. Git never asks a person anything.
3. What a call needs beyond that (dates, an index file, an identity) is given to it by name.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from roundtrip.errors import ForgeError, HostError

GIT_SECONDS = 120.0
"""Limit of one git command; the slowest is a clone of the platform, well below a second."""
_TAIL_LINES = 12


@dataclass(frozen=True)
class Person:
    """Who a commit is by."""

    name: str
    email: str


ROUNDTRIP = Person("Roundtrip", "roundtrip@localhost")


@dataclass(frozen=True)
class Git:
    """Git in one folder: a bare repository or a work tree."""

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """further environment of every call"""

    def text(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Standard output without its last line end. Raises ForgeError."""
        return self.data(*arguments, stdin=stdin).decode("utf-8", "replace").rstrip("\n")

    def data(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Standard output as it is. Raises ForgeError."""
        done = self.attempt(*arguments, stdin=stdin)
        if done.returncode != 0:
            raise refused(self.folder, arguments, done)
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Whether the command ends with 0; for questions that git answers by its exit code 0 or 1.

        Raises ForgeError on any other.
        """
        done = self.attempt(*arguments)
        if done.returncode not in (0, 1):
            raise refused(self.folder, arguments, done)
        return done.returncode == 0

    def attempt(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """What became of the command, whatever it was."""
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env={**_isolated(), **self.env},
                input=stdin if stdin is not None else b"",
                capture_output=True,
                timeout=GIT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise HostError(
                "git was not found, or the folder is not there", where=str(self.folder), remedy="install git"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ForgeError(
                f"git {arguments[0]} did not end within {GIT_SECONDS:g} s",
                where=str(self.folder),
                remedy="see whether the repository is reachable and not locked, then try again",
            ) from error

    def dated(self, author: Person, at: datetime) -> Git:
        """The same, with commits by `author` at `at`."""
        stamp = f"{int(at.timestamp())} +0000"
        who = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
            "GIT_COMMITTER_DATE": stamp,
        }
        return Git(self.folder, {**self.env, **who})

    def with_env(self, **env: str) -> Git:
        """The same, with further environment variables."""
        return Git(self.folder, {**self.env, **env})


def refused(
    folder: Path, arguments: Sequence[str], done: subprocess.CompletedProcess[bytes], remedy: str = ""
) -> ForgeError:
    """The error of a command that did not succeed, with the last lines that git said."""
    said = (done.stderr + done.stdout).decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]
    return ForgeError(
        f"git {arguments[0]} ended with {done.returncode}: " + " | ".join(line.strip() for line in said),
        where=str(folder),
        remedy=remedy or "mend what git names above and try again",
    )


def _isolated() -> dict[str, str]:
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK") if name in os.environ
    }
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
    }
