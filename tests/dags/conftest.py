"""What the stories share: a metadata database made before Airflow is imported, signed releases, a quick folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dags.signed import Signed, make_signed

MEMORY = Path("/dev/shm")
"""Ledgers and the metadata database wait for the disk at each commit; here that takes no time."""


def quick_folder() -> Path:
    return Path(
        tempfile.mkdtemp(prefix="roundtrip-airflow-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    )


def pytest_configure(config: pytest.Config) -> None:
    """Airflow reads its configuration on import, so it has to be there before any test module is."""
    folder = quick_folder()
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ.update(
        AIRFLOW_HOME=str(folder),
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


@pytest.fixture(scope="session")
def stories_folder() -> Iterator[Path]:
    """Where stories have their folders; gone after the session."""
    folder = quick_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def signed(stories_folder: Path) -> Signed:
    return make_signed(stories_folder / "signed")
