"""Runs the seeds that are asked for and prints what became of them."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from roundtrip.commands.prepare import ROOT
from tests.chaos.campaign import Drawn, Result, keep, kept, run
from tests.chaos.faults import CannotBeHadError
from tests.chaos.kinds import KINDS
from tests.chaos.stage import stage


def main() -> int:
    """Release once for each seed that has no result yet; 1 when an invariant did not hold in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seeds", default="0-199", help="one, from-to with both included, or several of these with commas"
    )
    parser.add_argument(
        "--kind", choices=KINDS, default="local", help="of the environments that are released to"
    )
    parser.add_argument("--home", type=Path, help="where the stage is kept; the kind's own when left out")
    parser.add_argument(
        "--results",
        type=Path,
        help="where they are kept and gone on with; results.jsonl in the home when left out",
    )
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("--draw", action="store_true", help="only print what the seeds stand for")
    options = parser.parse_args()
    kind = KINDS[options.kind]
    home = options.home or kind.home
    seeds = list(dict.fromkeys(seed for part in options.seeds.split(",") for seed in _range(part)))
    if options.draw:
        drawn_of = [Drawn.of(seed, kind.faults) for seed in seeds]
        print("\n".join(f"{drawn}\n  {drawn.to_json()}" for drawn in drawn_of))
        return 0
    results = options.results or home / "results.jsonl"
    done = {one.seed for one in kept(results)}
    left = [seed for seed in seeds if seed not in done]
    # Also where it was started in the background, or is ended by whoever started it: what runs is ended in order.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if left and not options.report:
        if reason := kind.why_none():
            parser.error(f"{options.kind}: {reason}")
        with stage(home, kind.ground) as here:
            for seed in left:
                drawn = Drawn.of(seed, kind.faults)
                print(drawn, flush=True)
                try:
                    result = run(here, drawn)
                except CannotBeHadError as error:
                    print(f"  left out: {error}", flush=True)
                    continue
                keep(results, replace(result, revision=_revision()))
                print(f"  {_line(result)}", flush=True)
    asked = [one for one in kept(results) if one.seed in seeds]
    print(report(asked))
    return int(any(one.violations for one in asked))


def _revision() -> str:
    """Of the product that is tested; `-dirty` when it is not as it was committed."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "include", "plugins"], check=False)
    return f"{head}-dirty" if changed.returncode else head


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


def report(done: list[Result]) -> str:
    """The table by fault, and every violation."""
    lines = [
        "| fault | runs | injected | outcomes | watchdog acted | failed requests | violations |",
        "|---" * 7 + "|",
    ]
    for fault in sorted({one.fault for one in done}):
        mine = [one for one in done if one.fault == fault]
        outcomes = Counter(
            f"BROKEN, then {one.outcome}" if one.was_broken else str(one.outcome) for one in mine
        )
        told = ", ".join(f"{count} × {outcome}" for outcome, count in outcomes.most_common())
        lines.append(
            f"| {fault} | {len(mine)} | {sum(one.was_injected for one in mine)} | {told} | "
            f"{sum(one.lapsed for one in mine)} | {sum(one.failed for one in mine)} | "
            f"{sum(bool(one.violations) for one in mine)} |"
        )
    broken = [one for one in done if one.violations]
    lines += [f"seed {one.seed} ({one.fault}, {one.moment}): {'; '.join(one.violations)}" for one in broken]
    lines.append(f"{len(done)} runs, {len(broken)} in which an invariant did not hold")
    return "\n".join(lines)


def _line(one: Result) -> str:
    held = "; ".join(one.violations) or "all invariants hold"
    injected = "" if one.was_injected else ", not injected"
    broken = "BROKEN, then " if one.was_broken else ""
    return f"{broken}{one.outcome}{injected}, {one.seconds:.0f} s, {one.failed} of {one.requests} requests failed: {held}"


if __name__ == "__main__":
    sys.exit(main())
