"""Writes the dossier of a release: `dossier.html` in the release's folder.

Rules:
1. The same ledger gives the same bytes: no clock is read, nothing is random.
2. Every text from outside is escaped by the template engine; the page has no script and loads nothing.
3. Events of this release that were altered raise a LedgerError: no page is made of them. Damage elsewhere in
   the ledger does not keep the page from being written; the page says so.
4. The page is written beside and renamed.
5. What a gate decided on against the release is drawn into files of its own as well: the post-mortem shows them.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from roundtrip import durable
from roundtrip.dossier.plot_file import standalone
from roundtrip.dossier.view import Page, Seal, page
from roundtrip.errors import LedgerError
from roundtrip.ledger.ledger import Ledger
from roundtrip.narrative.postmortem import plot_name
from roundtrip.narrative.story import read_story
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release

TEMPLATES = Path(__file__).parent / "templates"


def write_dossier(release: Release) -> Path:
    """Write the dossier of `release` and return its path."""
    return write(release.id, release.ledger, release.home, release.plan)


def write(release_id: str, ledger: Ledger, home: Home, plan: Plan) -> Path:
    """Write the dossier and return its path. Raises LedgerError when the ledger has no event of the
    release."""
    story = read_story(release_id, ledger.events(release_id))
    shown = page(story, plan, _seal(ledger))
    html = render(shown)
    path = home.dossier(release_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_plots(shown, path.parent)
    durable.write(path, html)
    return path


def _write_plots(shown: Page, folder: Path) -> None:
    against = {(gate.id, metric) for gate in shown.story.gates() for metric in gate.found_against}
    for gate in shown.gates:
        for metric in gate.metrics:
            if metric.evidence_plot is not None and (gate.id, metric.name) in against:
                durable.write(folder / plot_name(gate.id, metric.name), standalone(metric.evidence_plot))


def render(shown: Page) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "dossier.css").read_text(encoding="utf-8")
    return environment.get_template("dossier.html").render(page=shown, story=shown.story, style=style)


def _seal(ledger: Ledger) -> Seal:
    try:
        return Seal(ledger.verify(), None)
    except LedgerError as error:
        return Seal(None, str(error))
