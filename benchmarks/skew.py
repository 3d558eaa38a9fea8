"""Mixed releases: for how long a client has the pages of one version and the api of the other.

    PYTHONPATH=include .venv/bin/python -m benchmarks.skew --releases 5

Releases on the real platform (`benchmarks.live`), half of them promoted through every wave and converged back, half of them
of the `latency` fault, which a gate finds and the rollback takes back. Beside the generated traffic, clients that keep their
cookies, half of them new ones every few seconds, ask for the page and for the api in turn without a pause; what version
answered is read in the page itself and in the api's header. From the answer by which both differ to the answer by which
they agree again (or the client's last) is a mixed time.

A page that stays open is not among it: what it asks for after the switch is the stable version's, until it is loaded again.
Results are appended to `.roundtrip/live/skew.jsonl`; a run that is cut off goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from benchmarks.live.releasing import carry_out
from benchmarks.live.stage import HARMLESS, HOME, place
from roundtrip.production.rollout import STAGE

KINDS = (HARMLESS, "latency")
CLIENTS = 6
STAYS, COMES_AND_GOES = 1_000_000, 50
"""how many pages a client asks for: half of them stay, half are new to the platform every few seconds"""
SHOWN = re.compile(r'class="version">([^<]+)<')


@dataclass(frozen=True)
class Mixed:
    """One time in which a client had two releases."""

    ui: str
    api: str
    seconds: float


@dataclass
class Seen:
    """What the clients of one release saw."""

    kind: str
    outcome: str = ""
    answers: int = 0
    switches: int = 0
    """how often a client's page changed its version"""
    unanswered: int = 0
    mixed: list[Mixed] = field(default_factory=list)


def main() -> None:
    """Release until there are enough of each kind, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=5, help="of each kind, how many there are in the end")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    options = parser.parse_args()
    results = HOME / "skew.jsonl"
    for kind in () if options.report else KINDS:
        missing = options.releases - sum(seen.kind == kind for seen in _read(results))
        if missing > 0:
            _release(kind, missing, results)
    print(_table(_read(results)))


def _release(kind: str, times: int, results: Path) -> None:
    with place(kind) as here:
        front_door = here.machine.target(STAGE).addresses().front_door
        for _ in range(times):
            seen = Seen(kind)
            with _watched(front_door, seen):
                ended = carry_out(here.release(here.released + 1), lambda _: None, slow_is_bad=True)
            seen.outcome = ended.outcome
            with results.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(seen)) + "\n")
            print(f"{kind}: {seen.outcome}, {len(seen.mixed)} mixed in {seen.answers} answers", flush=True)


@contextmanager
def _watched(front_door: str, seen: Seen) -> Iterator[None]:
    over, counting = threading.Event(), threading.Lock()
    lives = [STAYS, COMES_AND_GOES] * (CLIENTS // 2)
    clients = [threading.Thread(target=_ask, args=(front_door, seen, over, counting, n)) for n in lives]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        over.set()
        for client in clients:
            client.join()


def _ask(front_door: str, seen: Seen, over: threading.Event, counting: threading.Lock, life: int) -> None:
    """One client after the other, each of `life` turns, until `over`."""
    while not over.is_set():
        with httpx.Client(base_url=front_door, trust_env=False, timeout=20) as http:
            _be_one(http, seen, over, counting, life)


def _be_one(
    http: httpx.Client, seen: Seen, over: threading.Event, counting: threading.Lock, life: int
) -> None:
    ui = api = ""
    since = 0.0
    for turn in range(2 * life):
        if over.is_set():
            break
        answer = http.get("/api/risk" if turn % 2 else "/")
        now, before = time.monotonic(), (ui, api)
        if not answer.is_success:
            with counting:
                seen.unanswered += 1
            continue
        if turn % 2:
            api = answer.headers["x-version"]
        else:
            ui = _version_of(answer)
        with counting:
            seen.answers += 1
            seen.switches += before[0] not in ("", ui)
            if (ui, api) != before:
                _note(seen, before, now - since)
                since = now
    with counting:
        _note(seen, (ui, api), time.monotonic() - since)


def _note(seen: Seen, had: tuple[str, str], seconds: float) -> None:
    if all(had) and had[0] != had[1]:
        seen.mixed.append(Mixed(*had, seconds))


def _version_of(page: httpx.Response) -> str:
    shown = SHOWN.search(page.text)
    if shown is None:
        raise RuntimeError(f"no version in the page {page.url}")
    return shown[1]


def _read(results: Path) -> list[Seen]:
    if not results.exists():
        return []
    found = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return [Seen(**{**one, "mixed": [Mixed(**mixed) for mixed in one["mixed"]]}) for one in found]


def _table(releases: Sequence[Seen]) -> str:
    rows = []
    for kind in KINDS:
        of = [seen for seen in releases if seen.kind == kind]
        mixed = [one for seen in of for one in seen.mixed]
        new_ui = [one.seconds for one in mixed if one.ui > one.api]
        new_api = [one.seconds for one in mixed if one.ui < one.api]
        cells = (kind, len(of), sum(s.answers for s in of), sum(s.switches for s in of))
        cells += (len(new_ui), _longest(new_ui), len(new_api), _longest(new_api))
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(
        [
            "| kind | releases | answers | switches of a client | new UI, old api: times | longest, s "
            "| old UI, new api: times | longest, s |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _longest(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.3f}" if seconds else "–"


if __name__ == "__main__":
    main()
