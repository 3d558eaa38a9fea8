"""A metadata database for Airflow's scheduling decisions, one for the whole session, made before Airflow is imported."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Airflow reads its configuration on import, so it has to be there before any test module is."""
    folder = tempfile.mkdtemp(prefix="roundtrip-airflow-")
    os.environ.update(
        AIRFLOW_HOME=folder,
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).resolve().parents[2] / "dags"),
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{folder}/airflow.db",
        AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
    )


@pytest.fixture(scope="session")
def metadata_database() -> Iterator[None]:
    """An empty, migrated metadata database."""
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    with create_session() as session:
        initdb(session=session)
    yield
