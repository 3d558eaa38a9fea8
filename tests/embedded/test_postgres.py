"""The database of Airflow's metadata lets go of what nobody goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.errors import IdleInTransactionSessionTimeout

from roundtrip.embedded import postgres
from roundtrip.embedded.postgres import EmbeddedPostgres
from roundtrip.supervision.daemon import Daemon

LOCK = "SELECT * FROM runs FOR UPDATE"


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(postgres, "ABANDONED_SECONDS", 1)
    daemon = Daemon(tmp_path / "supervisor")
    daemon.start()
    try:
        cluster = EmbeddedPostgres(tmp_path / "postgres", daemon)
        cluster.up()
        yield f"host={cluster.socket_folder} user=postgres dbname=airflow"
    finally:
        daemon.stop()


@pytest.mark.integration
def test_a_lock_of_a_transaction_that_nobody_goes_on_with_is_let_go(address: str) -> None:
    """As of a scheduler that was killed while its workers, which have its connection, live on."""
    with psycopg.connect(address, autocommit=True) as made:
        made.execute("CREATE TABLE runs (id int)")
        made.execute("INSERT INTO runs VALUES (1)")
    abandoned = psycopg.connect(address)
    try:
        abandoned.execute(LOCK)
        with psycopg.connect(address) as following:
            following.execute("SET lock_timeout = '20s'")
            assert following.execute(LOCK).fetchall() == [(1,)]
        with pytest.raises(IdleInTransactionSessionTimeout):
            abandoned.execute("SELECT 1")
    finally:
        abandoned.close()
