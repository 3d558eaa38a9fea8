"""The dossier of a release that was promoted and taken back by hand afterwards: two spans of work, and a reason that is a reason."""

from __future__ import annotations

from pathlib import Path

import html5lib
import pytest

from roundtrip.dossier import write
from roundtrip.plan.home import Home
from tests.narrative.synthetic import COMMIT, PRODUCTION, STAGING, Told, digest, promoted

WHY = "the next release starts at 1.0.0"


def taken_back(folder: Path) -> Told:
    """Five idle minutes after its end, in half a minute."""
    told = promoted(folder)
    told.later(300)
    told.say("rollback.begun", {"why": WHY, "stages": ["production", "staging"]}, "rollback")
    told.say(
        "verify.passed",
        {"environment": PRODUCTION, "version": "1.0.0", "by": "signature", "files": {"api": "x"}},
    )
    told.later(30)
    for environment in (PRODUCTION, STAGING):
        redis = {"kept": 0, "grown": ["fills"], "differences": 0}
        told.say("rollback.verified", {"deployment": {}, "redis": redis, "smoke": []}, environment)
    told.ended("ROLLED BACK", WHY)
    return told


def words(told: Told, folder: Path) -> str:
    html = write(told.release, told.ledger, Home(folder), told.plan).read_text(encoding="utf-8")
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    return " ".join(" ".join(page.itertext()).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("later")
    return words(taken_back(folder), folder)


def test_idle_time_between_both_is_counted_as_neither(page: str, tmp_path: Path) -> None:
    told = promoted(tmp_path)
    events = told.ledger.events()
    seconds = round((events[-1].at - events[0].at).total_seconds())
    assert seconds > 60
    assert f"Took {seconds} s Taken back later" in page
    assert "UTC, which took 33 s" in page


def test_it_says_because_of_what_and_blames_nobody(page: str) -> None:
    assert f"Taken back because: {WHY}" in page
    assert f"Found by nothing had failed; taken back because: {WHY}" in page
    assert "Time to detect" not in page
    assert "a person" not in page


def test_a_comparison_of_nothing_is_told_as_such(page: str) -> None:
    assert "nothing to compare: the snapshot holds no key fills" in page
    assert "0 different" not in page


def test_keys_that_the_stable_version_wrote_on_were_compared_as_well(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    told.say("snapshot.taken", {"redis": {"fills": {}, "limits": {}}}, STAGING)
    told.say("rollback.begun", {"why": WHY, "stages": ["staging"]}, "rollback")
    redis = {"kept": 1, "grown": ["fills", "orders"], "differences": 0}
    told.say("rollback.verified", {"deployment": {}, "redis": redis, "smoke": []}, STAGING)
    assert "2 compared: 1 as before, 1 grown, 0 different" in words(told, tmp_path)


def test_each_verification_says_what_it_came_before(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.opened()
    files = {"api": digest("api")}
    staging = {"environment": STAGING, "version": "1.1.0", "by": "checksums", "files": files}
    told.say("verify.passed", staging)
    told.say("verify.passed", {**staging, "environment": PRODUCTION})
    told.say("sign.published", {"folder": "v1.1.0", "files": [], "commit": COMMIT}, "v1.1.0")
    told.say("verify.passed", {**staging, "environment": PRODUCTION, "by": "signature"})
    told.say("rollback.begun", {"why": WHY, "stages": ["production"]}, "rollback")
    told.say(
        "verify.passed", {"environment": PRODUCTION, "version": "1.0.0", "by": "signature", "files": files}
    )
    text = words(told, tmp_path)
    for expected in (
        f"{STAGING} 1.1.0 deployment passed, 1 files by checksums",
        f"{PRODUCTION} 1.1.0 signing passed, 1 files by checksums",
        f"{PRODUCTION} 1.1.0 deployment passed, 1 files by signature",
        f"{PRODUCTION} 1.0.0 rollback passed, 1 files by signature",
    ):
        assert expected in text, expected
