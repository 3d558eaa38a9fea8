"""Commands to Redis of which the next is on its way before the last is answered.

Redis serves other clients between two of them, so many small commands stall nobody; and none waits for the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

MOST_IN_FLIGHT = 8


class InFlight:
    """One connection, used in order: every `ask` is answered by one `answer`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.unanswered = 0

    def ask(self, *command: Any) -> None:
        """Send it and return. At most MOST_IN_FLIGHT may be unanswered, so that neither side's buffers fill up."""
        if self.is_full:
            raise RuntimeError(f"{MOST_IN_FLIGHT} commands are unanswered, take an answer first")
        self._connection.send_command(*command)
        self.unanswered += 1

    def answer(self) -> Any:
        """The answer to the oldest command that has none yet. Raises redis.RedisError."""
        self.unanswered -= 1
        return self._connection.read_response()

    @property
    def is_full(self) -> bool:
        return self.unanswered >= MOST_IN_FLIGHT


@contextmanager
def in_flight(client: redis.Redis) -> Iterator[InFlight]:
    """A connection of `client`, closed instead of given back when something of it was not answered."""
    connection: Any = client.connection_pool.get_connection()
    talk = InFlight(connection)
    is_whole = False
    try:
        yield talk
        is_whole = talk.unanswered == 0
    finally:
        if not is_whole:
            connection.disconnect()
        client.connection_pool.release(connection)
