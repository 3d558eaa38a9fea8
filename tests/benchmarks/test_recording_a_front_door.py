"""The recorder against a real Traefik in front of a real server."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.judges.record import main, metrics, of_page, page_of
from roundtrip.errors import EvidenceError
from roundtrip.gates.reading import Versions
from roundtrip.gates.scrape import FrontDoor

sys.path.append(str(Path(__file__).parents[1] / "gates"))
from servers import Answers, free_port, serving, traefik

pytestmark = pytest.mark.integration


def test_a_front_door_is_recorded_by_version_and_a_page_that_cannot_be_read_is_a_longer_line(tmp_path: Path):
    with serving(Answers) as stable, traefik(tmp_path, {"1.0.0": stable, "1.1.0": free_port()}) as door:
        for version in ("1.0.0", "1.1.0"):  # before the recording: not counted
            door.get(version, "500")
        source = FrontDoor(door.page, metrics("api", [0.1, 0.5]), Versions(canary="1.1.0", stable="1.0.0"))
        reads = 0

        class Asking:
            """The real front door; before its second page it is asked, and its third page is not read."""

            metrics, versions = source.metrics, source.versions

            async def read(self, at: datetime):
                nonlocal reads
                reads += 1
                if reads == 2:
                    for path in ("200", "200", "503", "slow"):
                        await asyncio.to_thread(door.get, "1.0.0", path)
                    await asyncio.to_thread(door.get, "1.1.0", "200")
                asked = source if reads != 3 else FrontDoor(nobody, source.metrics, source.versions)
                return await asked.read(at)

        nobody = f"http://127.0.0.1:{free_port()}/metrics"
        lines = asyncio.run(of_page(Asking(), 3, clock=lambda: datetime.now(UTC)))
    assert [one["counted"]["1.0.0"] for one in lines] == [
        {"errors": [4, 1], "slower-than-100-ms": [4, 1], "slower-than-500-ms": [4, 0]},
        {"errors": [0, 0], "slower-than-100-ms": [0, 0], "slower-than-500-ms": [0, 0]},
    ]
    assert lines[0]["counted"]["1.1.0"]["errors"] == [1, 1]  # nobody answers for it: Traefik says 502
    assert lines[1]["seconds"] > 1.5


def test_the_command_writes_a_recording(tmp_path: Path):
    with serving(Answers) as stable, traefik(tmp_path, {"1.0.0": stable, "1.1.0": stable}) as door:
        asked = ["page", door.page, "--service", "api", "--versions", "1.0.0", "1.1.0", "--to", "door"]
        main([*asked, "--slower-than", "0.1", "0.5", "--minutes", "0.04"], recordings=tmp_path)
    head, *lines = (json.loads(text) for text in (tmp_path / "door.jsonl").read_text().splitlines())
    assert (head["service"], head["from"]) == ("api", "a front door's page")
    assert door.page not in json.dumps(head)
    assert len(lines) == 2
    assert set(lines[0]["counted"]["1.1.0"]) == {"errors", "slower-than-100-ms", "slower-than-500-ms"}


def test_a_recording_whose_first_page_says_nothing_ends_at_once():
    nobody = f"http://127.0.0.1:{free_port()}/metrics"
    source = FrontDoor(nobody, metrics("api", [0.1]), Versions(canary="1.1.0", stable="1.0.0"))
    with pytest.raises(EvidenceError, match="the first page says nothing"):
        asyncio.run(of_page(source, 3600))


def test_the_folder_of_an_environment_says_where_its_front_door_is(tmp_path: Path):
    ports = {"front_door": 1, "internal": 2, "proxy": 3, "redis": 4, "github": 5}
    (tmp_path / "ports.json").write_text(json.dumps(ports))
    assert page_of(str(tmp_path)) == "http://127.0.0.1:3/metrics"
    assert page_of("http://door/metrics") == "http://door/metrics"
