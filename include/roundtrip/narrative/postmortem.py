"""The draft of a post-mortem (plan 4.5): what the ledger knows is filled in, what only people know is asked.

Rules:
1. It can be read aloud: in short first, then what it cost, then why; the timeline begins where the new version was placed.
2. It blames nobody: people appear by what they decided, in the timeline.
3. What a gate decided on against the release is drawn, in files beside it that come with the dossier.
"""

from __future__ import annotations

from collections.abc import Sequence

from roundtrip.ledger.ledger import Event
from roundtrip.narrative.client_traffic import BEFORE, by_version
from roundtrip.narrative.incident import Incident, incident
from roundtrip.narrative.markdown import bullets, code, inline, table
from roundtrip.narrative.story import Story, read_story
from roundtrip.narrative.timeline import Entry, Tone, entry, taken_back_because, timeline

QUESTIONS = (
    "Which line of the change caused it, and what was it meant to do?",
    "Why did linters, unit tests and staging not find it, and which check would have?",
    "Was anybody affected beyond the failed requests counted above? How do we know?",
    "What made the recovery slower than it could be?",
    "What is done so that this kind of fault is found earlier? By whom, until when?",
)
LEGEND = "Red: evidence against the new version, green: for it, over the gate's time; dashed: what the gate asks for."
TOLD_ELSEWHERE = ("traffic.summary", "notification.sent")
"""kinds that the timeline leaves out: the impact has the one, the channel the other"""


def postmortem(
    release: str,
    events: Sequence[Event],
    *,
    outcome: str | None = None,
    reason: str | None = None,
) -> str:
    """The draft for `release`, in Markdown.

    :param outcome: what it comes to, and
    :param reason: why, where the ledger does not have them yet.
    """
    story = read_story(release, events)
    found = incident(story)
    parts = [
        f"# Post-mortem (draft): {inline(story.title)}",
        f"Release {code(story.release)}, {story.began_at:%Y-%m-%d}. Outcome: **{inline(outcome or story.outcome)}**.",
        "## In short",
        _in_short(story, found),
        "## Impact",
        _impact(story),
        "## Why it was taken back",
        _why(story, reason or story.reason),
        "## Times",
        _times(found),
        "## Timeline (UTC)",
        _timeline(story, found),
        "## To be answered by people",
        "\n".join(f"{number}. {question}" for number, question in enumerate(QUESTIONS, 1)),
        "## Where this comes from",
        f"Every line above is an event of the ledger, up to event {story.events[-1].seq} with hash {code(story.events[-1].hash)}.",
    ]
    return "\n\n".join(parts) + "\n"


def plot_name(gate: str, metric: str) -> str:
    """The file, beside the draft, of the evidence that a metric of a gate gave."""
    return f"postmortem-{gate}-{metric}.svg"


def _in_short(story: Story, found: Incident) -> str:
    """Four sentences for somebody who was asleep."""
    if found.placed_at is None:
        return "Nothing of the new version was placed anywhere."
    said = [_served(story, found)]
    if found.found_by is not None:
        what = entry(found.found_by)
        detail = f" ({inline(what.detail)})" if what.detail else ""
        said.append(
            f"At {found.found_by.at:%H:%M:%S}, {_seconds(found.detection_seconds)} after the new version was about to be placed there: "
            f"{inline(what.what)}{detail}."
        )
    elif found.begun_at is not None:
        said.append(f"No gate found anything; it was decided to take it back at {found.begun_at:%H:%M:%S}.")
    if found.pulled_at is not None and found.found_by is not None:
        seconds = (found.pulled_at - found.found_by.at).total_seconds()
        was_first = "By then its traffic was already taken away."
        said.append(
            was_first if seconds < 0 else f"Its traffic was taken away {_seconds(seconds)} after that."
        )
    if found.restored_at is None:
        said.append("**It is not proven that everything is as it was.**")
    else:
        since = "it was found" if found.found_by else "that"
        said.append(
            f"Everything was proven restored at {found.restored_at:%H:%M:%S}, {_seconds(found.recovery_seconds)} after {since}."
        )
    return bullets([*said, _cost(story, found)], "")


