"""What tasks import is loaded before a component of Airflow begins, and a change of it is seen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from roundtrip.embedded.preloaded import code

ROOT = Path(__file__).parents[2]
CALL = re.compile(r'"([a-z_]+(?:\.[a-z_]+)*):[a-z_]+"')
"""`module:function` below `roundtrip`"""
ENVIRONMENT = {"PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}", "PATH": "/usr/bin:/bin"}


def _python(*arguments: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**ENVIRONMENT, "AIRFLOW_HOME": str(home), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_function_that_a_task_calls_is_loaded_and_airflow_is_not(tmp_path: Path) -> None:
    sections = [file.read_text(encoding="utf-8") for file in (ROOT / "plugins" / "sections").glob("*.py")]
    calls = {call for text in sections for call in CALL.findall(text)}
    assert {"production.rollout", "checklist.items", "rollback.restoring"} <= calls
    script = "from roundtrip.embedded.preloaded import load; load(); import sys; print(*sys.modules)"
    loaded = set(_python("-c", script, home=tmp_path).split())
    assert {f"roundtrip.{call}" for call in calls} <= loaded
    assert not loaded & {"airflow", "roundtrip.commands.app", "roundtrip.embedded.airflow"}


def test_it_becomes_the_component(tmp_path: Path) -> None:
    assert _python("-m", "roundtrip.embedded.preloaded", "version", home=tmp_path).strip().startswith("3.")


def test_code_differs_with_a_path_and_with_a_byte(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    first = code([tmp_path])
    (tmp_path / "notes.txt").write_text("no code", encoding="utf-8")
    assert code([tmp_path]) == first
    (tmp_path / "a.py").write_text("x = 2\n", encoding="utf-8")
    second = code([tmp_path])
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, code([tmp_path])}) == 3
