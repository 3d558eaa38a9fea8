"""The filter does what a fault says, and only to its port."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.chaos import network
from tests.chaos.network import Way

ANSWER_LIMIT_SECONDS = 2.0


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that sends back what it gets."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _serve(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return  # the test is over
        threading.Thread(target=_echo, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    with client:
        try:
            while got := client.recv(100):
                client.sendall(got)
        except ConnectionError:
            return  # it was refused


def asked(connection: socket.socket) -> bytes:
    connection.sendall(b"x")
    return connection.recv(100)


def test_what_is_broken_is_a_new_connection_and_one_that_was_open(port: int) -> None:
    errors = {"refused": ConnectionError, "half-open": TimeoutError}
    for how, error in errors.items():
        with socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_SECONDS) as connection:
            assert asked(connection) == b"x"
            undo = network.bent(Way(port), how)
            if undo is None:
                pytest.skip("no nft on PATH, or no right to change the filter (a package of Debian)")
            try:
                with pytest.raises(error):
                    asked(connection)
                with pytest.raises(error):
                    socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_SECONDS)
            finally:
                undo()
        with socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_SECONDS) as connection:
            assert asked(connection) == b"x"


def test_what_a_killed_campaign_has_left_is_ended(port: int) -> None:
    if network.bent(Way(port), "half-open") is None:
        pytest.skip("no nft on PATH, or no right to change the filter (a package of Debian)")
    assert network.mend()
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert network.TABLE not in tables
    with socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_SECONDS) as connection:
        assert asked(connection) == b"x"
