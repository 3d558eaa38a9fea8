"""The last lines of a failed task's log: what failed, once, and where."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from roundtrip.errors import PromotionError, RoundtripError, TargetError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from steps.section_step import SectionStep

PLAN = Path(__file__).parent / "plans" / "small.yaml"
RELEASE = "release_small.r1"


def not_promoted(release: Release) -> None:
    raise PromotionError("production was not promoted", where=release.id, remedy="see before")


def unreachable(_release: Release) -> None:
    try:
        raise OSError("connection refused")
    except OSError as error:
        raise TargetError("no answer") from error


def log_of(call: str, folder: Path, kind: type[AirflowException]) -> str:
    home = Home(folder)
    release = Release(
        RELEASE,
        load_plan(PLAN),
        {},
        Ledger(home.ledger_url),
        home,
        lambda _: {},
        lambda _: pytest.fail("no target"),
    )
    step = SectionStep(task_id="outcome", call=call, plan="small", sentence="x")
    with pytest.raises(kind) as failed:
        step.carry_out(release)
    assert not isinstance(failed.value, RoundtripError)
    [event] = release.ledger.events(RELEASE, kind="task.failed")
    assert event.data["error"] in str(failed.value)
    return "".join(traceback.format_exception(failed.value))


def test_an_error_names_its_kind_once_and_where_it_was_raised(tmp_path: Path) -> None:
    log = log_of(f"{__name__}:not_promoted", tmp_path, AirflowFailException)
    line = f"AirflowFailException: PromotionError: production was not promoted at {RELEASE} -> see before"
    assert log.splitlines()[-1].endswith(line)
    assert log.count("PromotionError: ") == 1
    assert "in not_promoted" in log


def test_what_an_error_comes_from_stays_in_the_log(tmp_path: Path) -> None:
    log = log_of(f"{__name__}:unreachable", tmp_path, AirflowException)
    assert "OSError: connection refused" in log
    assert log.count("TargetError: ") == 1


def test_the_release_is_named_by_its_id_alone(tmp_path: Path) -> None:
    log = log_of("roundtrip.production.rollout:require_promoted", tmp_path, AirflowFailException)
    assert f"at {RELEASE} ->" in log
    assert f"release {RELEASE}" not in log
