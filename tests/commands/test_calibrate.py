"""`./roundtrip calibrate` prints every gate, as tables and as JSON, and touches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roundtrip.commands.app import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def test_tables_name_gates_metrics_and_what_is_not_simulated(home: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "--runs", "100"])
    assert done.exit_code == 0, done.output
    for text in (
        "Nothing wrong",
        "wave 2",
        "ops-ui-slow",
        "20% bad",
        "PASS 100%",
        "production, soak: compared with",
    ):
        assert text in done.output
    assert list(home.iterdir()) == []


def test_json_holds_the_simulation_and_its_figures(home: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "--runs", "100", "--seed", "3", "--json"])
    data = json.loads(done.stdout)
    assert data["simulation"] == {"runs": 100, "error_rate": 0.001, "seed": 3}
    assert {gate["step"] for gate in data["gates"]} == {"canary", "wave 1", "wave 2"}
    assert data["not_simulated"] == ["production, wave 3", "production, soak"]


def test_an_unknown_plan_is_refused(home: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "no_such_plan"])
    assert done.exit_code == 1
    assert "no plan 'no_such_plan', known: top_tier_trading_1_1_0" in str(done.exception)
