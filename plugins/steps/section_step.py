"""The operator behind every task of a section: it opens the release and calls one function of `roundtrip`.

Rules:
1. A step's result is what the ledger holds; nothing is returned to XCom.
2. A `RoundtripError` ends the log with its one line. One that trying again cannot help fails at once, others retry.
3. A failure is in the ledger before Airflow sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from steps.failing import ended_by, record

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from roundtrip.release import Release

RETRIES = 2
RETRY_DELAY = timedelta(seconds=2)
TIMEOUT = timedelta(minutes=20)


class SectionStep(BaseOperator):
    """Calls `call` (`module:function`) with the release and `arguments`.

    :param call: function of `roundtrip`, as `package.module:name`; imported when the task runs.
    :param plan: name of the plan file, without folder and ending.
    :param release_id: template; names the release in the ledger.
    :param environment: template; prefix of the environments' names.
    :param arguments: further keyword arguments, plain values.
    :param sentence: the sentence of the plan that this step carries out; becomes the task's documentation.
    :param asks_first: function `(release) -> bool` that says whether there is anything to do; if not, the task is skipped.
    """

    template_fields: Sequence[str] = ("release_id", "environment", "arguments")
    ui_color = "#e8eef7"

    def __init__(
        self,
        *,
        call: str,
        plan: str,
        sentence: str,
        release_id: str = "{{ dag.dag_id }}.{{ run_id | replace(':', '-') | replace('+', '-') }}",
        environment: str = "{{ params.environment }}",
        arguments: Mapping[str, Any] | None = None,
        asks_first: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retries", RETRIES)
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        kwargs.setdefault("execution_timeout", TIMEOUT)
        super().__init__(doc_md=sentence, **kwargs)
        self.call = call
        self.plan = plan
        self.sentence = sentence
        self.release_id = release_id
        self.environment = environment
        self.arguments = dict(arguments or {})
        self.asks_first = asks_first

    def execute(self, context: Context) -> None:
        from roundtrip.errors import RoundtripError
        from steps.connections import connection_secrets, server_authorization
        from steps.opening import open_release

        self.log.info("%s", self.sentence)
        try:
            release = open_release(
                self.release_id,
                self.plan,
                self.environment,
                connection_secrets,
                authorization=server_authorization,
            )
        except RoundtripError as error:
            raise ended_by(error) from error.__cause__
        self.carry_out(release)

    def carry_out(self, release: Release) -> None:
        """Ask whether there is anything to do, then do it; `execute` without what opens the release."""
        from roundtrip.errors import RoundtripError
        from roundtrip.rollout.leasing import renewed

        try:
            is_needed = not self.asks_first or _function(self.asks_first)(release)
            if is_needed:
                with renewed(release, self.task_id):
                    _function(self.call)(release, **self.arguments)
        except RoundtripError as error:
            record(release, self.task_id, error, self.log)
            raise ended_by(error) from error.__cause__
        if not is_needed:
            raise AirflowSkipException(f"{self.task_id}: nothing to do, says the ledger of {release.id}")


def _function(path: str) -> Any:
    from importlib import import_module

    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
