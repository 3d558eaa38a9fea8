"""One machine with the real platform on it, used as a release manager does: by the command line.

What a test wants to know it reads where a person would: the last line, the exit code, the ledger, the environments.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from roundtrip.commands.prepare import INCLUDE, STAGES, Machine, state_folder
from roundtrip.ledger.ledger import Event
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.loading import load_environment, load_plan

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("ROUNDTRIP_END_TO_END", ROOT / ".roundtrip" / "end_to_end"))
"""kept between runs for its caches, so that a second run is a warm one"""
KIND = os.environ.get("ROUNDTRIP_END_TO_END_KIND", "local")
"""of the environments: the same tests are of `compose` too"""
PLAN = "top_tier_trading_1_1_0"
POLL_SECONDS = 0.1
COMMAND_LIMIT_SECONDS = 30 * 60
LAST_LINE = re.compile(
    r"(?P<outcome>[A-Z ]+) plan=(?P<plan>\S+) version=(?P<version>\S+) dossier=(?P<dossier>.+)"
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str

    @property
    def last_line(self) -> dict[str, str]:
        """The parts of the last line of standard output."""
        line = self.output.rstrip().splitlines()[-1]
        parts = LAST_LINE.fullmatch(line)
        assert parts, line
        return parts.groupdict()


@dataclass(frozen=True)
class Product:
    """What is tested: how its command is called, and the environments that it releases to."""

    command: Sequence[str] = (str(ROOT / "roundtrip"),)
    variables: Mapping[str, str] = field(default_factory=dict)
    environments: Path = ROOT / "include" / "environments"
    kind: str = "local"


class Running:
    """A command on its way; what it prints goes to a file, which is shown when a test fails."""

    def __init__(self, product: Product, arguments: Sequence[str], home: Path, log: Path) -> None:
        self._log = log
        variables = {"ROUNDTRIP_HOME": str(home), "COLUMNS": "120", **product.variables}
        with log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [*product.command, *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> Ended:
        code = self._process.wait(timeout=COMMAND_LIMIT_SECONDS)
        ended = Ended(code, self._log.read_text(encoding="utf-8"))
        print(ended.output)
        return ended


class EndToEnd:
    """The machine below `home`."""

    def __init__(self, home: Path, product: Product) -> None:
        self._home = home
        self._product = product
        home.mkdir(parents=True, exist_ok=True)
        os.environ["ROUNDTRIP_HOME"] = str(home)
        environments = {
            stage: load_environment(product.environments / f"{product.kind}_{stage}.yaml") for stage in STAGES
        }
        plan = load_plan(INCLUDE / "plans" / f"{PLAN}.yaml")
        self.machine = Machine(state_folder(), plan, environments, lambda _: None)

    @property
    def home(self) -> Path:
        return self._home

    def start(self, *arguments: str) -> Running:
        number = len(list(self._home.glob("*.log")))
        log = self._home / f"{number:02d}-{arguments[0]}.log"
        of_kind = ["--env", self._product.kind] if arguments[0] == "release" else []
        return Running(self._product, [*arguments, *of_kind], self._home, log)

    def run(self, *arguments: str) -> Ended:
        return self.start(*arguments).wait()

    def name(self, stage: str) -> str:
        """Of the environment."""
        return self.machine.environment(stage).name

    def at(self, stage: str) -> Deployment:
        return self.machine.target(stage).observe()

    def release(self) -> str:
        """The newest release's id."""
        started = self.machine.ledger.last(None, "release.started")
        assert started is not None
        return started.release

    def events(self, kind: str) -> list[Event]:
        """Of the newest release."""
        return self.machine.ledger.events(self.release(), kind=kind)

    def newest(self) -> int:
        """The number of the ledger's newest event."""
        events = self.machine.ledger.events()
        return events[-1].seq if events else 0

    def wait_for(
        self, running: Running, what: str, happened: Callable[[Event], bool], *, after: int = 0
    ) -> Event | None:
        """The first event newer than `after` for which `happened`; None when the command ended before it."""
        seen = after
        while True:
            ended = running.has_ended
            for event in self.machine.ledger.events(after=seen):
                seen = event.seq
                if happened(event):
                    return event
            if ended:
                print(f"never seen: {what}")
                return None
            time.sleep(POLL_SECONDS)

    def redis(self, stage: str) -> redis.Redis:
        return redis.Redis.from_url(self.machine.target(stage).redis_url(), socket_timeout=30)
