"""The DAGs of the benchmark; copied into `dags/`. A run of `gates` holds as many gates as a release has tasks."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Param
from probe import ProbeSensor

from gates.sensor import GateSensor

with DAG("probe", schedule=None):
    ProbeSensor(task_id="probe", file=os.environ["MANY_GATES_PROBE"])

with DAG(
    "gates", schedule=None, max_active_runs=10_000, params={"environment": Param("many_gates", type="string")}
):
    for number in range(int(os.environ["MANY_GATES_PER_RUN"])):
        GateSensor(
            task_id=f"gate_{number}",
            gate_id="production.wave",
            gate="production-wave",
            stage="production",
            plan="top_tier_trading_1_1_0",
            sentence="3.4 One of many.",
            release_id=f"{{{{ run_id }}}}.{number}",
            deadline=timedelta(hours=1),
        )
