"""The service as a process: it listens, works, and drains when it is asked to end."""

from __future__ import annotations

import os
import signal
import sys
import threading

from workers.configuration import Configuration, ConfigurationError, read_configuration
from workers.error_tracker import open_error_tracker
from workers.http_server import routes, serve
from workers.log import log
from workers.metrics import Metrics
from workers.redis_connection import connect
from workers.services.guards import Guards
from workers.services.order_stream import OrderStream, new_consumer_name
from workers.services.risk_service import RiskService
from workers.worker import Worker

_EX_CONFIG = 78
_ANSWERS_LIMIT_SECONDS = 1.0


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the interrupted code may hold the lock inside of the event.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
    try:
        run(read_configuration(os.environ), stop)
    except ConfigurationError as error:
        sys.stderr.write(f"workers: {error}\n")
        return _EX_CONFIG
    except OSError as error:
        sys.stderr.write(f"workers: cannot listen: {error}\n")
        return 1
    return 0


def run(configuration: Configuration, stop: threading.Event) -> None:
    """Work until `stop` is set. Raises ConfigurationError, and OSError when it cannot listen."""
    try:
        tracker = open_error_tracker(configuration.sentry_dsn, configuration.deploy_env)
    except ValueError as error:
        raise ConfigurationError("SENTRY_DSN is no DSN") from error
    client, metrics = connect(configuration.redis_url), Metrics()
    risk, caught_up = RiskService(client, configuration.exposure_limit), threading.Event()
    guards = Guards(client, configuration.exposure_limit, metrics)
    answers = routes(client, risk, metrics, caught_up, stop)
    server = serve(configuration.host, configuration.port, answers, tracker)
    host, port = server.server_address[:2]
    consumer = new_consumer_name()
    log("info", "listening", host=str(host), port=port, consumer=consumer)

    def catch_up() -> None:
        risk.catch_up()
        guards.measure()
        caught_up.set()

    try:
        Worker(OrderStream(client, consumer), catch_up, risk.handle, metrics, tracker).run(stop)
    finally:
        server.drain(_ANSWERS_LIMIT_SECONDS)
        tracker.flush()
    log("info", "drained")
