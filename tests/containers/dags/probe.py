"""A DAG for tests: a task on the worker that asks the engine through the filter, and a step that may not pass it."""

from __future__ import annotations

from airflow.sdk import DAG, task

with DAG("probe", schedule=None, tags=["test"]):

    @task
    def asks_the_engine() -> None:
        from docker.errors import APIError

        from roundtrip.targets.compose.engine import connect

        client = connect("unix:///var/run/docker.sock")
        try:
            client.df()
        except APIError as error:
            if error.status_code == 403:
                return
        raise RuntimeError("the filter let a question pass that it has to refuse")

    asks_the_engine()
