"""The probe: a trigger beside the gates that sleeps and writes down how late it woke. Copied into `plugins/`.

It imports Airflow only, since it runs in the triggerer. What it writes is one JSON object a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TaskSuccessEvent, TriggerEvent

SLEEP_SECONDS = 0.05
SAY_SECONDS = 1.0


class ProbeTrigger(BaseTrigger):
    """Sleeps and writes until there is a file `stop` beside the one that it writes."""

    def __init__(self, *, file: str) -> None:
        super().__init__()
        self.file = file

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "probe.ProbeTrigger", {"file": self.file}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        file = Path(self.file)
        late: list[float] = []
        said = time.monotonic()
        while not (file.parent / "stop").exists():
            began = time.monotonic()
            await asyncio.sleep(SLEEP_SECONDS)
            now = time.monotonic()
            late.append(round(now - began - SLEEP_SECONDS, 5))
            if now - said >= SAY_SECONDS:
                line = {
                    "at": time.time(),
                    "pid": os.getpid(),
                    "threads": threading.active_count(),
                    "late": late,
                }
                with file.open(
                    "a", encoding="utf-8"
                ) as out:  # tens of microseconds, part of what is measured
                    out.write(json.dumps(line) + "\n")
                late, said = [], now
        yield TaskSuccessEvent()


class ProbeSensor(BaseSensorOperator):
    """The probe as a task that takes no worker."""

    start_from_trigger = True

    def __init__(self, *, file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="probe.ProbeTrigger",
            trigger_kwargs={"file": file},
            next_method="execute",
            timeout=timedelta(hours=2),
        )
