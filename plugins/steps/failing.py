"""How an error of ours ends a task: it is in the ledger first, and Airflow tries again only where that can help."""

from __future__ import annotations

from logging import Logger
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from roundtrip.errors import RoundtripError
    from roundtrip.release import Release


def record(release: Release, task: str, error: RoundtripError, log: Logger, *, once: bool = False) -> None:
    """`task.failed`, unless the ledger is what failed: that is said in the log, and the task ends with its own reason.

    :param once: what may be started again in the middle leaves one event, a step that is tried again one each time.
    """
    from roundtrip.errors import LedgerError

    data = {"task": task, "error": str(error)}
    try:
        if once:
            release.ledger.append_once(release.id, "task.failed", task, data)
        else:
            release.ledger.append(release.id, "task.failed", data)
    except LedgerError as lost:
        log.error("%s", lost)


def ended_by(error: RoundtripError) -> AirflowException:
    """What ends the task in Airflow: raise it `from error.__cause__`.

    It stands where the error does, and instead of it. An error of ours names its kind itself, and a task's log puts the kind of
    each error of the chain before it: `PromotionError: PromotionError: …`.
    """
    kind = AirflowException if error.retriable else AirflowFailException
    return kind(str(error)).with_traceback(error.__traceback__)
