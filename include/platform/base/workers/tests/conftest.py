from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.redis_server import RedisServer
from workers.redis_connection import connect


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """An empty Redis, by the connection that the workers use."""
    with connect(server.url) as made:
        made.flushall()
        yield made
