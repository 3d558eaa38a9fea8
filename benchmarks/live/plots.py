"""The evidence of one gate over time, as the dossier draws it, in a file of its own.

    PYTHONPATH=include .venv/bin/python -m benchmarks.live.plots live_errors.1 production.wave_1 api-errors --to plot.svg

Any ledger will do: `--ledger` names another one than the live benchmark's. The gate is judged again from its recorded
samples, as for the dossier; a replay that ends otherwise than the ledger says is not drawn.
"""

from __future__ import annotations

import argparse
import re
from importlib.resources import files
from pathlib import Path

from benchmarks.live.stage import HOME
from roundtrip.dossier.gates import GateView, gate_views
from roundtrip.ledger.ledger import Ledger
from roundtrip.narrative.story import read_story


def main() -> None:
    """Write the plot, and print what the gate said."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release")
    parser.add_argument("gate")
    parser.add_argument("metric")
    parser.add_argument("--ledger", type=Path, default=HOME / "ledger.db")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    events = Ledger(f"sqlite:///{options.ledger}").events(options.release)
    found = [one for one in gate_views(read_story(options.release, events)) if one.id == options.gate]
    if not found:
        parser.error(f"{options.release} has no gate '{options.gate}' in the ledger")
    view = found[0]
    if not view.is_replay_equal:
        parser.error(view.replay)
    options.to.write_text(drawn(view, options.metric), encoding="utf-8")
    print(f"{view.verdict}: {view.reason}\n{view.about}")


def drawn(view: GateView, metric: str) -> str:
    """The metric's plot of evidence with the dossier's style inside. Raises ValueError when it has none."""
    plots = {one.name: one.evidence_plot for one in view.metrics if one.evidence_plot is not None}
    if metric not in plots:
        raise ValueError(f"{view.id}: no plot of '{metric}' (there are: {', '.join(plots) or 'none'})")
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{_style()}</style>", str(plots[metric]), count=1) + "\n"


def _style() -> str:
    """The dossier's rules for plots, colours filled in; its page is not there to say what they are."""
    page = (files("roundtrip.dossier") / "templates" / "dossier.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+);", page))
    rules = " ".join(line for line in page.splitlines() if line.startswith("svg "))
    # Where it is shown may be dark, and its ink is made for paper.
    rules = rules.replace(".background { fill: none; }", ".background { fill: #ffffff; }")
    return re.sub(r"var\(--(\w+)\)", lambda name: colours[name[1]], rules)


if __name__ == "__main__":
    main()
