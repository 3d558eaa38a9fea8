"""Runs one command of a toolchain: an argument list, in a folder, with an environment written down here.

Rules:
1. A command gets the variables listed here and those the caller adds, nothing else: a secret in our own
   environment does not reach a build script.
2. Its output goes to the log line by line while it runs, standard error among standard output, credentials
   in addresses masked.
3. It is bounded: at the limit the whole process group is ended.
4. A command that fails raises BuildError with its exit code and its last lines.
5. It says by a variable for which state folder it works, so that it is found when whoever started it was killed.
6. It gives way to what serves: on one machine with a platform, a build or a test must not slow its clients down.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import BuildError, HostError

Log = Callable[[str], None]
"""Told one line of output at a time."""

COMMAND_SECONDS = 900.0
"""Limit of one lint, test or build command."""
ENDING_SECONDS = 5.0
"""How long a command that was asked to end has before it is killed."""
TAIL_LINES = 20
NICENESS = 10
"""above 0: what serves on this machine goes before"""

PASSED_ON = (
    "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "XDG_CACHE_HOME", "PYTHONDONTWRITEBYTECODE",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "DOCKER_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
PASSED_ON_PREFIXES = ("PIP_", "UV_", "npm_config_", "NPM_CONFIG_", "POETRY_")
"""How a machine says where its package registries are."""

STARTED_FOR = "ROUNDTRIP_STARTED_FOR"
"""the state folder that a command of a release works for"""

_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code and its whole output, credentials masked."""

    code: int
    output: str


def environment(path: Sequence[Path], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: `path` before the machine's PATH, what is passed on, and `extra`."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    search = os.pathsep.join([*(str(folder) for folder in path), os.environ.get("PATH", os.defpath)])
    quiet = {
        "CI": "1",
        "NEXT_TELEMETRY_DISABLED": "1",
        "npm_config_update_notifier": "false",
        "NO_COLOR": "1",
    }
    home = os.environ.get("ROUNDTRIP_HOME")
    marked = {STARTED_FOR: home} if home else {}
    return {**quiet, **passed, **marked, "PATH": search, **(extra or {})}


def run(
    command: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    log: Log,
    *,
    timeout_seconds: float = COMMAND_SECONDS,
    accepted: Sequence[int] = (0,),
) -> Done:
    """Run `command` to its end.

    Raises BuildError when its exit code is not among `accepted`, HostError when the program is not there.
    """
    shown = " ".join(command)
    log(f"{cwd.name}$ {shown}")
    lines: deque[str] = deque()
    process = _start(command, cwd, env)
    reader = threading.Thread(target=_read, args=(process, lines, log), daemon=True)
    reader.start()
    try:
        process.wait(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise BuildError(
            f"'{shown}' did not end within {timeout_seconds:g} s" + _tail(lines),
            where=str(cwd),
            remedy="find out what it waits for; its last lines are above",
        ) from error
    finally:
        _end(process)
        reader.join(ENDING_SECONDS)
    if process.returncode not in accepted:
        raise BuildError(
            f"'{shown}' ended with {process.returncode}" + _tail(lines),
            where=str(cwd),
            remedy="run it in that folder and mend what its last lines say",
        )
    return Done(process.returncode, "\n".join(lines))


def _start(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(
            f"program '{command[0]}' was not found, or the folder is not there",
            where=str(cwd),
            remedy="install it, or correct the command in the plan",
        ) from error
    _give_way(process.pid)
    return process


def _give_way(pid: int) -> None:
    """Lower the priority of a command, and of its session, which Linux weighs as a whole where it groups them so."""
    with contextlib.suppress(OSError):  # it has ended already, or this system has no such groups
        os.setpriority(os.PRIO_PROCESS, pid, max(NICENESS, os.nice(0)))
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), encoding="ascii")


def _read(process: subprocess.Popen[str], lines: deque[str], log: Log) -> None:
    if process.stdout is None:
        raise RuntimeError("a command is always started with a pipe")
    for line in process.stdout:
        clean = masked(line.rstrip("\n"))
        lines.append(clean)
        log(clean)


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of the command's process group, also children that outlived it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def masked(line: str) -> str:
    """`line` without user names and passwords in addresses."""
    return _CREDENTIALS.sub("***", line)


def _tail(lines: Sequence[str]) -> str:
    """The last lines, without the list of options that npm prints below its reason."""
    said = list(itertools.takewhile(lambda line: line != "npm error Usage:", lines))
    last = said[-TAIL_LINES:]
    return "".join(f"\n    {line}" for line in last)
