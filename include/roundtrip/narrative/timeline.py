"""The timeline: one sentence for each event that a reader of the release wants to know of.

Rules:
1. Samples, and the start of a converge that finished, are left out: they are evidence, shown elsewhere.
2. An event of a kind that has no sentence here is told by its name. Nothing is dropped for being unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from roundtrip.ledger.ledger import Event
from roundtrip.narrative.incident import failed_before
from roundtrip.narrative.story import MISSING, Story, gate_id_of, titled
from roundtrip.plan.deployment import in_words

LEFT_OUT = frozenset({"gate.sample", "token.taken"})


class Tone(Enum):
    """How an entry is to be seen."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    NOTE = "note"


@dataclass(frozen=True)
class Entry:
    """One line of the timeline."""

    seq: int
    at: datetime
    actor: str
    what: str
    detail: str
    tone: Tone


Told = tuple[str, str, Tone]


def timeline(story: Story) -> tuple[Entry, ...]:
    """The entries of a release, in the ledger's order."""
    finished = {e.data.get("token") for e in story.all("converge.finished")}
    return tuple(
        replace(entry(event), detail=taken_back_because(story, event))
        if event.kind == "rollback.begun"
        else entry(event)
        for event in story.events
        if event.kind not in LEFT_OUT
        and not (event.kind == "converge.started" and event.data.get("token") in finished)
    )


def entry(event: Event) -> Entry:
    """The line of one event."""
    tell = SENTENCES.get(event.kind)
    what, detail, tone = tell(event) if tell else (event.kind, event.key or "", Tone.PLAIN)
    return Entry(event.seq, event.at, event.actor, what, detail, tone)


def taken_back_because(story: Story, begun: Event) -> str:
    """Why a rollback began, and what had failed: whoever began it knows that something did, the ledger which."""
    why, failed = _text(begun.data, "why"), failed_before(story, begun)
    return f"{why}; before it: {entry(failed).what}" if failed else why


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return MISSING if value is None else str(value)


def _started(e: Event) -> Told:
    kind = "Drill" if e.data.get("drill") else "Release"
    fault = f", carrying the fault '{e.data['fault']}'" if e.data.get("fault") else ""
    versions = f"{_text(e.data, 'from_version')} → {_text(e.data, 'to_version')}"
    return f"{kind} of {_text(e.data, 'plan')} began{fault}", versions, Tone.PLAIN


def _failed(e: Event) -> Told:
    return f"Task {_text(e.data, 'task')} failed", _text(e.data, "error"), Tone.BAD


def _item(e: Event) -> Told:
    findings = e.data.get("findings", [])
    stops = sum(1 for f in findings if f.get("severity") == "stop")
    name = f"Checklist: {e.data.get('item') or e.key}"
    if e.data.get("checked") is not True:
        return f"{name}: not checked", _text(e.data, "reason"), Tone.NOTE
    if stops:
        return f"{name}: {stops} stop the release", str(e.data.get("sentence", "")), Tone.BAD
    return f"{name}: {noted(len(findings))}", str(e.data.get("sentence", "")), Tone.PLAIN


def _made(e: Event) -> Told:
    files = ", ".join(f"{path} {digest}" for path, digest in sorted(e.data.get("files", {}).items()))
    return f"Built {_text(e.data, 'project')}, which no target runs", files or MISSING, Tone.PLAIN


def _bundle(e: Event) -> Told:
    bundle, digest = f"{_text(e.data, 'service')} {_text(e.data, 'version')}", _text(e.data, "digest")
    if e.data.get("reused") is True:
        return f"{bundle} was built before, from the same source", digest, Tone.PLAIN
    return f"Built {bundle}", digest, Tone.PLAIN


def _image(e: Event) -> Told:
    title = f"Built the image of {_text(e.data, 'service')} {_text(e.data, 'version')}"
    return title, _text(e.data, "digest"), Tone.PLAIN


