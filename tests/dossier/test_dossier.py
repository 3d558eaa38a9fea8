"""The dossier of each kind of ending: true, complete, valid, escaped, and the same bytes every time."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import html5lib
import pytest

from roundtrip.dossier import write, write_dossier
from roundtrip.dossier.gates import gate_views
from roundtrip.errors import LedgerError
from roundtrip.narrative.postmortem import postmortem
from roundtrip.narrative.story import read_story
from roundtrip.plan.home import Home
from roundtrip.release import Release
from tests.narrative.synthetic import (
    PRODUCTION,
    RELEASE,
    STAGING,
    WHY_OVERRIDDEN,
    Told,
    broken,
    digest,
    promoted,
    rolled_back,
    stopped,
)

Tell = Callable[[Path], Told]
ENDINGS: dict[str, Tell] = {
    "PROMOTED": promoted,
    "ROLLED BACK": rolled_back,
    "BROKEN": broken,
    "STOPPED": stopped,
}
SVG = "{http://www.w3.org/2000/svg}svg"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def written(told: Told, folder: Path) -> str:
    return write(told.release, told.ledger, Home(folder), told.plan).read_text(encoding="utf-8")


def parsed(html: str) -> ElementTree.Element:
    """The page by the HTML standard's own parser; any error of the page is an error here."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)


def words(page: ElementTree.Element) -> str:
    return " ".join(" ".join(page.itertext()).split())


@pytest.mark.parametrize("outcome", list(ENDINGS))
def test_every_ending_has_a_valid_page_that_loads_and_runs_nothing(outcome: str, tmp_path: Path) -> None:
    html = written(ENDINGS[outcome](tmp_path), tmp_path)
    page = parsed(html)
    assert page.find(".//h1") is not None
    banner = page.find(".//div[@class='outcome good']" if outcome == "PROMOTED" else ".//div[@class][strong]")
    assert banner is not None
    assert banner.findtext("strong") == outcome
    tags = {element.tag.rpartition("}")[2] for element in page.iter() if isinstance(element.tag, str)}
    assert not tags & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in html
    anchors = {a.attrib["href"].removeprefix("#") for a in page.iter("a")}
    assert anchors == {section.attrib["id"] for section in page.iter("section")}


