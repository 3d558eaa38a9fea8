"""Heartbeats of a time that has not come, which a clock that was put back has left in Airflow's metadata.

Airflow takes a job for dead when its last heartbeat is old. One that was written while the clock was ahead is not old
for as long as the clock was put back, so what a killed scheduler or triggerer left would wait for an hour instead of ten
seconds. A component that starts knows better: in an embedded Airflow there is one of each, so those before it are dead.
"""

from __future__ import annotations

from sqlalchemy import create_engine, text

JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob"}
"""component -> job_type of its rows in Airflow's table `job`"""
FORGET = text("UPDATE job SET latest_heartbeat = now() WHERE job_type = :job AND latest_heartbeat > now()")
"""By the database's own clock, as of now: they are dead when that is old."""


def forget_coming(metadata: str, component: str) -> None:
    """Put the heartbeats of this component that are to come to now. `metadata` is a PostgreSQL URL."""
    engine = create_engine(metadata)
    try:
        with engine.begin() as connection:
            connection.execute(FORGET, {"job": JOBS[component]})
    finally:
        engine.dispose()
