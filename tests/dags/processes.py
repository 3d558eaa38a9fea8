"""A task's process that lives on although Airflow has given the task up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

PATIENCE_SECONDS = 60.0
"""How long one side waits for the other before the test fails."""


class LateProcess:
    """Runs `work` until it comes to `pause`, and on from there when it is told to `end`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._halted = threading.Event()
        self._goes_on = threading.Event()
        self._threads = ThreadPoolExecutor(1, initializer=self._begins)
        self._thread: threading.Thread | None = None
        self._end: Future[object] | None = None

    def start(self) -> None:
        """Returns when the process has come to its pause, or to its end."""
        self._end = self._threads.submit(self._work)
        self._end.add_done_callback(lambda _: self._halted.set())
        assert self._halted.wait(PATIENCE_SECONDS), "the process neither paused nor ended"

    def pause(self) -> None:
        """To be called where the process may stand still; others, and the process when it goes on, walk through."""
        if threading.current_thread() is self._thread and not self._halted.is_set():
            self._halted.set()
            assert self._goes_on.wait(PATIENCE_SECONDS), "nobody let the process go on"

    def end(self) -> None:
        """Let it go on, to its end; raises what it raises."""
        self._goes_on.set()
        assert self._end is not None, "the process was not started"
        self._end.result(PATIENCE_SECONDS)
        self._threads.shutdown()

    def _begins(self) -> None:
        self._thread = threading.current_thread()