def _reproduced(e: Event) -> Told:
    what = f"the image of {e.key}" if e.kind == "build.image_reproduced" else str(e.key)
    if e.data.get("same") is True and e.data.get("reused") is True:
        told = f"{what} not built again: built twice in an earlier release, with the same digest"
        return told, _text(e.data, "second"), Tone.PLAIN
    if e.data.get("same") is True:
        return f"Built {what} again: the same digest", _text(e.data, "second"), Tone.PLAIN
    return f"Built {what} again: another digest", f"{e.data.get('first')}, {e.data.get('second')}", Tone.BAD


def _by_hour(e: Event) -> Told:
    if e.data.get("reason") is not None:
        return f"{e.key}: stable by hour of the day is not recorded", str(e.data["reason"]), Tone.PLAIN
    hours = {
        name: sum(map(len, one.get("hours", {}).values())) for name, one in e.data.get("metrics", {}).items()
    }
    each = ", ".join(f"{name} {count} hours" for name, count in hours.items())
    return f"{e.key}: stable by hour of the day recorded", each, Tone.PLAIN


def _converged(e: Event) -> Told:
    where, how = _text(e.data, "environment"), e.data.get("holder") or f"token {_text(e.data, 'token')}"
    return f"{where}: deployment in place", f"{how}: {placed(e.data.get('observed'))}", Tone.PLAIN


def _converging(e: Event) -> Told:
    where, how = _text(e.data, "environment"), e.data.get("holder") or f"token {_text(e.data, 'token')}"
    return f"{where}: a change began and was not finished by whoever began it", str(how), Tone.NOTE


def _gate_started(e: Event) -> Told:
    return (
        f"Gate {gate_id_of(e)} began",
        f"{_text(e.data, 'canary')} against {_text(e.data, 'stable')}",
        Tone.PLAIN,
    )


def _pulled(e: Event) -> Told:
    return f"Gate {gate_id_of(e)} took the canary's traffic away", _text(e.data, "reason"), Tone.BAD


def _lapsed(e: Event) -> Told:
    return f"{e.key}: nobody looked after the release any more", _text(e.data, "reason"), Tone.BAD


def _watchdog_pulled(e: Event) -> Told:
    what = f"{e.key}: the watchdog took the new version's traffic away"
    return what, placed(e.data.get("deployment")), Tone.BAD


def _watchdog_failed(e: Event) -> Told:
    return f"{e.key}: the watchdog could not take the traffic away yet", _text(e.data, "why"), Tone.BAD


def _verdict(e: Event) -> Told:
    overridden = e.data.get("overridden")
    verdict = titled(_text(e.data, "verdict"), _text(overridden, "by") if overridden else None)
    tone = {"PASS": Tone.GOOD, "FAIL": Tone.BAD}.get(verdict, Tone.NOTE)
    return f"Gate {gate_id_of(e)}: {verdict}", _text(e.data, "reason"), tone


def _acted(e: Event) -> Told:
    return f"Gate {gate_id_of(e)}: {acted(e)}", _text(e.data, "reason"), Tone.NOTE


def _action_refused(e: Event) -> Told:
    what = f"Gate {gate_id_of(e)}: {_text(e.data, 'action')} by {_text(e.data, 'by')} was refused"
    return what, f"{_text(e.data, 'why')}; asked because: {_text(e.data, 'reason')}", Tone.NOTE


def _smoke(e: Event) -> Told:
    name, where = e.data.get("test") or str(e.key or "").rpartition("/")[2], e.data.get("environment")
    ok = e.data.get("ok") is True
    return (
        f"Smoke test {name}{f' in {where}' if where else ''}: {'ok' if ok else 'failed'}",
        _text(e.data, "detail"),
        Tone.GOOD if ok else Tone.BAD,
    )


def _refused(e: Event) -> Told:
    return (
        f"{_text(e.data, 'environment')}: {_text(e.data, 'version')} refused",
        _text(e.data, "reason"),
        Tone.BAD,
    )


def _verified(e: Event) -> Told:
    files = e.data.get("files", {})
    what = f"{_text(e.data, 'environment')}: {_text(e.data, 'version')} is what was signed or recorded"
    by = " and ".join([str(e.data.get("by", "digest")), *e.data.get("attestations", {})])
    return what, f"by {by}, {len(files)} files", Tone.PLAIN


