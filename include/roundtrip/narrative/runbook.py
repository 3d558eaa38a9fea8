"""Post-launch (plan 3.5): a runbook for whoever is on call, and the backlog of what is left to do.

Both are made of what happened in this release; advice that holds for every release is in docs/runbook.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from roundtrip.forge.backlog import BacklogItem
from roundtrip.gates.evidence import ARMS, Arm, Counts
from roundtrip.gates.figure import figure
from roundtrip.gates.kinds import told
from roundtrip.ledger.ledger import Event
from roundtrip.narrative.checked import gaps
from roundtrip.narrative.markdown import bullets, code, inline, table
from roundtrip.narrative.story import Story, read_story
from roundtrip.plan.model import Gate, Metric, Plan, Service


def runbook(release: str, events: Sequence[Event], plan: Plan) -> str:
    """The runbook of the version that `release` promoted, in Markdown."""
    story = read_story(release, events)
    parts = [
        f"# Runbook: {inline(plan.platform)} {plan.to_version}",
        f"In production since {story.ended_at:%Y-%m-%d %H:%M} UTC by release {code(release)}, commit {code(story.commit or '')}.",
        "## What runs",
        _services(story, plan),
        "## What is new and may page you",
        _new(plan),
        "## What was normal when it was released",
        _normal(story),
        "## What is watched, and when it is bad",
        "\n\n".join(_gate(name, gate) for name, gate in plan.gates.items()),
        "## Taking it back",
        _back(release, plan),
        "## Not checked by this release",
        bullets(
            (f"{inline(gap.what)}: {inline(gap.why)}" for gap in gaps(story, plan)),
            "Everything that the plan asks for was checked.",
        ),
    ]
    return "\n\n".join(parts) + "\n"


def backlog(release: str, events: Sequence[Event], plan: Plan) -> tuple[BacklogItem, ...]:
    """What is left to do after `release`: notes of the checklist, what was not checked, tests that failed
    once."""
    story = read_story(release, events)
    return (*_notes(story), *_gaps(story, plan), *_unsteady(story))


def _services(story: Story, plan: Plan) -> str:
    promoted = story.last("promoted")
    placements = promoted.data.get("deployment", {}).get("placements", []) if promoted else []
    rows = [
        [
            inline(p.get("service", "")),
            str(p.get("replicas", "")),
            code(plan.services[p["service"]].health) if p.get("service") in plan.services else "",
            code(p.get("bundle", "")),
        ]
        for p in placements
    ]
    return table(["service", "replicas", "health", "bundle"], rows)


def _new(plan: Plan) -> str:
    new = [f"service {code(n)} is new" for n, s in plan.services.items() if _is_new(s)]
    more = [
        f"service {code(n)} runs with {s.replicas.new} replicas instead of {s.replicas.stable}"
        for n, s in plan.services.items()
        if not _is_new(s) and s.replicas.new != s.replicas.stable
    ]
    flags = [f"flag {code(flag)} is on" for flag in plan.production.flags_on]
    keys = [
        f"Redis keys {code(rule.pattern)} ({rule.type}) are written by {plan.to_version} only"
        for rule in plan.rollback.state
        if not rule.known_to_stable
    ]
    return bullets([*new, *more, *flags, *keys], "Nothing that is seen from outside.")


def _is_new(service: Service) -> bool:
    return service.replicas.stable == 0 and service.replicas.new > 0


def _normal(story: Story) -> str:
    rows = [
        [code(gate.id), inline(name), *(_rate(metric, arm) for arm in ARMS)]
        for gate in story.gates()
        if gate.verdict is not None
        for name, metric in gate.verdict.data.get("metrics", {}).items()
    ]
    return table(["gate", "metric", "new version", "stable version"], rows)


def _rate(metric: Mapping[str, Any], arm: Arm) -> str:
    counts = metric.get(arm, {})
    return told(metric.get("kind", "errors"), Counts(counts.get("total", 0), counts.get("bad", 0)))


def _gate(name: str, gate: Gate) -> str:
    rows = [
        [
            inline(metric.name),
            inline(metric.service),
            _bad(metric),
            _tolerated(metric),
        ]
        for metric in gate.metrics
    ]
    return f"Gate {code(name)}:\n\n" + table(["metric", "service", "bad is", "not tolerated from"], rows)


def _bad(metric: Metric) -> str:
    if metric.slower_than_seconds is not None:
        return f"slower than {metric.slower_than_seconds:g} s"
    if metric.gauge is not None:
        return f"{code(metric.gauge)} above {metric.higher_than:g}"
    return {"throughput": "less work finished by a process in a second"}.get(metric.kind, metric.kind)


def _tolerated(metric: Metric) -> str:
    odds = 1 / metric.tolerated_odds if metric.kind == "throughput" else metric.tolerated_odds
    return f"{figure(odds)} times the stable version's"


def _back(release: str, plan: Plan) -> str:
    return (
        f"In the Airflow UI trigger the DAG {code(f'rollback_{plan.name}')} with release {code(release)} and a reason. "
        f"It restores {plan.from_version} as the snapshot of this release has it, removes the keys named above, and proves "
        "both. It may be triggered again when it could not finish."
    )


def _notes(story: Story) -> list[BacklogItem]:
    return [
        BacklogItem(
            key=f"{story.release}/{item}/{number}",
            title=f"{item}: {' '.join(str(finding.get('what', '')).split())}",
            body=f"Where: {code(finding.get('where', ''))}\n\nWhat to do: {inline(finding.get('remedy', ''))}\n",
            labels=("checklist",),
        )
        for item, event in story.checklist().items()
        for number, finding in enumerate(event.data.get("findings", []), 1)
    ]


def _gaps(story: Story, plan: Plan) -> list[BacklogItem]:
    return [
        BacklogItem(
            key=f"{story.release}/not-checked/{gap.what}",
            title=f"Check: {gap.what}",
            body=f"Release {code(story.release)} did not check it: {inline(gap.why)}.\n",
            labels=("not-checked",),
        )
        for gap in gaps(story, plan)
    ]


def _unsteady(story: Story) -> list[BacklogItem]:
    """Tests and notifications that failed although the release went on: somebody has to know why."""
    failed = [e for e in story.all("smoke.result") if e.data.get("ok") is not True]
    items = {
        f"{story.release}/failed-once/{e.data.get('test')}": BacklogItem(
            key=f"{story.release}/failed-once/{e.data.get('test')}",
            title=f"Smoke test {e.data.get('test')} failed once",
            body=f"{inline(e.data.get('detail', ''))}\n",
            labels=("unsteady",),
        )
        for e in failed
    }
    for event in story.all("notification.failed"):
        key = f"{story.release}/notification/{event.seq}"
        body = f"{inline(event.data.get('channel', ''))}: {inline(event.data.get('error', ''))}\n"
        items[key] = BacklogItem(
            key=key, title="A notification could not be sent", body=body, labels=("notification",)
        )
    return list(items.values())
