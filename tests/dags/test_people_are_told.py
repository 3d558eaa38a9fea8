"""Plan 4.5 in whole releases: what people are told and when; a channel that is dead or hangs changes nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from roundtrip.plan.environment import ConnectionChannel
from tests.dags.scheduler import load
from tests.dags.signed import Signed
from tests.dags.story import Happening, Story

DAGS = [
    ("release", "release", "outcome"),
    ("rollback", "take_back", "outcome"),
    ("staging_rehearsal", "rehearsal", "assess"),
]
TAKEN_BACK = ["started", "breach", "rollback-begun", "restored", "post-mortem-due"]


@pytest.fixture
def story(
    metadata_database: None, stories_folder: Path, redis_server: str, signed: Signed, request: Any
) -> Story:
    folder = stories_folder / request.node.name.replace("[", "-").rstrip("]")
    folder.mkdir()
    return Story(load("release", "release"), folder, redis_server, signed)


def moments(story: Story) -> list[str]:
    lines = (story.folder / "notifications.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["moment"] for line in lines]


@pytest.mark.parametrize(("file", "function", "last"), DAGS, ids=[file for file, _, _ in DAGS])
def test_nothing_of_the_way_back_waits_for_people_s_channels(
    metadata_database: None, file: str, function: str, last: str
) -> None:
    told = load(file, function).get_task("rollback.notify")
    assert told.get_flat_relative_ids(upstream=False) == {last}


def test_a_release_that_is_promoted_is_told_at_its_begin_and_its_end(story: Story) -> None:
    assert story.run() == "success"
    assert moments(story) == ["started", "promoted"]


def test_a_release_that_is_taken_back_is_told_at_each_turn(story: Story) -> None:
    story.bad_gate = "production.wave_2"
    story.run()
    assert moments(story) == TAKEN_BACK


@pytest.mark.parametrize("task_id", ["rollback.notify", "rollback.communicate"])
def test_a_task_that_is_killed_half_way_tells_nothing_twice_but_what_it_could_not_record(
    story: Story, task_id: str
) -> None:
    story.bad_gate = "production.wave_2"
    story.run(Happening.KILLED, task_id)
    told = moments(story)
    assert list(dict.fromkeys(told)) == TAKEN_BACK
    assert len(told) == len(TAKEN_BACK) + 1
    sent = [e.data["moment"] for e in story.ledger.events(story.release.id, kind="notification.sent")]
    assert sent == TAKEN_BACK


def test_a_rollback_that_cannot_finish_is_told_as_that(story: Story) -> None:
    story.bad_gate = "production.wave_2"
    story.run(Happening.FAILS, "rollback.verify_restored")
    assert story.recorded() == ["BROKEN"]
    assert moments(story) == ["started", "breach", "rollback-begun", "broken"]


def test_channels_that_cannot_be_used_do_not_keep_a_release_from_being_taken_back(story: Story) -> None:
    for stage, environment in story.environments.items():
        dead = ConnectionChannel(connection="signing")
        story.environments[stage] = environment.model_copy(update={"notify": [dead]})
    story.bad_gate = "production.wave_2"
    story.run()
    assert story.recorded() == ["ROLLED BACK"]
    events = story.ledger.events(story.release.id, kind="notification.failed")
    assert {e.data["error"] for e in events} == {"no address that Apprise knows"}
    assert {e.data["moment"] for e in events} == set(TAKEN_BACK)
    page = (story.release.folder / "dossier.html").read_text(encoding="utf-8")
    assert "Could not tell by signing/public_key" in page
    assert story.signed.keys["private_key"] not in page
