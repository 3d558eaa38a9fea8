"""The service as a process: it listens, answers, and drains when it is asked to end."""

from __future__ import annotations

import os
import signal
import sys
import threading

from backtester.configuration import Configuration, ConfigurationError, read_configuration
from backtester.error_tracker import open_error_tracker
from backtester.http_server import routes, serve
from backtester.log import log
from backtester.metrics import Metrics

_EX_CONFIG = 78
_ANSWERS_LIMIT_SECONDS = 3.5


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the interrupted code may hold the lock inside of the event.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    try:
        run(read_configuration(os.environ), stop)
    except ConfigurationError as error:
        sys.stderr.write(f"backtester: {error}\n")
        return _EX_CONFIG
    except OSError as error:
        sys.stderr.write(f"backtester: cannot listen: {error}\n")
        return 1
    return 0


def run(configuration: Configuration, stop: threading.Event) -> None:
    """Answer until `stop` is set. Raises ConfigurationError, and OSError when it cannot listen."""
    try:
        tracker = open_error_tracker(configuration.sentry_dsn, configuration.deploy_env)
    except ValueError as error:
        raise ConfigurationError("SENTRY_DSN is no DSN") from error
    metrics = Metrics()
    server = serve(configuration.host, configuration.port, routes(metrics, stop), metrics, tracker)
    log("info", "listening", host=configuration.host, port=server.server_address[1])
    try:
        stop.wait()
    finally:
        server.drain(_ANSWERS_LIMIT_SECONDS)
        tracker.flush()
    log("info", "drained")
