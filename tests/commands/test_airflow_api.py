"""The client of Airflow's REST API against one that restarts, forgets tokens and refuses."""

from __future__ import annotations

import pytest

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.errors import HostError
from tests.commands.airflow_simulator import AirflowSimulator


def test_it_logs_in_once_and_again_when_its_token_is_forgotten(
    api: AirflowApi, simulator: AirflowSimulator
) -> None:
    assert api.dag_ids() == simulator.dags
    assert api.dag_ids() == simulator.dags
    assert simulator.logins == 1
    simulator.tokens.clear()
    assert api.dag_ids() == simulator.dags
    assert simulator.logins == 2


def test_a_refused_login_says_what_to_do(api: AirflowApi, simulator: AirflowSimulator) -> None:
    simulator.password = "changed"
    with pytest.raises(HostError, match=r"refused the login: 401 at http://127\.0\.0\.1:\d+ -> "):
        api.dag_ids()


def test_it_waits_while_airflow_comes_back(api: AirflowApi, simulator: AirflowSimulator) -> None:
    api.dag_ids()
    simulator.answers_next = [503, 500]
    assert api.dag_ids() == simulator.dags
    assert simulator.answers_next == []


def test_it_does_not_wait_for_ever(
    api: AirflowApi, simulator: AirflowSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.commands.airflow_api.ANSWER_LIMIT_SECONDS", 0.2)
    simulator.answers_next = [401] * 50
    with pytest.raises(HostError, match="Airflow answered 401"):
        api.dag_ids()


def test_what_asking_again_cannot_mend_fails_at_once(api: AirflowApi, simulator: AirflowSimulator) -> None:
    api.dag_ids()
    simulator.answers_next = [400]
    with pytest.raises(HostError, match=r"Airflow answered 400: .*bent.* at POST /api/v2/dags/d/dagRuns"):
        api.trigger("d", "r", {})


def test_a_run_that_is_triggered_twice_is_one_run(api: AirflowApi, simulator: AirflowSimulator) -> None:
    api.trigger("d", "r", {"fault": "errors"})
    api.trigger("d", "r", {"fault": "another"})
    assert simulator.conf == {("d", "r"): {"fault": "errors"}}


def test_a_run_that_is_not_there_is_neither_running_nor_ended(
    api: AirflowApi, simulator: AirflowSimulator
) -> None:
    simulator.runs = {("d", "a"): "success", ("d", "b"): "queued", ("other", "c"): "running"}
    assert api.run_state("d", "gone") == "none"
    assert api.running("d") == ["b"]
