"""Airflow's four components and their PostgreSQL under one supervisord.

Rules:
1. `up` may be called at any time, after a power cut too; a component that is killed is back within two seconds.
   A killed scheduler leaves workers behind: `down`, and `up` when nothing supervises, end whatever is left of this folder.
2. The configuration is written anew by each `up` from what is here; it holds keys, so only its owner reads it.
3. The scheduler loads what tasks import before it forks them. It and the triggerer are started anew by the `up` that
   finds other code than they loaded. What those before them left is dead, whatever their last heartbeat says.
4. The scheduler is set to notice a dead task within ten seconds instead of five minutes (`docs/decisions/0002`).
"""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx
from filelock import FileLock

from roundtrip import durable
from roundtrip.embedded.postgres import EmbeddedPostgres
from roundtrip.embedded.preloaded import METADATA, code
from roundtrip.embedded.secrets import airflow_secrets, connections_file
from roundtrip.errors import HostError
from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.supervision.leftovers import end_leftovers, with_argument, with_variable
from roundtrip.targets.local.infrastructure import free_ports
from roundtrip.tls import trusted
from roundtrip.toolchain.commands import STARTED_FOR

MIGRATE_LIMIT_SECONDS = 300
READY_LIMIT_SECONDS = 120
POLL_SECONDS = 0.2
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
KEEP_CODE = ("scheduler", "triggerer")
"""components that load our code once, so that other code has to replace their processes"""
USER = "admin"


@dataclass(frozen=True)
class Login:
    """How a person opens the UI."""

    url: str
    user: str
    password: str