@pytest.mark.parametrize("outcome", list(ENDINGS))
def test_the_same_events_give_the_same_bytes(outcome: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert written(ENDINGS[outcome](one), one) == written(ENDINGS[outcome](other), other)


def test_a_promoted_release_shows_what_it_was_and_what_was_not_checked(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    text = words(parsed(written(told, tmp_path)))
    for expected in (
        "Top_Tier_Trading 1.0.0 → 1.1.0",
        "mira.okafor",
        "soak of 30 s instead of the plan's 24 h",
        "checklist item containers the environment has no container engine",
        "known vulnerabilities of the components no database is at hand",
        "640 MIT, 172 none stated",
        "provenance.intoto.json",
        "by signature and provenance and staging",
        digest("workers"),
        "SHA256:1w3Jx0cV",
        "jonas.lind approved wave_3 numbers are fine",
        "all 22560 0",
        told.ledger.events(RELEASE)[-1].hash,
    ):
        assert expected in text, expected
    assert "Rollback" not in text.replace("Upgrade and Rollback Plan", "")


def test_every_gate_has_its_evidence_and_the_replay_agrees(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    page = parsed(written(told, tmp_path))
    verdicts = told.ledger.events(RELEASE, kind="gate.verdict")
    assert {e.data["verdict"] for e in verdicts} == {"PASS"}
    assert words(page).count("the same samples give the same verdict") == len(verdicts)
    labels = [svg.attrib["aria-label"] for svg in page.iter(SVG)]
    assert all(any(label.startswith(f"{e.key}, ") for e in verdicts) for label in labels)
    evidence = [label for label in labels if label.endswith(": evidence over time")]
    assert len(evidence) == len(verdicts) * 2, "two metrics a gate"
    bad = [label for label in labels if label.endswith(": bad requests over time")]
    quiet = words(page).count("Since the gate began: canary 0 bad of ")
    assert len(bad) + quiet == len(evidence)
    assert bad, "the story has a bad request in a thousand"


def test_what_a_gate_decided_on_is_drawn_where_the_post_mortem_shows_it(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    written(told, tmp_path)
    folder = Home(tmp_path).release(told.release)
    shown = set(re.findall(r"\]\((postmortem-[^)]+)\)", postmortem(told.release, told.ledger.events())))
    assert shown == {path.name for path in folder.glob("postmortem-*.svg")}
    assert shown
    for name in shown:
        drawn = ElementTree.parse(folder / name).getroot()  # noqa: S314 - it was written above
        assert drawn.tag == SVG
        assert "var(" not in (folder / name).read_text(encoding="utf-8"), "a colour that only the page knows"


def test_an_override_is_told_plainly_everywhere_and_never_as_a_pass_of_the_evidence(tmp_path: Path) -> None:
    told = promoted(tmp_path, overridden_by="ada.lovelace")
    page = parsed(written(told, tmp_path))
    text = words(page)
    [action] = told.ledger.events(RELEASE, kind="gate.action")
    until = f"{datetime.fromisoformat(action.data['until']):%H:%M:%S} UTC"
    assert page.find(".//div[@class='outcome good']") is None
    assert "passed every gate" not in text
    for expected in (
        "Not every gate passed on its evidence: a person overrode production.wave_2.",
        "production.wave_2 PASS, overridden by ada.lovelace",
        f"gate production.wave_2 did not pass on its evidence overridden by ada.lovelace: {WHY_OVERRIDDEN}; "
        "the evidence had not decided: ",
        f"override by ada.lovelace, until {until}: {WHY_OVERRIDDEN}",
        f"ada.lovelace asked: override of gate production.wave_2 for 10 min {WHY_OVERRIDDEN}",
        f"Gate production.wave_2: override by ada.lovelace, until {until} {WHY_OVERRIDDEN}",
        "eve was refused: override of gate production.soak for 10 min eve may not override a gate in",
        "Gate production.soak: override by eve was refused",
    ):
        assert expected in text, expected
    assert text.count("the same samples give the same verdict") == len(
        told.ledger.events(kind="gate.verdict")
    )


def test_an_override_that_the_samples_do_not_hold_is_shown_as_such(tmp_path: Path) -> None:
    """A plain PASS recorded of samples that give an override, as somebody would who hides it."""
    told = promoted(tmp_path, overridden_by="ada.lovelace")
    story = read_story(RELEASE, told.ledger.events(RELEASE))
    gate = next(one for one in story.gates() if one.id == "production.wave_2")
    assert gate.verdict is not None
    hidden = replace(gate.verdict, data={**gate.verdict.data, "overridden": None})
    events = [hidden if event == gate.verdict else event for event in story.events]
    [view] = [one for one in gate_views(read_story(RELEASE, events)) if one.id == gate.id]
    assert view.is_replay_equal is False
    assert view.replay == "judged again, the samples give PASS, overridden by ada.lovelace, recorded is PASS"


def test_a_metric_that_never_moved_is_a_sentence_and_no_plot(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.gate("staging.canary", STAGING, canary_error_rate=0.12)
    failed = told.ledger.last(RELEASE, "gate.verdict", "staging.canary").data["metrics"]
    page = parsed(written(told, tmp_path))
    drawn = {
        svg.attrib["aria-label"].removesuffix(": bad requests over time").removeprefix("staging.canary, ")
        for svg in page.iter(SVG)
        if svg.attrib["aria-label"].endswith(": bad requests over time")
    }
    moved = {name for name, metric in failed.items() if metric["canary"]["bad"] or metric["stable"]["bad"]}
    assert moved <= drawn
    assert words(page).count("Since the gate began: canary 0 bad of ") == len(failed) - len(drawn)


def test_a_verdict_that_its_samples_do_not_give_is_shown_as_such(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    assert told.gate("staging.canary", STAGING, canary_error_rate=0.12) == "FAIL"
    gate = told.plan.gates["wave"].model_dump(mode="json")
    told.say(
        "gate.started",
        {"environment": STAGING, "canary": "1.1.0", "stable": "1.0.0", "gate": gate, "baselines": {}},
        "forged",
    )
    for event in told.ledger.events(RELEASE, kind="gate.sample"):
        told.ledger.append_once(RELEASE, "gate.sample", f"forged#{event.data['number']}", event.data)
    told.say(
        "gate.verdict", {"verdict": "PASS", "reason": "trust me", "metrics": {}, "seconds": 6.0}, "forged"
    )
    assert "Judged again, the samples give FAIL, recorded is PASS." in words(parsed(written(told, tmp_path)))


def test_a_canary_that_ran_alone_is_shown_with_what_was_recorded_and_when(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    gate = told.plan.gates["wave"].model_dump(mode="json")
    first, second, third = (*(metric["name"] for metric in gate["metrics"][:2]), "another")
    hours = {str(hour): [{"total": 500, "bad": 1}] * 7 for hour in (13, 14, 15, 22)}
    recorded = {
        first: {
            "total": 2000,
            "bad": 4,
            "since": "2026-01-01T14:02:00+00:00",
            "until": "2026-01-01T14:10:30+00:00",
        },
        second: {"total": 0, "bad": 0},
        third: {
            "total": 14_000,
            "bad": 28,
            "since": "2025-12-25T14:00:00+00:00",
            "until": "2026-01-01T14:00:00+00:00",
            "by_hour": hours,
        },
    }
    started = {
        "environment": STAGING,
        "canary": "1.1.0",
        "stable": "1.0.0",
        "gate": gate,
        "baselines": recorded,
    }
    told.say("gate.started", started, "soak")
    told.say("gate.sample", {"number": 0, "at": "2026-01-01T14:30:00+00:00"}, "soak#0")
    evidence = {"canary": {"total": 9, "bad": 0}, "stable": {"total": 2000, "bad": 4}}
    verdict = {
        "verdict": "PASS",
        "reason": "",
        "metrics": {first: evidence, second: evidence, third: evidence},
        "seconds": 6.0,
    }
    told.say("gate.verdict", verdict, "soak")
    text = words(parsed(written(told, tmp_path)))
    assert "4 of 2000 (0.20 %) recorded 2026-01-01 14:02:00 to 2026-01-01 14:10:30 UTC" in text
    assert "recorded: nothing" in text
    assert (
        "21 of 10500 (0.20 %) recorded between 13:00 and 16:00 UTC on 7 days (2025-12-25 14:00 to 2026-01-01 14:00)"
    ) in text


def test_samples_that_cannot_be_judged_do_not_keep_the_page_from_being_written(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("gate.started", {"environment": STAGING}, "staging.canary")
    told.say("gate.sample", {"number": 0}, "staging.canary#0")
    text = words(parsed(written(told, tmp_path)))
    assert "The recorded samples cannot be judged again" in text
    assert "NO VERDICT" in text


def test_a_release_that_was_taken_back_shows_how_and_what_was_restored(tmp_path: Path) -> None:
    text = words(parsed(written(rolled_back(tmp_path), tmp_path)))
    for expected in (
        "The gate took the canary’s traffic away",
        "production.wave_2 1204 31 1.1.0: 31",
        "Found by Gate production.wave_2: FAIL, at 12:",
        "s after the new version was about to be placed there; it first served at 12:",
        "Taken back because: gate production.wave_2: FAIL",
        "s until everything was proven restored",
        f"{PRODUCTION} api 1.0.0 × 1 at 100 %; flags off 14 compared: 14 as before, 0 grown, 0 different fills, orders stable_smoke",
        "the release branch carried the fault 'errors' on purpose",
        "gate production.soak it did not begin",
        "could not be notified",
    ):
        assert expected in text, expected


def test_a_broken_release_never_says_restored(tmp_path: Path) -> None:
    text = words(parsed(written(broken(tmp_path), tmp_path)))
    assert "No environment is proven restored." in text
    assert "not proven restored" in text
    assert "until everything was proven restored" not in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    told = Told(tmp_path, release=RELEASE)
    told.opened()
    finding = {"what": HOSTILE, "where": HOSTILE, "remedy": HOSTILE, "severity": "stop"}
    told.say("checklist.item", {"sentence": HOSTILE, "checked": True, "findings": [finding]}, HOSTILE)
    told.say("task.failed", {"task": HOSTILE, "error": HOSTILE}, actor=HOSTILE)
    told.say("approval", {"by": HOSTILE, "decision": HOSTILE, "reason": HOSTILE}, "x")
    told.say("some.new.kind", {"anything": HOSTILE}, HOSTILE)
    told.gate(f"gate {HOSTILE}", STAGING, canary_error_rate=0.12)
    told.ended("STOPPED", HOSTILE)
    html = written(told, tmp_path)
    page = parsed(html)
    assert not [e for e in page.iter() if str(e.tag).rpartition("}")[2] in ("script", "img")]
    assert words(page).count("<script>alert(1)</script>") >= 10
    assert "onerror=alert(2)>" not in html.replace("&gt;", "")


def test_an_event_of_an_unknown_kind_is_in_the_timeline(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("moon.phase", {"full": True}, "tonight")
    assert "moon.phase tonight" in words(parsed(written(told, tmp_path)))


def test_a_release_that_was_never_closed_has_a_draft(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    text = words(parsed(written(told, tmp_path)))
    assert "UNFINISHED The release has not ended; this page is a draft." in text
    assert "No gate began." in text


def test_a_ledger_that_was_changed_is_not_hidden(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    other = Told(tmp_path, release="another")
    other.opened()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("UPDATE roundtrip_events SET actor = 'nobody' WHERE release = 'another'")
    assert "not whole: LedgerError: hash" in words(parsed(written(told, tmp_path)))


def test_no_secret_is_asked_for_and_other_releases_stay_out(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    other = Told(tmp_path, release="another")
    other.say("task.failed", {"task": "somebody-elses-task", "error": "somebody else's error"})

    def no_secrets(_connection: str) -> dict[str, str]:
        raise AssertionError("the dossier asked for a secret")

    def no_target(_environment: object) -> object:
        raise AssertionError("the dossier asked for a target")

    release = Release(RELEASE, told.plan, {}, told.ledger, Home(tmp_path), no_secrets, no_target)
    html = write_dossier(release).read_text(encoding="utf-8")
    assert "somebody" not in html


def test_a_release_that_the_ledger_does_not_know_writes_nothing(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    with pytest.raises(LedgerError, match="no event of release 'unknown'"):
        write("unknown", told.ledger, Home(tmp_path), told.plan)
    assert not Home(tmp_path).release("unknown").exists()


def test_no_page_is_made_of_altered_events(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("DROP TRIGGER IF EXISTS roundtrip_events_update")
        database.execute(
            "UPDATE roundtrip_events SET data = replace(data, 'FAIL', 'PASS'), actor = 'x' WHERE seq = 9"
        )
    with pytest.raises(LedgerError, match="event 9"):
        write(told.release, told.ledger, Home(tmp_path), told.plan)
    assert not (Home(tmp_path).release(told.release) / "dossier.html").exists()
