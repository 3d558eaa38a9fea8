"""The ledger in words: what the post-mortem, the runbook, the backlog and the timeline say, and what they
may not."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roundtrip.errors import LedgerError
from roundtrip.narrative.checked import gaps, seconds_in_words
from roundtrip.narrative.client_traffic import phases, record_traffic
from roundtrip.narrative.incident import incident
from roundtrip.narrative.markdown import inline
from roundtrip.narrative.postmortem import postmortem
from roundtrip.narrative.runbook import backlog, runbook
from roundtrip.narrative.story import Story, read_story
from roundtrip.narrative.timeline import Tone, timeline
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.release import Release
from roundtrip.traffic.rate import traffic_folder
from roundtrip.traffic.record import Record
from tests.narrative.synthetic import (
    PRODUCTION,
    RELEASE,
    STAGING,
    Told,
    broken,
    promoted,
    rolled_back,
    stopped,
)


def story_of(told: Told) -> Story:
    return read_story(told.release, told.ledger.events())


def test_the_timeline_is_in_the_ledgers_order_and_leaves_out_only_evidence(tmp_path: Path) -> None:
    story = story_of(rolled_back(tmp_path))
    entries = timeline(story)
    assert [e.seq for e in entries] == sorted(e.seq for e in entries)
    told = {e.seq for e in entries}
    left_out = {event.kind for event in story.events if event.seq not in told}
    assert left_out == {"gate.sample", "token.taken", "converge.started"}
    fail = next(e for e in entries if e.what == "Gate production.wave_2: FAIL")
    assert fail.tone is Tone.BAD


@pytest.mark.parametrize(
    ("reason", "what", "detail"),
    [
        (None, "stable by hour of the day recorded", "api-errors 3 hours"),
        ("no answer", "stable by hour of the day is not recorded", "no answer"),
    ],
)
def test_what_is_recorded_of_stable_by_the_hour_is_told(
    tmp_path: Path, reason: str | None, what: str, detail: str
) -> None:
    told = Told(tmp_path)
    day = {"total": 9, "bad": 0}
    metrics = {} if reason else {"api-errors": {"measured": {}, "hours": {"1": [day, day], "2": [day]}}}
    told.say("snapshot.baseline", {"metrics": metrics, "reason": reason}, PRODUCTION)
    (entry,) = timeline(story_of(told))
    assert (entry.what, entry.detail) == (f"{PRODUCTION}: {what}", detail)


def test_a_converge_that_nobody_finished_is_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say(
        "converge.started",
        {"environment": PRODUCTION, "token": 7, "holder": "production.wave_1", "desired": {}},
    )
    last = timeline(story_of(told))[-1]
    assert last.what == f"{PRODUCTION}: a change began and was not finished by whoever began it"
    assert last.tone is Tone.NOTE


def test_an_incident_has_the_times_of_the_ledger(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    story = story_of(told)
    found = incident(story)
    first_fail = next(e for e in story.all("gate.verdict") if e.data["verdict"] == "FAIL")
    assert found.found_by == first_fail
    in_production = next(e for e in story.all("deployed") if e.key == PRODUCTION)
    assert story.all("deployed")[0].at < in_production.at, "staging came first, and nothing was found there"
    assert found.placed_at == in_production.at
    assert found.detection_seconds == (first_fail.at - in_production.at).total_seconds()
    assert found.restored_at == story.all("rollback.verified")[-1].at
    assert found.recovery_seconds is not None
    assert found.recovery_seconds > 0


def test_a_task_that_failed_is_of_its_section_s_environment_and_one_before_the_placement_is_no_incident(
    tmp_path: Path,
) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("task.failed", {"task": "build.bundles", "error": "BuildError: tried again, and well"})
    told.say("deployed", {"version": "1.1.0"}, STAGING)
    told.say("deployed", {"version": "1.1.0"}, PRODUCTION)
    told.say("task.failed", {"task": "production.wave_1", "error": "GateError: a replica is down"})
    found = incident(story_of(told))
    assert found.found_by is not None
    assert found.found_by.data["task"] == "production.wave_1"
    assert found.where == PRODUCTION


def test_what_is_not_proven_restored_has_no_recovery_time(tmp_path: Path) -> None:
    found = incident(story_of(broken(tmp_path)))
    assert found.begun_at is not None
    assert (found.restored_at, found.recovery_seconds) == (None, None)


def test_the_post_mortem_tells_what_the_ledger_knows_and_asks_the_rest(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    text = postmortem(told.release, told.ledger.events())
    for expected in (
        "Outcome: **ROLLED BACK**",
        "| 31 | 1.1.0: 31 | 1.1.0: 7 |",
        "time to detect",
        "gate `production.wave_2`: FAIL",
        "To be answered by people",
        told.ledger.events()[-1].hash,
    ):
        assert expected in text, expected
    assert "mira.okafor" in text.partition("## Timeline")[2], "people appear by what they did"
    assert "mira.okafor" not in text.partition("## Timeline")[0], "and are blamed for nothing"


def test_the_post_mortem_says_in_short_what_happened_where_and_what_it_cost(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    short = postmortem(told.release, told.ledger.events()).partition("## Impact")[0]
    [placed] = [e for e in told.ledger.events(kind="deployed") if e.key == PRODUCTION]
    served = next(e for e in told.ledger.events(kind="converge.finished") if e.seq > placed.seq)
    assert served.at > placed.at
    assert (
        f"At {served.at:%H:%M:%S} UTC 1.1.0 first served in `local_production`; it was about to be placed at {placed.at:%H:%M:%S}."
    ) in short
    [found] = [e for e in told.ledger.events(kind="gate.verdict") if e.data["verdict"] == "FAIL"]
    seconds = (found.at - placed.at).total_seconds()
    assert f"{seconds:.1f} s after the new version was about to be placed there: Gate" in short
    assert "Gate production.wave\\_2: FAIL" in short
    assert "Everything was proven restored at" in short
    assert "Of 2094 requests that clients sent meanwhile, 31 (1.48 %) failed." in short


def test_the_post_mortem_of_what_a_person_took_back_says_when_and_is_about_production(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    for environment in (STAGING, PRODUCTION):
        told.say("deployed", {"version": "1.1.0"}, environment)
    told.later(3)
    told.say("rollback.begun", {"why": "prices are wrong", "stages": ["production", "staging"]}, "rollback")
    for environment in (PRODUCTION, STAGING):
        told.say("rollback.verified", {"deployment": {}, "redis": {}, "smoke": []}, environment)
    told.traffic(PRODUCTION, "promoted", 500, {})
    told.traffic(STAGING, "rollback", 70, {})
    short = postmortem(told.release, told.ledger.events(), outcome="ROLLED BACK", reason="prices are wrong")
    short = short.partition("## Impact")[0]
    assert (
        "1.1.0 was about to be placed in `local_production`; that it served there is not recorded." in short
    )
    assert "No gate found anything; it was decided to take it back at" in short
    assert "after that." in short
    assert "Of 500 requests that clients sent meanwhile, none failed." in short


def test_the_post_mortem_of_what_could_not_finish_says_that_first(tmp_path: Path) -> None:
    told = rolled_back(tmp_path, finished=False)
    short = postmortem(told.release, told.ledger.events()).partition("## Impact")[0]
    assert "Outcome: **BROKEN**" in short
    assert "**It is not proven that everything is as it was.**" in short


def test_the_draft_has_an_outcome_before_the_ledger_has_it(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    events = [event for event in told.ledger.events() if event.kind != "release.outcome"]
    text = postmortem(told.release, events, outcome="ROLLED BACK", reason="gate production.wave_2: FAIL")
    assert "Outcome: **ROLLED BACK**" in text
    assert "no outcome" not in text


def test_its_timeline_begins_where_the_new_version_was_placed_and_says_a_thing_once(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    rows = postmortem(told.release, told.ledger.events()).partition("## Timeline")[2].splitlines()
    assert not [row for row in rows if "Checklist:" in row and "nothing found" in row]
    assert not [row for row in rows if "Client traffic" in row]
    assert [row for row in rows if "stable\\_smoke in local\\_production: ok" in row]


def test_what_a_gate_saw_is_drawn_below_what_it_said(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    text = postmortem(told.release, told.ledger.events())
    assert "![production.wave\\_2, api-errors](postmortem-production.wave_2-api-errors.svg)" in text
    assert "wave_1-" not in text, "that one passed"
    assert text.count("Red: evidence against the new version") == 1


def test_the_post_mortem_names_a_gate_that_was_overridden(tmp_path: Path) -> None:
    told = promoted(tmp_path, overridden_by="ada.lovelace")
    text = postmortem(RELEASE, told.ledger.events(RELEASE))
    assert "gate `production.wave_2`: PASS, overridden by ada.lovelace: too few" in text
    told = promoted(tmp_path / "plain")
    assert "No gate decided against the release" in postmortem(RELEASE, told.ledger.events(RELEASE))


def test_without_an_account_of_traffic_the_post_mortem_does_not_say_zero(tmp_path: Path) -> None:
    told = stopped(tmp_path)
    assert "the number of failed requests is not known" in postmortem(told.release, told.ledger.events())


def test_the_runbook_names_what_runs_what_is_new_and_how_to_take_it_back(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    text = runbook(told.release, told.ledger.events(), told.plan)
    for expected in (
        "Top\\_Tier\\_Trading 1.1.0",
        "service `backtester` is new",
        "service `workers` runs with 3 replicas instead of 1",
        "flag `github-login` is on",
        "Redis keys `risk:*` (hash) are written by 1.1.0 only",
        "`rollback_top_tier_trading_1_1_0`",
        f"release `{RELEASE}`",
        "soak of 30 s instead of the plan's 24 h",
        "slower than 0.25 s",
    ):
        assert expected in text, expected


def test_the_backlog_has_notes_gaps_and_what_failed_once_each_under_its_own_key(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    told.say(
        "smoke.result",
        {"test": "backtest", "ok": False, "detail": "502", "environment": "x", "version": "1.1.0"},
    )
    told.say("notification.failed", {"channel": "file", "error": "no space left"})
    items = backlog(told.release, told.ledger.events(), told.plan)
    titles = [item.title for item in items]
    assert "audit_dependencies: express 4.21.2, newest 5.1.0" in titles
    assert "Check: soak of 30 s instead of the plan's 24 h" in titles
    assert "Check: checklist item containers" in titles
    assert "Smoke test backtest failed once" in titles
    assert "A notification could not be sent" in titles
    keys = [item.key for item in items]
    assert len(keys) == len(set(keys))
    assert items == backlog(told.release, told.ledger.events(), told.plan), "made again they are the same"


@pytest.mark.parametrize(
    "text", ["<script>x</script>", "[a](javascript:x)", "a | b", "`code`", "# head", "![i](u)", "a\n\n# b"]
)
def test_text_from_outside_is_no_markdown(text: str) -> None:
    safe = inline(text)
    assert "\n" not in safe
    for sign in "<>[]()|`#!":
        assert safe.count(sign) == safe.count(f"\\{sign}")


def test_hostile_text_cannot_leave_its_table_cell(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("task.failed", {"task": "x", "error": "a | b\n\n# Forged heading\n| c |"})
    text = postmortem(told.release, told.ledger.events())
    assert "\n# Forged heading" not in text
    assert all(
        line.replace("\\|", "").count("|") == 5 for line in text.splitlines() if line.startswith("| 12:00")
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(86_400, "24 h"), (30, "30 s"), (90, "1.5 min"), (60, "1 min"), (3725, "3725 s")]
)
def test_durations_read_well_and_lose_nothing(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds) == words


def test_a_release_that_is_not_in_the_ledger_has_no_story(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no event of release 'r0'"):
        read_story("r0", promoted(tmp_path).ledger.events())


def test_phases_lie_end_to_end_over_the_whole_release(tmp_path: Path) -> None:
    story = story_of(rolled_back(tmp_path))
    found = phases(story, PRODUCTION)
    assert [p.name for p in found] == ["before", "production.wave_1", "production.wave_2", "rollback"]
    assert found[0].since == story.began_at.replace(microsecond=0)
    assert all(one.until == other.since for one, other in itertools.pairwise(found))
    assert phases(story_of(stopped_in(tmp_path)), PRODUCTION) == (), (
        "an environment that was never touched has none"
    )


def test_a_phase_that_began_in_the_releases_last_second_is_told_to_the_end_of_that_second(
    tmp_path: Path,
) -> None:
    told = _placed(tmp_path)
    told.say("promoted", {"environment": PRODUCTION}, PRODUCTION)
    began = told.now.replace(microsecond=0)
    last = phases(story_of(told), PRODUCTION)[-1]
    assert (last.name, last.since, last.until) == ("promoted", began, began + timedelta(seconds=1))


def test_a_phase_that_goes_on_is_recorded_once_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.narrative.client_traffic.COVER_LIMIT_SECONDS", 0.0)
    told = _placed(tmp_path)
    release = _release(told, Home(tmp_path))
    record_traffic(release, goes_on=True)
    assert [s.key for s in told.ledger.events(kind="traffic.summary")] == [f"{PRODUCTION}/before"]
    record_traffic(release)
    summaries = told.ledger.events(kind="traffic.summary")
    assert [s.key for s in summaries] == [f"{PRODUCTION}/before", f"{PRODUCTION}/production.wave_1"]
    assert summaries[0].data["until"] == summaries[1].data["since"]


def stopped_in(folder: Path) -> Told:
    (folder / "stopped").mkdir()
    return stopped(folder / "stopped")


def test_the_clients_account_goes_into_the_ledger_once_and_its_sum_is_the_whole(tmp_path: Path) -> None:
    told = _placed(tmp_path)
    home = Home(tmp_path)
    record = Record(traffic_folder(home, PRODUCTION), seed=1)
    began = told.ledger.events()[0].at
    for second in range(200):
        at = datetime.fromtimestamp(began.timestamp() + second, UTC)
        record.sent("home", at)
        if second % 50 == 0:
            record.failed("home", "502", "1.1.0", at, at)
        else:
            record.answered("home", 200, "1.1.0", at, at)
    record.flush(at, ended=True)
    release = _release(told, home)
    record_traffic(release)
    record_traffic(release)
    summaries = told.ledger.events(kind="traffic.summary")
    assert [s.key for s in summaries] == [f"{PRODUCTION}/before", f"{PRODUCTION}/production.wave_1"]
    covered = int(told.now.timestamp()) + 1 - int(began.timestamp())
    assert sum(s.data["sent"] for s in summaries) == covered
    assert sum(s.data["failed"] for s in summaries) == (covered + 49) // 50
    assert all(s.data["incomplete"] is None for s in summaries)
    assert summaries[0].data["failed_by_version"] == {"1.1.0": summaries[0].data["failed"]}


def test_an_account_that_is_not_there_is_incomplete_and_never_zero_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.narrative.client_traffic.COVER_LIMIT_SECONDS", 0.0)
    told = _placed(tmp_path)
    record_traffic(_release(told, Home(tmp_path)))
    summaries = told.ledger.events(kind="traffic.summary")
    assert len(summaries) == 2
    assert all("expected to reach" in s.data["incomplete"] for s in summaries)


def _placed(folder: Path) -> Told:
    told = Told(folder)
    told.opened()
    told.later(60)
    told.placed(PRODUCTION, "production.wave_1", 10)
    told.gate("production.wave_1", PRODUCTION, canary_error_rate=0.003)
    return told


def _release(told: Told, home: Home) -> Release:
    environment = Environment(
        name=PRODUCTION,
        stage="production",
        target={"kind": "local"},
        secrets_connection="secrets",
        signing_connection="signing",
        traffic={"requests_per_second": 10},
    )
    return Release(
        told.release, told.plan, {"production": environment}, told.ledger, home, lambda _: {}, lambda _: None
    )


def test_an_item_that_was_inspected_again_counts_as_it_was_found_last(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    stop = {"what": "1 test failed", "where": "api", "remedy": "mend it", "severity": "stop"}
    told.say(
        "checklist.item", {"item": "tests", "sentence": "2.7", "checked": True, "findings": [stop]}, "tests"
    )
    told.say(
        "checklist.item", {"item": "tests", "sentence": "2.7", "checked": True, "findings": []}, "tests#2"
    )
    story = story_of(told)
    assert {item: event.key for item, event in story.checklist().items()} == {"tests": "tests#2"}
    assert not [item for item in backlog(told.release, story.events, told.plan) if "checklist" in item.labels]
    assert len([e for e in timeline(story) if e.what.startswith("Checklist: tests")]) == 2, "both are told"


def test_that_nobody_looked_for_known_vulnerabilities_is_said_openly(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    found = {gap.what: gap.why for gap in gaps(story_of(told), told.plan)}
    assert found["known vulnerabilities of the components"] == "no database is at hand"


def test_a_route_that_no_rollback_brings_back_is_said_openly(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    change = "PathPrefix(`/old`): api before, nobody now"
    told.say("rollback.verified", {"routes": {"differences": [change]}}, "local_production")
    found = [gap.what for gap in gaps(story_of(told), told.plan)]
    assert f"local_production: routes of the front door, {change}" in found


def test_a_second_build_taken_from_an_earlier_release_is_said_openly(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    assert not [gap for gap in gaps(story_of(told), told.plan) if "second build" in gap.what]
    other = Told(tmp_path, release="next")
    other.opened()
    for service in other.plan.services:
        other.say(
            "build.reproduced",
            {"first": "x", "second": "x", "same": True, "reused": service == "api"},
            service,
        )
    found = [gap.what for gap in gaps(story_of(other), other.plan)]
    assert "second build of api" in found
    assert not [what for what in found if what.startswith("reproducible build")]