class EmbeddedAirflow:
    """The Airflow of one state folder, for the DAGs of the checkout in `root`."""

    def __init__(self, home: Home, root: Path) -> None:
        self._home = home
        self._root = root
        self._folder = home.root / "airflow"
        self.daemon = Daemon(self._folder / "supervisor")
        self.postgres = EmbeddedPostgres(home.root / "postgres", self.daemon)

    def up(self) -> Login:
        """Start what is missing and wait until every component is healthy. Raises HostError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            self._configure(self._port())
            if not self.daemon.is_running():
                self._end_leftovers()
                self.postgres.forget_lock()
            self.daemon.start()
            self.postgres.up()
            self._migrate()
            for component in COMPONENTS:
                self.daemon.put(self._program(component))
            self._wait()
        return self.login()

    def down(self) -> None:
        """End every process; the data stays."""
        if not self._folder.is_dir():
            return
        with self._alone():
            self.daemon.stop()
            self._end_leftovers()

    def is_up(self) -> bool:
        return self.daemon.is_running()

    def was_started(self) -> bool:
        """Whether `up` was ever called for this state folder."""
        return (self._folder / "port").exists()

    def login(self) -> Login:
        return Login(f"http://127.0.0.1:{self._port()}", USER, airflow_secrets(self._home)["password"])

    def environment(self) -> dict[str, str]:
        """What each component gets, and `airflow` on a command line needs; no secret among it."""
        return {
            "AIRFLOW_HOME": str(self._folder),
            # Without it a process that renames itself writes over the variables that it is known by.
            "SPT_NOENV": "1",
            "PYTHONPATH": os.pathsep.join([str(self._root / "include"), str(self._root / "plugins")]),
            "ROUNDTRIP_HOME": str(self._home.root),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        }

    def _alone(self) -> FileLock:
        """Held while processes are started or ended, so that two calls do not undo each other's work."""
        return FileLock(self._folder / "up.lock", timeout=MIGRATE_LIMIT_SECONDS + READY_LIMIT_SECONDS)

    def _end_leftovers(self) -> None:
        kinds = [
            with_argument(str(self.daemon.folder / "supervisord.conf")),
            with_variable("AIRFLOW_HOME", str(self._folder)),
            with_variable(STARTED_FOR, str(self._home.root)),
            self.postgres.owns,
        ]
        end_leftovers(kinds, where=str(self._folder))

    def _program(self, component: str) -> Program:
        module = "roundtrip.embedded.preloaded" if component in KEEP_CODE else "airflow"
        command = [sys.executable, "-m", module, component]
        folders = [self._root / "include" / "roundtrip", self._root / "plugins"]
        kept = {"ROUNDTRIP_CODE": code(folders), METADATA: self.postgres.url}
        loaded = kept if component in KEEP_CODE else {}
        passed = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        return Program(
            component,
            command,
            self._folder,
            {**passed, **self.environment(), **loaded},
            stop_seconds=15,
            steady_seconds=2,
        )

    def _port(self) -> int:
        file = self._folder / "port"
        if not file.exists():
            durable.write(file, str(free_ports(1)[0]))
        return int(file.read_text(encoding="ascii"))

    def _configure(self, port: int) -> None:
        keys = airflow_secrets(self._home)
        durable.write_json(self._folder / "passwords.json", {USER: keys["password"]})
        parser = configparser.RawConfigParser()
        parser.read_dict(self._settings(port, keys))
        text = io.StringIO()
        parser.write(text)
        durable.write(self._folder / "airflow.cfg", text.getvalue())

    def _settings(self, port: int, keys: dict[str, str]) -> dict[str, dict[str, str]]:
        url = f"http://127.0.0.1:{port}"
        return {
            "core": {
                "executor": "LocalExecutor",
                "parallelism": "8",
                "max_active_tasks_per_dag": "4",
                "dags_folder": str(self._root / "dags"),
                "plugins_folder": str(self._root / "plugins"),
                "load_examples": "False",
                "fernet_key": keys["fernet_key"],
                "simple_auth_manager_users": f"{USER}:admin",
                "simple_auth_manager_passwords_file": str(self._folder / "passwords.json"),
                "execution_api_server_url": f"{url}/execution/",
            },
            "database": {"sql_alchemy_conn": self.postgres.url},
            "api": {
                "host": "127.0.0.1",
                "port": str(port),
                "base_url": url,
                "workers": "1",
                "secret_key": keys["secret_key"],
            },
            "api_auth": {"jwt_secret": keys["jwt_secret"]},
            "logging": {"base_log_folder": str(self._folder / "logs")},
            "usage_data_collection": {"enabled": "False"},
            "secrets": {
                "backend": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
                "backend_kwargs": json.dumps({"connections_file_path": str(connections_file(self._home))}),
            },
            "scheduler": {
                "scheduler_idle_sleep_time": "0.4",
                "task_instance_heartbeat_timeout": "10",
                "task_instance_heartbeat_timeout_detection_interval": "2",
                "orphaned_tasks_check_interval": "5",
                "scheduler_health_check_threshold": "10",
                "job_heartbeat_sec": "1",
                "scheduler_heartbeat_sec": "1",
            },
            "workers": {"min_heartbeat_interval": "1"},
            "triggerer": {"triggerer_health_check_threshold": "6", "job_heartbeat_sec": "1"},
            "dag_processor": {"refresh_interval": "10", "min_file_process_interval": "30"},
        }

    def _migrate(self) -> None:
        """Bring the metadata database to this Airflow's schema, once for each version."""
        marker = self._folder / "migrated"
        wanted = hashlib.sha256(f"{version('apache-airflow')} {self.postgres.url}".encode()).hexdigest()
        if marker.exists() and marker.read_text(encoding="ascii") == wanted:
            return
        # AIRFLOW__… of the caller would go before the configuration file, and migrate another database.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env={**inherited, **self.environment()},
            capture_output=True,
            text=True,
            timeout=MIGRATE_LIMIT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise HostError(
                f"airflow db migrate ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}",
                where=str(self._folder),
                remedy="see the message; the database is in the folder postgres beside it",
            )
        marker.write_text(wanted, encoding="ascii")

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_LIMIT_SECONDS
        while sick := self._unhealthy():
            if time.monotonic() > deadline:
                raise HostError(
                    f"not healthy within {READY_LIMIT_SECONDS} s: {', '.join(sick)}",
                    where=str(self._folder),
                    remedy=f"see {self.daemon.logs}",
                )
            time.sleep(POLL_SECONDS)

    def _unhealthy(self) -> list[str]:
        try:
            answer = httpx.get(
                f"{self.login().url}/api/v2/monitor/health", timeout=5, trust_env=False, verify=trusted()
            ).json()
        except (httpx.HTTPError, ValueError):
            return ["api-server"]
        names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return [name for name in names if (answer.get(name) or {}).get("status") != "healthy"]


_PASSED_ON = ("PIP_", "UV_", "npm_config_", "SSL_CERT", "REQUESTS_CA", "NODE_EXTRA_CA", "CURL_CA")
"""How a machine says where its package registries are: builds run in Airflow's tasks."""
