"""Airflow's REST API, as far as the command line needs it (https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from roundtrip.embedded.airflow import Login
from roundtrip.errors import HostError

ANSWER_LIMIT_SECONDS = 60
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """One task of a run, as Airflow sees it."""

    id: str
    state: str
    start: str | None
    end: str | None
    try_number: int


class AirflowApi:
    """One Airflow. Every call is repeated while Airflow comes back, up to a limit: its components may be killed."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._client = httpx.Client(base_url=login.url, timeout=10, trust_env=False)

    def dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self._call("GET", "/api/v2/dags?limit=1000")["dags"]}

    def import_errors(self) -> list[str]:
        return [error["stack_trace"] for error in self._call("GET", "/api/v2/importErrors")["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run; one of this id that is there already is kept."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body, accepted=(200, 409))

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success, failed; `none` when there is no such run."""
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", accepted=(200, 404))
        return str(answer.get("state", "none"))

    def running(self, dag_id: str) -> list[str]:
        """Ids of the runs that have not ended."""
        runs = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["state"] in ("queued", "running")]

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")
        return [
            Task(t["task_id"], t["state"] or "none", t["start_date"], t["end_date"], t["try_number"])
            for t in answer["task_instances"]
        ]

    def _call(
        self, method: str, path: str, *, json: Any = None, accepted: tuple[int, ...] = (200,)
    ) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_LIMIT_SECONDS
        while True:
            try:
                response = self._client.request(method, path, json=json)
                if response.status_code == 401 and self._authorise():
                    response = self._client.request(method, path, json=json)
                if response.status_code in accepted:
                    answer: dict[str, Any] = response.json()
                    return answer
                problem = f"{response.status_code}: {response.text[:300]}"
                if response.status_code < 500 and response.status_code != 401:
                    break
            except (httpx.HTTPError, ValueError) as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        raise HostError(f"Airflow answered {problem}", where=f"{method} {path}", remedy="./roundtrip status")

    def _authorise(self) -> bool:
        """Log in; False when Airflow is not ready to say. Raises HostError when it refuses."""
        body = {"username": self._login.user, "password": self._login.password}
        response = self._client.post("/auth/token", json=body)
        if response.status_code == 201:
            self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
            return True
        if response.status_code >= 500:
            return False
        raise HostError(
            f"Airflow refused the login: {response.status_code}",
            where=self._login.url,
            remedy="./roundtrip down, then up",
        )
