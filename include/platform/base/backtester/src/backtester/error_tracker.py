"""Exceptions to an error tracker. Its SDK is loaded only when there is a DSN, so that starting stays quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backtester.identity import SERVICE, VERSION

_FLUSH_LIMIT_SECONDS = 1.0


@dataclass(frozen=True)
class ErrorTracker:
    report: Callable[[BaseException], object]
    flush: Callable[[], object]
    """returns once what was reported is sent, or after a limit"""


NO_TRACKER = ErrorTracker(report=lambda _error: None, flush=lambda: None)


def open_error_tracker(dsn: str | None, deploy_env: str) -> ErrorTracker:
    """Raises ValueError when the SDK refuses the DSN."""
    if dsn is None:
        return NO_TRACKER
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=deploy_env,
        release=f"{SERVICE}@{VERSION}",
        include_local_variables=False,  # they may hold secrets
    )
    return ErrorTracker(
        report=sentry_sdk.capture_exception,
        flush=lambda: sentry_sdk.flush(timeout=_FLUSH_LIMIT_SECONDS),
    )
