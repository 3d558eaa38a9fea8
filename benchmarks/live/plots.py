"""The evidence of one gate over time, as the dossier draws it, in a file of its own.

    PYTHONPATH=include .venv/bin/python -m benchmarks.live.plots live_errors.1 production.wave_1 api-errors --to plot.svg

Any ledger will do: `--ledger` names another one than the live benchmark's. The gate is judged again from its recorded
samples, as for the dossier; a replay that ends otherwise than the ledger says is not drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.live.stage import HOME
from roundtrip.dossier.gates import GateView, gate_views
from roundtrip.dossier.plot_file import standalone
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
    return standalone(plots[metric])


if __name__ == "__main__":
    main()
