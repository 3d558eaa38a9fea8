"""Follows a DAG run until it has ended, and shows what happens: tasks from Airflow, evidence from the ledger."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console

from roundtrip.commands.airflow_api import AirflowApi, Task
from roundtrip.gates.actions import Actions, GateAction, asked
from roundtrip.gates.evidence import Sample
from roundtrip.gates.kinds import told
from roundtrip.ledger.ledger import Event, Ledger

FOLLOW_LIMIT_SECONDS = 26 * 3600
POLL_SECONDS = 1.0
EVIDENCE_SECONDS = 5.0
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass
class Follower:
    """One run of one DAG, of one release."""

    api: AirflowApi
    ledger: Ledger
    console: Console
    dag_id: str
    run_id: str
    release: str

    def follow(self) -> str:
        """Show the run until it has ended; its state as Airflow has it."""
        shown: dict[str, str] = {}
        seen, said = self._newest(), 0.0
        deadline = time.monotonic() + FOLLOW_LIMIT_SECONDS
        state = "queued"
        while time.monotonic() < deadline:
            state = self.api.run_state(self.dag_id, self.run_id)
            for task in sorted(
                self.api.tasks(self.dag_id, self.run_id), key=lambda t: t.end or t.start or "9"
            ):
                if task.state != shown.get(task.id) and task.state in (*ENDED, "running", "deferred"):
                    shown[task.id] = task.state
                    self._say_task(task)
            for event in self.ledger.events(self.release, after=seen):
                seen = event.seq
                if event.kind == "gate.sample" and time.monotonic() - said < EVIDENCE_SECONDS:
                    continue
                said = time.monotonic() if event.kind == "gate.sample" else said
                self._say_event(event)
            if state in ("success", "failed", "none"):
                return state
            time.sleep(POLL_SECONDS)
        return state

    def sections(self) -> list[tuple[str, float]]:
        """The seconds from each section's first to its last moment, in the order in which they began."""
        spans: dict[str, list[datetime]] = defaultdict(list)
        for task in self.api.tasks(self.dag_id, self.run_id):
            if task.start and task.end and task.state in ("success", "failed"):
                spans[task.id.partition(".")[0]] += [_moment(task.start), _moment(task.end)]
        began = sorted(spans.items(), key=lambda item: min(item[1]))
        return [(name, (max(moments) - min(moments)).total_seconds()) for name, moments in began]

    def _newest(self) -> int:
        events = self.ledger.events(self.release)
        return events[-1].seq if events else 0

    def _say_task(self, task: Task) -> None:
        if task.state in ("skipped", "upstream_failed", "removed"):
            return
        marks = {"success": "✓", "failed": "✗", "running": "…", "deferred": "…"}
        seconds = (
            f" {(_moment(task.end) - _moment(task.start)).total_seconds():.1f} s"
            if task.start and task.end
            else ""
        )
        style = {"success": "green", "failed": "red"}.get(task.state)
        self.console.print(f"{marks[task.state]} {task.id}{seconds}", style=style)

    def _say_event(self, event: Event) -> None:
        data = event.data
        if event.kind == "gate.sample":
            self.console.print(f"    {event.key}: {self._evidence(event)}", style="dim")
        elif event.kind == "gate.verdict":
            self.console.print(f"    {event.key}: {data['verdict']}: {data['reason']}")
        elif event.kind == "gate.action":
            self.console.print(f"    {data['gate_id']}: {GateAction.of(event).sentence()}", style="yellow")
        elif event.kind == "action.refused":
            who = f"{data['action']} by {data['by']}"
            self.console.print(f"    {data['gate_id']}: {who} was refused: {data['why']}", style="yellow")
        elif event.kind == "gate.pulled":
            self.console.print(f"    {event.key}: the canary's traffic is pulled", style="yellow")
        elif event.kind == "door.asked":
            where = f"Dags > one_way_door_{data['plan']} > Trigger"
            self.console.print(f"    one-way door: {data['door']}; it waits: {where}", style="yellow")
        elif event.kind == "watchdog.lapsed":
            self.console.print(
                f"    {event.key}: the watchdog takes the traffic back: {data['reason']}", style="red"
            )
        elif event.kind == "task.failed":
            self.console.print(f"    {data['task']}: {data['error']}", style="red")
        elif event.kind == "rollback.begun":
            self.console.print(f"    rollback: {data['why']}", style="yellow")

    def _evidence(self, event: Event) -> str:
        """Both arms of each metric, and when the gate decides at the latest."""
        sample = Sample.from_json(event.data)
        gate_id = (event.key or "").rpartition("#")[0]
        gate = self.ledger.last(self.release, "gate.started", gate_id)
        kinds = {one["name"]: one["kind"] for one in gate.data["gate"]["metrics"]} if gate is not None else {}
        each = [
            f"{name} canary {told(kinds[name], counts)}, stable {told(kinds[name], sample.stable[name])}"
            for name, counts in sample.canary.items()
            if name in kinds
        ]
        missing = [f"{what} is missing: {why}" for what, why in sample.missing.items()]
        left = []
        if gate is not None:
            seconds = float(gate.data["gate"]["deadline_seconds"])
            added = Actions(asked(self.ledger, self.release, gate_id)).added_seconds(seconds, sample.at)
            deadline = gate.at + timedelta(seconds=seconds + added)
            left = [f"decides within {max(0.0, (deadline - sample.at).total_seconds()):.0f} s"]
        return "; ".join([*each, *missing, *left])


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else datetime.now(UTC)
