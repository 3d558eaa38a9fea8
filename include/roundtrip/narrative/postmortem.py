"""The draft of a post-mortem (plan 4.5): what the ledger knows is filled in, what only people know is asked.

It blames nobody: people appear by what they decided, in the timeline.
"""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.ledger.ledger import Event
from roundtrip.narrative.client_traffic import by_version
from roundtrip.narrative.incident import incident
from roundtrip.narrative.markdown import bullets, code, inline, table
from roundtrip.narrative.story import Story, read_story
from roundtrip.narrative.timeline import timeline

QUESTIONS = (
    "Which line of the change caused it, and what was it meant to do?",
    "Why did linters, unit tests and staging not find it, and which check would have?",
    "Was anybody affected beyond the failed requests counted above? How do we know?",
    "What made the recovery slower than it could be?",
    "What is done so that this kind of fault is found earlier? By whom, until when?",
)


def postmortem(release: str, events: Sequence[Event]) -> str:
    """The draft for `release`, in Markdown."""
    story = read_story(release, events)
    parts = [
        f"# Post-mortem (draft): {inline(story.title)}",
        f"Release {code(story.release)}, {story.began_at:%Y-%m-%d}. Outcome: **{inline(story.outcome)}**.",
        "## What happened",
        _what_happened(story),
        "## Impact",
        _impact(story),
        "## Times",
        _times(story),
        "## Timeline (UTC)",
        _timeline(story),
        "## To be answered by people",
        "\n".join(f"{number}. {question}" for number, question in enumerate(QUESTIONS, 1)),
        "## Where this comes from",
        f"Every line above is an event of the ledger, up to event {story.events[-1].seq} with hash {code(story.events[-1].hash)}.",
    ]
    return "\n\n".join(parts) + "\n"


def _what_happened(story: Story) -> str:
    begun = story.first("rollback.begun")
    lines = [inline(story.reason)]
    if begun is not None:
        lines.append(f"The rollback began because: {inline(begun.data.get('why', 'no reason was given'))}.")
    gates = [f"gate {code(g.id)}: {g.name}, {inline(g.reason)}" for g in story.gates() if g.title != "PASS"]
    return (
        "\n\n".join(lines)
        + "\n\n"
        + bullets(gates, "No gate decided against the release, and none was overridden.")
    )


def _impact(story: Story) -> str:
    rows = [
        [
            inline(event.key or ""),
            str(event.data.get("sent", "")),
            str(event.data.get("failed", "")),
            inline(by_version(event, "failed")),
            inline(by_version(event, "slow")),
        ]
        for event in story.all("traffic.summary")
    ]
    if not rows:
        return "No account of client traffic is in the ledger: the number of failed requests is not known."
    return table(["traffic", "sent", "failed", "failed by version", "slow by version"], rows)


def _times(story: Story) -> str:
    found = incident(story)
    moments = [
        ("new version first placed", found.placed_at),
        ("fault found", found.found_by.at if found.found_by else None),
        ("traffic taken away by the gate", found.pulled_at),
        ("rollback began", found.begun_at),
        ("everything proven restored", found.restored_at),
    ]
    rows = [[what, f"{at:%H:%M:%S.%f}"[:-3] if at else "not recorded"] for what, at in moments]
    spans = [("time to detect", found.detection_seconds), ("time to recover", found.recovery_seconds)]
    rows += [[what, f"{seconds:.1f} s" if seconds is not None else "not recorded"] for what, seconds in spans]
    return table(["what", "when"], rows)


def _timeline(story: Story) -> str:
    rows = [
        [f"{entry.at:%H:%M:%S}", inline(entry.what), inline(entry.detail), inline(entry.actor)]
        for entry in timeline(story)
    ]
    return table(["time", "what", "detail", "by"], rows)
