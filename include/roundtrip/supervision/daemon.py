"""One supervisord and its programs.

Rules:
1. A program is a file in `programs/`; what is there is started again when the daemon is, after a power cut too.
2. `put` and `remove` may be repeated. `put` of a changed program replaces its process.
3. No environment but the allowed names passes to the processes: what starts a daemon may hold secrets.
4. The socket lies in a short folder that only its owner can enter, since its path is bounded to 107 bytes.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from roundtrip import durable
from roundtrip.errors import HostError

START_LIMIT_SECONDS = 20
STOP_LIMIT_SECONDS = 60
POLL_SECONDS = 0.05
ALLOWED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "PYTHONDONTWRITEBYTECODE")
LOG_BYTES = "5MB"
ENDED = ("STOPPED", "EXITED", "FATAL")
"""states in which a program has no process and supervisord will not give it one by itself"""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """plain values only; secrets go through files"""
    stop_seconds: int = 10
    """between SIGTERM and SIGKILL"""
    steady_seconds: int = 1
    """a process that ends sooner counts as a failed start"""
    priority: int = 999
    stop_signal: str = "TERM"

    def render(self, logs: Path) -> str:
        """Its section of supervisord's configuration."""
        for value in self.environment.values():
            if set(value) & set("\"'\n"):
                raise RuntimeError(
                    f"{self.name}: supervisord cannot be given quotes or line ends in a variable"
                )
        variables = ",".join(
            f'{name}="{_escaped(value)}"' for name, value in sorted(self.environment.items())
        )
        lines = [
            f"[program:{self.name}]",
            f"command={_escaped(shlex.join(self.command))}",
            f"directory={_escaped(str(self.directory))}",
            f"environment={variables}",
            "autostart=true",
            "autorestart=true",
            f"startsecs={self.steady_seconds}",
            "startretries=1000",
            f"stopsignal={self.stop_signal}",
            f"stopwaitsecs={self.stop_seconds}",
            "stopasgroup=false",
            "killasgroup=true",
            f"priority={self.priority}",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(str(logs / self.name))}.log",
            f"stdout_logfile_maxbytes={LOG_BYTES}",
            "stdout_logfile_backups=2",
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Process:
    """What supervisord says of a program."""

    name: str
    state: str
    """RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL …"""
    pid: int


class Daemon:
    """The supervisord of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.programs = folder / "programs"
        self.socket = runtime_folder(folder) / "supervisor.sock"

    def start(self) -> None:
        """Start the daemon unless it runs. Raises HostError when it does not come up."""
        if self.is_running():
            return
        for needed in (self.logs, self.programs):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket.unlink(missing_ok=True)
        (self.folder / "supervisord.conf").write_text(self._configuration(), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "-c",
            str(self.folder / "supervisord.conf"),
        ]
        environment = {name: os.environ[name] for name in ALLOWED if name in os.environ}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=START_LIMIT_SECONDS, check=False
        )
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self.is_running():
            if done.returncode != 0 or time.monotonic() > deadline:
                raise HostError(
                    f"supervisord did not start: {(done.stderr or done.stdout).strip()[-400:]}",
                    where=str(self.folder),
                    remedy=f"see {self.folder / 'supervisord.log'}",
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End every program and the daemon; nothing to do when it does not run."""
        if not self.is_running():
            return
        with self._server() as server:
            pid = int(server.getPID())
            server.shutdown()
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        while Path(f"/proc/{pid}").exists() and _command(pid) != "":
            if time.monotonic() > deadline:
                raise HostError(
                    f"supervisord (pid {pid}) did not end within {STOP_LIMIT_SECONDS} s",
                    where=str(self.folder),
                    remedy=f"see {self.folder / 'supervisord.log'}",
                )
            time.sleep(POLL_SECONDS)

    def is_running(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            with self._server() as server:
                return str(server.getState()["statename"]) == "RUNNING"
        except (OSError, xmlrpc.client.Error):
            return False

    def processes(self) -> dict[str, Process]:
        """All programs by name. Raises HostError when the daemon does not answer."""
        with self._answering() as server:
            infos: Any = server.getAllProcessInfo()
        return {info["name"]: Process(info["name"], info["statename"], info["pid"]) for info in infos}

    def put(self, program: Program) -> None:
        """Have `program` running as it is given; a changed one is stopped first."""
        file, text = self._file(program.name), program.render(self.logs)
        is_changed = not file.exists() or file.read_text(encoding="utf-8") != text
        loaded = program.name in self.processes()
        if is_changed and loaded:
            self._unload(program.name)
            loaded = False
        if is_changed:
            durable.write(file, text)
        self._load(program.name)

    def ensure(self, name: str) -> None:
        """Have the program that was put under `name` running, as it was given then."""
        if name in self.known():
            self._load(name)

    def begin_stop(self, name: str) -> None:
        """Send the program its stop signal and return at once; it is not started again until `put` or `ensure`."""
        with self._answering() as server:
            _tolerating((Faults.BAD_NAME, Faults.NOT_RUNNING), server.stopProcess, name, False)

    def remove(self, name: str) -> None:
        """Stop the program and forget it; returns when its process has ended."""
        if name in self.processes():
            self._unload(name)
        self._file(name).unlink(missing_ok=True)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal by name (`HUP`, `KILL`) to the program's process."""
        with self._answering() as server:
            server.signalProcess(name, signal)

    def known(self) -> list[str]:
        """Names of the programs that have a file, running or not."""
        return sorted(path.stem for path in self.programs.glob("*.conf"))

    def _load(self, name: str) -> None:
        process = self.processes().get(name)
        with self._answering() as server:
            if process is None:
                server.reloadConfig()
                _tolerating((Faults.ALREADY_ADDED,), server.addProcessGroup, name)
            elif process.state in ENDED:
                _tolerating((Faults.ALREADY_STARTED,), server.startProcess, name, False)

    def _unload(self, name: str) -> None:
        with self._answering() as server:
            _tolerating((Faults.BAD_NAME,), server.stopProcessGroup, name, True)
            _tolerating((Faults.BAD_NAME,), server.removeProcessGroup, name)

    def _file(self, name: str) -> Path:
        # Path.with_suffix would cut a version off the name.
        return self.programs / f"{name}.conf"

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        try:
            with self._server() as server:
                yield server
        except (OSError, xmlrpc.client.Error) as error:
            raise HostError(
                f"supervisord does not answer: {error}",
                where=str(self.folder),
                remedy="./roundtrip up starts it",
            ) from error

    @contextmanager
    def _server(self) -> Iterator[Any]:
        # A proxy that failed once hangs on its next call, so each use gets its own.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()

    def _configuration(self) -> str:
        folder = _escaped(str(self.folder))
        return (
            f"[unix_http_server]\nfile={_escaped(str(self.socket))}\nchmod=0700\n"
            f"[supervisord]\nlogfile={folder}/supervisord.log\npidfile={folder}/supervisord.pid\n"
            f"childlogdir={folder}/logs\nnodaemon=false\nminfds=4096\numask=077\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[include]\nfiles = {folder}/programs/*.conf\n"
        )


def runtime_folder(folder: Path) -> Path:
    """A short private folder for the sockets of `folder`, the same at each call."""
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"roundtrip-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    owner = short.stat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        raise HostError(
            "is not private to this user", where=str(short), remedy="remove it, it holds sockets only"
        )
    return short


def _tolerating(faults: Sequence[int], call: Any, *arguments: Any) -> None:
    try:
        call(*arguments)
    except xmlrpc.client.Fault as error:
        if error.faultCode not in faults:
            raise


def _command(pid: int) -> str:
    """The command line of a process; empty for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
