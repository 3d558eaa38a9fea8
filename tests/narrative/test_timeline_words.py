"""The timeline has words for everything that the product says to the ledger, and contradicts no other part of the page."""

from __future__ import annotations

from pathlib import Path

from roundtrip.narrative.story import read_story
from roundtrip.narrative.timeline import LEFT_OUT, SENTENCES, Entry, timeline
from tests.narrative.appended_kinds import appended_kinds
from tests.narrative.synthetic import PRODUCTION, RELEASE, STAGING, Told, digest, promoted, rolled_back

WITHDRAWN = {"tag": "v1.1.0", "commit": "ac4e90d", "of_release": "an_earlier_one"}


def last(told: Told) -> Entry:
    return timeline(read_story(told.release, told.ledger.events()))[-1]


def test_every_kind_of_event_that_the_product_appends_has_words() -> None:
    appended = appended_kinds()
    assert len(appended) > 40, "the reading of the source has lost its way"
    assert {kind: where for kind, where in appended.items() if kind not in {*SENTENCES, *LEFT_OUT}} == {}


def test_no_words_are_kept_for_what_nobody_appends() -> None:
    assert set(SENTENCES) - set(appended_kinds()) == set()


def test_what_an_earlier_release_left_is_set_aside_in_words(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("sign.withdrawn", {**WITHDRAWN, "kept_as": "refs/withdrawn/an_earlier_one/v1.1.0"})
    assert last(told).what == "Tag v1.1.0 of an earlier release set aside"
    assert (
        last(told).detail
        == "an_earlier_one, which was taken back; kept as refs/withdrawn/an_earlier_one/v1.1.0"
    )
    told.say("sign.withdrawn", {**WITHDRAWN, "kept_as": "withdrawn/an_earlier_one/v1.1.0"})
    assert last(told).what == "Published release v1.1.0 of an earlier release set aside"


def test_a_build_that_was_not_repeated_is_not_told_as_one(tmp_path: Path) -> None:
    told = Told(tmp_path)
    same = {"first": digest("api"), "second": digest("api"), "same": True}
    told.say(
        "build.bundle", {"service": "api", "version": "1.1.0", "digest": digest("api"), "reused": True}, "api"
    )
    assert last(told).what == "api 1.1.0 was built before, from the same source"
    told.say("build.reproduced", {**same, "reused": True}, "api")
    assert last(told).what == "api not built again: built twice in an earlier release, with the same digest"
    told.say("build.reproduced", {**same, "reused": False}, "workers")
    assert last(told).what == "Built workers again: the same digest"


def test_a_rollback_names_what_had_failed_before_it(tmp_path: Path) -> None:
    told = rolled_back(tmp_path)
    [began] = [
        one for one in timeline(read_story(RELEASE, told.ledger.events())) if one.what == "Rollback began"
    ]
    assert began.detail.endswith("_1_1_0 failed; before it: Gate production.wave_2: FAIL")


def test_a_rollback_after_a_task_failed_names_the_one_that_failed_last(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("deployed", {"version": "1.1.0"}, STAGING)
    for task in ("staging.smoke_tests", "sign.attest"):
        told.say("task.failed", {"task": task, "error": "x"})
    told.say("rollback.begun", {"why": "a task failed", "stages": ["staging"]}, "rollback")
    assert last(told).detail == "a task failed; before it: Task sign.attest failed"


def test_what_failed_before_a_promotion_is_not_why_it_was_taken_back_later(tmp_path: Path) -> None:
    told = promoted(tmp_path)
    told.say("rollback.begun", {"why": "prices are wrong", "stages": ["production"]}, "rollback")
    assert last(told).detail == "prices are wrong"


def test_that_no_key_of_redis_was_there_is_not_told_as_none_kept(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("rollback.verified", {"redis": {"kept": 0, "grown": [], "differences": 0}}, PRODUCTION)
    assert last(told).detail == "Redis: there was no key to compare"
    told.say("rollback.verified", {"redis": {"kept": 0, "grown": ["fills"], "differences": 0}}, STAGING)
    assert last(told).detail == "Redis: no key differs, 0 unchanged, 1 grown by the stable version"