def _served(story: Story, found: Incident) -> str:
    version, where = inline(story.started.get("to_version", "the new version")), code(found.where)
    if found.served_at is None:
        return f"At {found.placed_at:%H:%M:%S} UTC {version} was about to be placed in {where}; that it served there is not recorded."
    return f"At {found.served_at:%H:%M:%S} UTC {version} first served in {where}; it was about to be placed at {found.placed_at:%H:%M:%S}."


def _cost(story: Story, found: Incident) -> str:
    """What clients saw where it was found, while the new version was there."""
    mine = [
        event
        for event in story.all("traffic.summary")
        if event.key and event.key.startswith(f"{found.where}/") and not event.key.endswith(f"/{BEFORE}")
    ]
    if not mine:
        return "No account of client traffic is in the ledger for that time."
    sent, failed = (sum(int(event.data.get(name, 0)) for event in mine) for name in ("sent", "failed"))
    share = f" ({100 * failed / sent:.2f} %)" if sent and failed else ""
    return f"Of {sent} requests that clients sent meanwhile, {failed or 'none'}{share} failed."


def _why(story: Story, reason: str) -> str:
    begun = story.first("rollback.begun")
    paragraphs = [inline(reason)]
    if begun is not None:
        paragraphs.append(f"The rollback began because: {inline(taken_back_because(story, begun))}.")
        paragraphs = paragraphs[1:] if reason == begun.data.get("why") else paragraphs
    lapses = [
        f"{inline(e.key or '')}: {inline(e.data.get('reason', ''))}" for e in story.all("watchdog.lapsed")
    ]
    against = [gate for gate in story.gates() if gate.title != "PASS"]
    gates = [f"gate {code(gate.id)}: {gate.name}, {inline(gate.reason)}" for gate in against]
    paragraphs.append(
        bullets([*lapses, *gates], "No gate decided against the release, and none was overridden.")
    )
    plots = [
        f"![{inline(gate.id)}, {inline(metric)}]({plot_name(gate.id, metric)})"
        for gate in against
        for metric in gate.found_against
    ]
    if plots:
        paragraphs += [*plots, LEGEND]
    return "\n\n".join(paragraphs)


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


def _times(found: Incident) -> str:
    moments = [
        ("new version about to be placed", found.placed_at),
        ("new version first served", found.served_at),
        *([("fault found", found.found_by.at)] if found.found_by else []),
        ("traffic taken away", found.pulled_at),
        ("rollback began", found.begun_at),
        ("everything proven restored", found.restored_at),
    ]
    rows = [[what, f"{at:%H:%M:%S.%f}"[:-3] if at else "not recorded"] for what, at in moments]
    since = "the fault was found" if found.found_by else "the rollback began"
    spans = [(f"time to recover, since {since}", found.recovery_seconds)]
    if found.found_by is not None:
        spans.insert(0, ("time to detect, since it was about to be placed", found.detection_seconds))
    rows += [[what, _seconds(seconds) if seconds is not None else "not recorded"] for what, seconds in spans]
    return table(["what", "when"], rows)


def _timeline(story: Story, found: Incident) -> str:
    """From when the new version was about to be placed on, and of what came before only what went wrong or a person did."""
    elsewhere = {event.seq for kind in TOLD_ELSEWHERE for event in story.all(kind)}
    # A step of the way back says what is in place in its own words.
    elsewhere |= {
        event.seq
        for event in story.all("converge.finished")
        if str(event.data.get("holder", "")).startswith("rollback.")
    }
    rows = [
        [f"{one.at:%H:%M:%S}", inline(one.what), inline(one.detail), inline(one.actor)]
        for one in timeline(story)
        if one.seq not in elsewhere
        and (found.placed_at is None or one.at >= found.placed_at or _is_told_anyway(one))
    ]
    before = "What came before it was about to be placed is in the dossier." if found.placed_at else ""
    return "\n\n".join(filter(None, [before, table(["time", "what", "detail", "by"], rows)]))


def _is_told_anyway(one: Entry) -> bool:
    return one.tone is Tone.BAD or one.actor != "roundtrip"


def _seconds(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else f"{seconds:.1f} s"
