"""What the page shows, made from the ledger's events: rows and words, no markup.

Rules:
1. Every row is an event or a sum of events; what is missing reads "not recorded", never blank and never zero.
2. Outcome and verdicts have a tone; nothing else has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roundtrip.dossier.artefacts import bundles, files, verifications
from roundtrip.dossier.gates import GateView, gate_views
from roundtrip.dossier.rows import Row, text
from roundtrip.ledger.ledger import Event
from roundtrip.narrative.checked import Gap, gaps, seconds_in_words
from roundtrip.narrative.client_traffic import by_version
from roundtrip.narrative.incident import Incident, incident
from roundtrip.narrative.story import MISSING, Story
from roundtrip.narrative.timeline import Entry, Tone, entry, noted, placed, timeline
from roundtrip.plan.model import Plan

TONES: Mapping[str, str] = {"PROMOTED": "good", "ROLLED BACK": "note", "BROKEN": "bad", "STOPPED": "note"}

OUTCOME_SENTENCES: Mapping[str, str] = {
    "PROMOTED": "The new version passed every gate and serves production.",
    "ROLLED BACK": "The release was taken back; the version before it serves, proven equal to its snapshot.",
    "BROKEN": "Something of the release is still deployed, and what was there before is not proven restored.",
    "STOPPED": "The release ended before anything was deployed.",
}

OVERRIDDEN_SENTENCE = (
    "The new version serves production. Not every gate passed on its evidence: a person overrode {}."
)


@dataclass(frozen=True)
class Fact:
    """One line of the head."""

    label: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Seal:
    """Whether the ledger is whole, and where this page stands in it."""

    events: int | None
    """in the whole ledger; None when it is not whole"""
    problem: str | None
    """what `verify` found; None when the ledger is whole"""


@dataclass(frozen=True)
class Page:
    """Everything on the page."""

    story: Story
    tone: str
    sentence: str
    reason: str
    """why it ended so; of a release that was taken back, why it was"""
    facts: tuple[Fact, ...]
    gaps: tuple[Gap, ...]
    checklist: tuple[Row, ...]
    findings: tuple[Row, ...]
    bundles: tuple[Row, ...]
    files: tuple[Row, ...]
    verifications: tuple[Row, ...]
    gates: tuple[GateView, ...]
    deployments: tuple[Row, ...]
    smoke: tuple[Row, ...]
    github: tuple[Row, ...]
    """what went there, and what it did not take; empty when the release has nothing to do there"""
    traffic: tuple[Row, ...]
    traffic_sum: Row
    incident: Incident | None
    """None when nothing was taken back"""
    found_by: str
    """of the incident, in words"""
    rollback: tuple[Row, ...]
    restored: tuple[Row, ...]
    people: tuple[Row, ...]
    timeline: tuple[Entry, ...]
    seal: Seal


def page(story: Story, plan: Plan, seal: Seal) -> Page:
    """The page of a release."""
    found = incident(story) if story.last("rollback.begun") else None
    by_hand = [gate.id for gate in story.gates() if gate.title != gate.name]
    is_by_hand = bool(by_hand) and story.outcome == "PROMOTED"
    sentence = OUTCOME_SENTENCES.get(story.outcome, "The release has not ended; this page is a draft.")
    return Page(
        story=story,
        tone="note" if is_by_hand else TONES.get(story.outcome, "note"),
        reason=_reason(story),
        sentence=OVERRIDDEN_SENTENCE.format(", ".join(by_hand)) if is_by_hand else sentence,
        facts=_facts(story, plan),
        gaps=gaps(story, plan),
        checklist=tuple(_item(item, e) for item, e in story.checklist().items()),
        findings=tuple(row for item, e in story.checklist().items() for row in _findings(item, e)),
        bundles=bundles(story),
        files=files(story),
        verifications=verifications(story),
        gates=gate_views(story),
        deployments=tuple(_deployment(e) for e in story.all("converge.finished")),
        smoke=tuple(_smoke(e) for e in story.all("smoke.result")),
        github=tuple(_github(e) for e in story.events if e.kind.startswith("github.")),
        traffic=tuple(_traffic(e) for e in story.all("traffic.summary")),
        traffic_sum=_traffic_sum(story.all("traffic.summary")),
        incident=found,
        found_by=_found_by(story, found) if found else "",
        rollback=tuple(_step(e) for e in story.all("rollback.step")),
        restored=tuple(_restored(story, e) for e in story.all("rollback.verified")),
        people=_people(story),
        timeline=timeline(story),
        seal=seal,
    )


def _facts(story: Story, plan: Plan) -> tuple[Fact, ...]:
    started = story.started
    opened = story.first("release.started")
    environments = started.get("environments", {})
    digests = started.get("environment_digests", {})
    soak = started.get("soak_seconds")
    return (
        Fact("Release", story.release, True),
        Fact("Carried out", plan.document),
        Fact("Began", f"{story.began_at:%Y-%m-%d %H:%M:%S} UTC"),
        Fact("Took", seconds_in_words(round(story.duration.total_seconds()))),
        *_taken_back_later(story),
        Fact("Triggered by", opened.actor if opened else MISSING),
        Fact("Commit", story.commit or MISSING, True),
        Fact("Plan digest", text(started, "plan_digest"), True),
        *(
            Fact(f"Environment, {s}", f"{name} {digests.get(s, '')}".strip(), True)
            for s, name in environments.items()
        ),
        Fact("Soak", seconds_in_words(soak) if soak is not None else MISSING),
    )


def _taken_back_later(story: Story) -> tuple[Fact, ...]:
    begun = story.taken_back_later
    if begun is None:
        return ()
    took = seconds_in_words(round((story.ended_at - begun.at).total_seconds()))
    return (Fact("Taken back later", f"{begun.at:%Y-%m-%d %H:%M:%S} UTC, which took {took}"),)


def _reason(story: Story) -> str:
    return f"Taken back because: {story.reason}" if story.outcome == "ROLLED BACK" else story.reason


def _item(name: str, event: Event) -> Row:
    found = event.data.get("findings", [])
    stops = sum(1 for f in found if f.get("severity") == "stop")
    sentence = str(event.data.get("sentence", ""))
    if event.data.get("checked") is not True:
        return Row((name, sentence, f"not checked: {text(event.data, 'reason')}"), "note")
    if stops:
        return Row((name, sentence, f"{stops} stop the release, besides {noted(len(found) - stops)}"), "bad")
    return Row((name, sentence, noted(len(found))), "good")


def _findings(item: str, event: Event) -> list[Row]:
    return [
        Row(
            (item, text(f, "what"), text(f, "where"), text(f, "remedy")),
            "bad" if f.get("severity") == "stop" else "",
        )
        for f in event.data.get("findings", [])
    ]


def _deployment(event: Event) -> Row:
    who = text(event.data, "holder")
    return Row(
        (f"{event.at:%H:%M:%S}", text(event.data, "environment"), who, placed(event.data.get("observed")))
    )


def _github(event: Event) -> Row:
    told = entry(event)
    tone = "bad" if told.tone is Tone.BAD else ""
    return Row((f"{event.at:%H:%M:%S}", told.what, told.detail), tone)


def _smoke(event: Event) -> Row:
    environment, version, test = _smoke_name(event)
    ok = event.data.get("ok") is True
    detail = "" if ok else f": {text(event.data, 'detail')}"
    cells = (
        environment,
        version,
        test,
        f"{text(event.data, 'seconds')} s",
        f"{'ok' if ok else 'failed'}{detail}",
    )
    return Row(cells, "good" if ok else "bad")


def _smoke_name(event: Event) -> tuple[str, str, str]:
    """Environment, version and test: of the data, or of the key `environment/version/test`."""
    from_key = (str(event.key or "").split("/") + [MISSING] * 3)[:3]
    named = [str(event.data.get(n) or from_key[i]) for i, n in enumerate(("environment", "version", "test"))]
    return named[0], named[1], named[2]


def _traffic(event: Event) -> Row:
    environment, _, phase = str(event.key).partition("/")
    failed = event.data.get("failed")
    by_whom, slow = by_version(event, "failed"), by_version(event, "slow")
    incomplete = event.data.get("incomplete")
    remark = f"incomplete: {incomplete}" if incomplete else by_whom
    tone = "bad" if failed or incomplete else ""
    counts = (text(event.data, "sent"), text(event.data, "failed"))
    return Row((environment, phase, *counts, remark, slow), tone)


def _traffic_sum(events: tuple[Event, ...]) -> Row:
    sent, failed = (sum(int(e.data.get(name) or 0) for e in events) for name in ("sent", "failed"))
    return Row(("all", "", str(sent), str(failed), "", ""))


def _found_by(story: Story, found: Incident) -> str:
    if found.found_by is not None:
        return f"{entry(found.found_by).what}, at {found.found_by.at:%H:%M:%S} UTC"
    begun = story.first("rollback.begun")
    return f"nothing had failed; taken back because: {text(begun.data, 'why') if begun else MISSING}"


def _step(event: Event) -> Row:
    step = str(event.data.get("step") or event.key or MISSING).rpartition("/")[2].replace("_", " ")
    return Row((f"{event.at:%H:%M:%S}", text(event.data, "environment"), step, text(event.data, "detail")))


def _restored(story: Story, event: Event) -> Row:
    redis = event.data.get("redis", {})
    grown = redis.get("grown", [])
    cells = (
        str(event.key),
        placed(event.data.get("deployment")),
        _compared(story, event),
        ", ".join(map(str, grown)) or "none",
        ", ".join(map(str, event.data.get("smoke", []))) or MISSING,
    )
    return Row(cells)


def _compared(story: Story, event: Event) -> str:
    """How many keys of the snapshot were looked at again: that none differs says nothing where there was none."""
    redis = event.data.get("redis", {})
    kept, different = redis.get("kept"), redis.get("differences")
    if kept is None or different is None:
        return MISSING
    before = {
        name for e in story.all("snapshot.taken") if e.key == event.key for name in e.data.get("redis", {})
    }
    grown = len(before & set(redis.get("grown", [])))
    compared = kept + different + grown
    if not compared:
        return "nothing to compare: the snapshot holds no key"
    return f"{compared} compared: {kept} as before, {grown} grown, {different} different"


def _people(story: Story) -> tuple[Row, ...]:
    """Who decided what: who began it, who approved, who was told."""
    rows = [
        Row((f"{e.at:%H:%M:%S}", e.actor, "triggered the release", "")) for e in story.all("release.started")
    ]
    rows += [
        Row(
            (
                f"{e.at:%H:%M:%S}",
                text(e.data, "by"),
                f"{text(e.data, 'decision')} {e.key or ''}",
                str(e.data.get("reason") or ""),
            )
        )
        for e in story.all("approval")
    ]
    rows += [Row(_act(e, "asked:"), "") for e in story.all("gate.action")]
    rows += [Row(_act(e, "was refused:"), "bad") for e in story.all("action.refused")]
    rows += [
        Row((f"{e.at:%H:%M:%S}", text(e.data, "channel"), "was notified", str(e.data.get("subject") or "")))
        for e in story.all("notification.sent")
    ]
    rows += [
        Row(
            (f"{e.at:%H:%M:%S}", text(e.data, "channel"), "could not be notified", text(e.data, "error")),
            "bad",
        )
        for e in story.all("notification.failed")
    ]
    return tuple(rows)


def _act(event: Event, did: str) -> tuple[str, ...]:
    data = event.data
    what = f"{did} {text(data, 'action')} of gate {text(data, 'gate_id')} for {text(data, 'minutes')} min"
    why = f"{data['why']}; asked because: " if data.get("why") else ""
    return f"{event.at:%H:%M:%S}", text(data, "by"), what, f"{why}{text(data, 'reason')}"
