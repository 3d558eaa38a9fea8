"""`./roundtrip calibrate` prints every gate, as tables and as JSON; it stores figures when told to, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roundtrip.commands.app import PLAN, app, console
from roundtrip.rollout import stored_figures

FEW = ["--runs", "100"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    # Not by COLUMNS: that is read when the console is made, and other tests may have imported it before.
    monkeypatch.setattr(console, "width", 200)
    return tmp_path / "home"


def test_tables_name_gates_metrics_and_how_the_stored_figures_stand_and_store_nothing(home: Path) -> None:
    before = _kept()
    done = CliRunner().invoke(app, ["calibrate", *FEW])
    assert done.exit_code == 0, done.output
    assert _kept() == before
    for text in (
        "Nothing wrong",
        "wave 2",
        "soak",
        "ops-ui-slow, alone",
        "20% bad",
        "PASS 100%",
        "local_production: what is stored for the dossier: calibrated",
    ):
        assert text in done.output
    assert list(home.iterdir()) == []


def test_what_is_printed_as_json_is_what_is_stored(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setattr(stored_figures, "FOLDER", kept)
    done = CliRunner().invoke(app, ["calibrate", *FEW, "--seed", "3", "--store", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["simulation"] == {"runs": 100, "error_rate": 0.001, "seed": 3}
    assert [gate["step"] for gate in printed["gates"]] == ["canary", "wave 1", "wave 2", "wave 3", "soak"]
    assert printed["not_simulated"] == []
    assert printed["stored"] == {"local_staging": "calibrated", "local_production": "calibrated"}
    files = [json.loads((kept / f"{PLAN}.{name}.json").read_text()) for name in printed["stored"]]
    assert [gate for file in files for gate in file["gates"]] == printed["gates"]
    for file in files:
        assert file["simulation"] == printed["simulation"]
        assert file["command"] == (
            f"./roundtrip calibrate {PLAN} --env local --runs 100 --error-rate 0.001 --seed 3 --store"
        )


def test_an_unknown_plan_is_refused(home: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "no_such_plan"])
    assert done.exit_code == 1
    assert "no plan 'no_such_plan', known: top_tier_trading_1_1_0" in str(done.exception)


def _kept() -> dict[Path, bytes]:
    """The project's own figures."""
    return {path: path.read_bytes() for path in stored_figures.FOLDER.iterdir()}