def _withdrawn(e: Event) -> Told:
    kept, tag = _text(e.data, "kept_as"), _text(e.data, "tag")
    what = "Tag" if kept.startswith("refs/") else "Published release"
    whose = f"{_text(e.data, 'of_release')}, which was taken back; kept as {kept}"
    return f"{what} {tag} of an earlier release set aside", whose, Tone.PLAIN


def _copied(e: Event) -> Told:
    what = f"{_text(e.data, 'environment')}: the new version's Redis keys copied aside"
    return what, f"{_text(e.data, 'keys')} keys, in {e.key}", Tone.PLAIN


def _put_back(e: Event) -> Told:
    return f"{_text(e.data, 'environment')}: Redis keys put back", f"{_text(e.data, 'keys')} keys", Tone.PLAIN


def _approval(e: Event) -> Told:
    decision = _text(e.data, "decision")
    return (
        f"{_text(e.data, 'by')}: {decision} ({e.key or 'release'})",
        str(e.data.get("reason") or ""),
        Tone.NOTE,
    )


def _asked(e: Event) -> Told:
    return "The one-way door was asked about", _text(e.data, "door"), Tone.NOTE


def _rollback(e: Event) -> Told:
    return "Rollback began", _text(e.data, "why"), Tone.BAD


def _step(e: Event) -> Told:
    step = str(e.data.get("step") or e.key or "").rpartition("/")[2].replace("_", " ")
    return f"{_text(e.data, 'environment')}: {step}", _text(e.data, "detail"), Tone.PLAIN


def _restored(e: Event) -> Told:
    redis = e.data.get("redis", {})
    kept, grown = redis.get("kept", MISSING), redis.get("grown", [])
    detail = f"Redis: no key differs, {kept} unchanged, {len(grown)} grown by the stable version"
    detail = detail if kept or grown else "Redis: there was no key to compare"
    return f"{e.key}: equals its snapshot", detail, Tone.GOOD


def _drill(e: Event) -> Told:
    found, back, budget = (_seconds(e.data, f"{n}_seconds") for n in ("detection", "recovery", "budget"))
    return (
        "Drill assessed",
        f"found after {found} s, restored after {back} s more, budget {budget} s",
        Tone.NOTE,
    )


