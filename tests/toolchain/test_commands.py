"""One command of a toolchain: what it gets, what it may say, and how it is ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from roundtrip.errors import BuildError, HostError
from roundtrip.supervision.leftovers import end_leftovers, with_variable
from roundtrip.toolchain.commands import STARTED_FOR, environment, masked, run


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_failing_command_says_its_code_and_its_last_twenty_lines_only(tmp_path: Path) -> None:
    code = "import sys; [print('line', n) for n in range(30)]; sys.exit(7)"
    with pytest.raises(BuildError) as caught:
        run(python(code), tmp_path, environment([]), lambda _: None)
    assert "ended with 7" in caught.value.what
    assert "line 29" in caught.value.what
    assert "line 10" in caught.value.what
    assert "line 9\n" not in caught.value.what
    assert caught.value.where == str(tmp_path)


def test_lines_reach_the_log_in_order_and_standard_error_is_among_them(tmp_path: Path) -> None:
    seen: list[str] = []
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); print('three')"
    done = run(python(code), tmp_path, environment([]), seen.append)
    assert seen[1:] == ["one", "two", "three"]
    assert done.output == "one\ntwo\nthree"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "child"
    code = (
        "import subprocess, sys, time, pathlib;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    with pytest.raises(BuildError, match=r"did not end within 6 s"):
        run(python(code), tmp_path, environment([]), lambda _: None, timeout_seconds=6)
    assert not _runs(int(pid_file.read_text()))


def _runs(pid: int) -> bool:
    """A zombie that nobody has waited for yet does not run any more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def test_a_command_and_what_it_starts_outlive_nobody_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, a task leaves what its tests have started; the next `down` finds that by this variable."""
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path))
    children: list[str] = []
    code = (
        "import subprocess, sys; command = [sys.executable, '-c', 'import time; time.sleep(600)'];"
        "print(subprocess.Popen(command, start_new_session=True, stdout=-3, stderr=-3).pid)"
    )
    run(python(code), tmp_path, environment([]), children.append)
    left = int(children[-1])
    assert _runs(left)
    assert end_leftovers([with_variable(STARTED_FOR, str(tmp_path))], where="here") == 1
    assert not _runs(left)


def test_a_secret_in_our_environment_does_not_reach_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SECRETS", "planted-secret")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "17")
    done = run(python("import os; print(dict(os.environ))"), tmp_path, environment([]), lambda _: None)
    assert "planted-secret" not in done.output
    assert "'PIP_DEFAULT_TIMEOUT': '17'" in done.output


def test_credentials_in_addresses_are_masked() -> None:
    assert masked("GET https://me:hunter2@example.com/simple/") == "GET https://***@example.com/simple/"
    assert masked("redis://:6379/0 at 10:30@home") == "redis://:6379/0 at 10:30@home"


def test_a_missing_program_is_an_error_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="program 'no-such-program' was not found"):
        run(["no-such-program"], tmp_path, {"PATH": os.environ["PATH"]}, lambda _: None)


def test_a_command_and_what_it_starts_give_way_to_what_serves(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, time; end = time.monotonic() + 10\n"
        "while os.nice(0) < 10 and time.monotonic() < end: time.sleep(0.01)\n"
        "subprocess.run(['nice'])"
    )
    assert int(run(python(code), tmp_path, environment([]), lambda _: None).output) >= 10
