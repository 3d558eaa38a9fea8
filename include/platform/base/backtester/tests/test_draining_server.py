from __future__ import annotations

import http.client
import threading
import time

from backtester.draining_server import DrainingHandler, DrainingServer


def test_draining_finishes_the_answer_in_hand_and_waits_for_no_idle_connection() -> None:
    is_in_hand, may_end = threading.Event(), threading.Event()

    class Handler(DrainingHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
            with self.server.answering():
                if self.path == "/slow":
                    is_in_hand.set()
                    assert may_end.wait(10)
                self.answer(200, "text/plain", b"done")

    server = DrainingServer(("127.0.0.1", 0), Handler)
    idle, busy = (http.client.HTTPConnection(*server.server_address[:2], timeout=10) for _ in range(2))
    idle.request("GET", "/")
    first = idle.getresponse()
    assert (first.read(), first.getheader("Connection")) == (b"done", None)
    busy.request("GET", "/slow")
    assert is_in_hand.wait(10)
    drain = threading.Thread(target=server.drain, args=[10])
    began = time.monotonic()
    drain.start()
    while not server.is_draining:
        assert time.monotonic() < began + 10
    may_end.set()
    answer = busy.getresponse()
    assert (answer.read(), answer.getheader("Connection")) == (b"done", "close")
    drain.join(5)
    assert not drain.is_alive()
    for connection in (idle, busy):
        connection.close()


def test_draining_ends_at_its_limit() -> None:
    is_in_hand, may_end = threading.Event(), threading.Event()

    class Handler(DrainingHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
            with self.server.answering():
                is_in_hand.set()
                may_end.wait(10)

    server = DrainingServer(("127.0.0.1", 0), Handler)
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
    connection.request("GET", "/")
    assert is_in_hand.wait(10)
    began = time.monotonic()
    server.drain(0.2)
    assert 0.2 <= time.monotonic() - began < 5
    may_end.set()
    connection.close()
