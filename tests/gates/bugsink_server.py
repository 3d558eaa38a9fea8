"""A real Bugsink, which receives what the Sentry SDKs report, in a virtual environment of its own; and a real SDK."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
from servers import free_port, until_ready

from roundtrip.toolchain.folders import digest_of, prepared
from roundtrip.toolchain.programs import uv

PARTS = Path(__file__).parent / "bugsink_parts"
LOCK = PARTS / "bugsink.lock.txt"
WAIT_SECONDS = 30
INSTALL_SECONDS = 600


@dataclass
class BugsinkServer:
    """The server, its projects, and a process that reports to them."""

    url: str
    folder: Path
    dsns: Mapping[str, str]
    token: str
    """may read issues and events of all projects"""
    bound: str
    """may read those of project 1"""
    reporter: subprocess.Popen[str]

    def report(self, project: int, release: str, fault: str = "charge", *, secret: str) -> None:
        """An event by the real SDK; it is on the server when this returns."""
        line = {"dsn": self.dsns[str(project)], "release": release, "fault": fault, "secret": secret}
        assert self.reporter.stdin is not None
        assert self.reporter.stdout is not None
        self.reporter.stdin.write(json.dumps(line) + "\n")
        self.reporter.stdin.flush()
        event = self.reporter.stdout.readline().strip()
        found = httpx.get(
            f"{self.url}/api/canonical/0/events/lookup/",
            params={"project": project, "event_id": event},
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
        )
        assert found.status_code == 200, f"event {event}: {found.text}"
        assert secret in found.text

    def age(self, project: int) -> None:
        """All that was reported to the project becomes an hour older."""
        older = "strftime('%Y-%m-%d %H:%M:%f', {0}, '-1 hour')"
        with self._database() as database:
            database.execute(
                f"UPDATE issues_issue SET first_seen = {older.format('first_seen')}, "  # noqa: S608
                f"last_seen = {older.format('last_seen')} WHERE project_id = ?",
                (project,),
            )

    def multiply(self, project: int, times: int) -> None:
        """As many more kinds as the one that was new last, each seen a microsecond after the other."""
        with self._database() as database:
            rows = database.execute(
                "SELECT * FROM issues_issue WHERE project_id = ? ORDER BY digest_order DESC", (project,)
            )
            names = [column[0] for column in rows.description]
            last = dict(zip(names, rows.fetchone(), strict=True))
            seen = datetime.fromisoformat(last["last_seen"])
            copies = [
                {
                    **last,
                    "id": uuid4().hex,
                    "digest_order": last["digest_order"] + number,
                    "last_seen": str(seen + timedelta(microseconds=number)),
                }
                for number in range(1, times + 1)
            ]
            columns = ", ".join(f'"{name}"' for name in names)
            values = ", ".join(f":{name}" for name in names)
            database.executemany(f"INSERT INTO issues_issue ({columns}) VALUES ({values})", copies)  # noqa: S608

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=WAIT_SECONDS)) as database, database:
            yield database


@contextmanager
def bugsink(folder: Path, cache: Path, *, projects: int) -> Iterator[BugsinkServer]:
    """A server with so many empty projects, numbered from 1."""
    programs = _installed(cache) / "bin"
    address = f"127.0.0.1:{free_port()}"
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PARTS),
        "PYTHONPYCACHEPREFIX": str(cache / "byte_code"),
        "DJANGO_SETTINGS_MODULE": "bugsink_conf",
        "BUGSINK_FOLDER": str(folder),
        "BUGSINK_ADDRESS": address,
    }
    python = str(programs / "python")
    with (folder / "bugsink.log").open("w") as log:
        made = json.loads(
            subprocess.check_output([python, PARTS / "prepare.py", str(projects)], env=env, stderr=log)
        )
        gunicorn = [programs / "gunicorn", "bugsink.wsgi", f"--bind={address}", "--workers=1", "--threads=4"]
        process = subprocess.Popen(gunicorn, env=env, stdout=log, stderr=log, start_new_session=True)
        reporter = subprocess.Popen(
            [python, PARTS / "report.py"],
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    server = BugsinkServer(f"http://{address}", folder, reporter=reporter, **made)
    try:
        until_ready(f"{server.url}/health/ready", folder / "bugsink.log")
        yield server
    finally:
        reporter.kill()
        os.killpg(
            process.pid, signal.SIGKILL
        )  # master and worker: told politely they may wait for idle connections
        for one in (reporter, process):
            one.wait(10)


def _installed(cache: Path) -> Path:
    """The virtual environment, every file of it checked against its hash; without byte code, most is never imported."""

    def make(folder: Path) -> None:
        made = [str(uv()), "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)]
        subprocess.run(made, check=True, timeout=INSTALL_SECONDS)
        install = [str(uv()), "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(LOCK)]
        python = ["--python", str(folder / "bin" / "python")]
        subprocess.run([*install, *python], check=True, timeout=INSTALL_SECONDS)

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return prepared(cache / digest_of(LOCK.read_bytes(), version), make)