def _seconds(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return f"{value:.1f}" if isinstance(value, int | float) else _text(data, name)


def _told(e: Event) -> Told:
    return f"Told by {_text(e.data, 'channel')}", _text(e.data, "subject"), Tone.PLAIN


def _not_told(e: Event) -> Told:
    subject = f" ({e.data['subject']})" if e.data.get("subject") else ""
    return f"Could not tell by {_text(e.data, 'channel')}", f"{_text(e.data, 'error')}{subject}", Tone.BAD


def _shown_on_github(e: Event) -> Told:
    places = [f"{name} {states[-1]}" for name, states in e.data.get("deployments", {}).items() if states]
    gates = [f"{name} {state}" for name, state in e.data.get("gates", {}).items()]
    return "Shown on GitHub", "; ".join([*places, *gates]) or "nothing yet", Tone.PLAIN


def _backlog_on_github(e: Event) -> Told:
    issues = ", ".join(f"#{number}" for number in e.data.get("issues", {}).values())
    return (
        f"Backlog on GitHub, milestone {_text(e.data, 'milestone')}",
        issues or "nothing is left",
        Tone.PLAIN,
    )


def _not_on_github(e: Event) -> Told:
    return f"GitHub did not take: {_text(e.data, 'what')}", _text(e.data, "error"), Tone.BAD


def _traffic(e: Event) -> Told:
    failed = e.data.get("failed")
    tone = Tone.BAD if failed else Tone.PLAIN
    return f"Client traffic {e.key}", f"{_text(e.data, 'sent')} sent, {_text(e.data, 'failed')} failed", tone


def _outcome(e: Event) -> Told:
    outcome = _text(e.data, "outcome")
    tone = {"PROMOTED": Tone.GOOD, "STOPPED": Tone.NOTE}.get(outcome, Tone.BAD)
    return outcome, _text(e.data, "reason"), tone


def _plain(what: str, name: str = "") -> Callable[[Event], Told]:
    return lambda e: (what.format(key=e.key or ""), _text(e.data, name) if name else "", Tone.PLAIN)


def acted(event: Event) -> str:
    """What a person asked of a gate, who, and until when."""
    data = event.data
    until = "" if data.get("action") == "resume" else f", until {_moment(data.get('until'))}"
    minutes = f" by {_text(data, 'minutes')} min" if data.get("action") == "extend" else ""
    return f"{_text(data, 'action')}{minutes} by {_text(data, 'by')}{until}"


def _moment(text: Any) -> str:
    return f"{datetime.fromisoformat(text):%H:%M:%S} UTC" if isinstance(text, str) else MISSING


def noted(count: int) -> str:
    """How many notes, in words."""
    return {0: "nothing found", 1: "1 note"}.get(count, f"{count} notes")


def placed(deployment: Mapping[str, Any] | None) -> str:
    """A deployment in one line."""
    return in_words(deployment) if deployment else MISSING


SENTENCES: Mapping[str, Callable[[Event], Told]] = {
    "release.started": _started,
    "task.failed": _failed,
    "checklist.item": _item,
    "checklist.made": _made,
    "checklist.passed": _plain("Checklist passed"),
    "candidate.chosen": _plain("Release candidate chosen", "commit"),
    "build.bundle": _bundle,
    "build.reproduced": _reproduced,
    "build.image": _image,
    "build.image_reproduced": _reproduced,
    "build.sbom": _plain("SBOM written", "digest"),
    "build.zip": _plain("Release zip written", "digest"),
    "build.checksums": _plain("Checksums written", "digest"),
    "snapshot.taken": _plain("{key}: snapshot taken"),
    "snapshot.baseline": _by_hour,
    "converge.started": _converging,
    "converge.finished": _converged,
    "deployed": _plain("{key}: the new version is about to be placed", "version"),
    "gate.started": _gate_started,
    "gate.action": _acted,
    "action.refused": _action_refused,
    "gate.pulled": _pulled,
    "gate.verdict": _verdict,
    "watchdog.lapsed": _lapsed,
    "watchdog.pulled": _watchdog_pulled,
    "watchdog.failed": _watchdog_failed,
    "smoke.result": _smoke,
    "sign.signed": _plain("Signed {key}", "digest"),
    "sign.attested": _plain("Said of the release, signed: {key}", "digest"),
    "sign.image": _plain("Signed in the registry: the image of {key}", "image"),
    "sign.images_unsigned": _plain("Images left unsigned in the registry", "reason"),
    "sign.tagged": _plain("Tagged", "tag"),
    "sign.published": _plain("Published {key}"),
    "sign.withdrawn": _withdrawn,
    "verify.passed": _verified,
    "verify.refused": _refused,
    "merge.begun": _plain("Release branch is about to be merged", "head"),
    "merge.done": _plain("Release branch merged", "commit"),
    "merge.reverted": _plain("Merge taken back", "commit"),
    "door.asked": _asked,
    "approval": _approval,
    "promoted": _plain("Promoted", "environment"),
    "rollback.begun": _rollback,
    "rollback.step": _step,
    "state.copied": _copied,
    "state.restored": _put_back,
    "rollback.verified": _restored,
    "post_launch.done": _plain("Runbook and backlog written", "runbook"),
    "drill.assessed": _drill,
    "github.protected": _plain("Protected by rulesets on GitHub", "repository"),
    "github.begun": _plain("{key} is about to go to GitHub", "repository"),
    "github.published": _plain("Published {key} on GitHub", "url"),
    "github.withdrawn": _plain("Marked as withdrawn on GitHub", "url"),
    "github.backlog": _backlog_on_github,
    "github.shown": _shown_on_github,
    "github.failed": _not_on_github,
    "notification.sent": _told,
    "notification.failed": _not_told,
    "traffic.summary": _traffic,
    "release.outcome": _outcome,
}
