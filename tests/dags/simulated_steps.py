"""What the steps that build, test and sign leave in the ledger, for stories that are about what happens around them.

Each does what the real one would refuse to do without: an item needs the checkout, a bundle the candidate, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from roundtrip.rollback.restoring import stages
from sections.checklist import ITEMS

if TYPE_CHECKING:
    from tests.dags.story import Story


@dataclass(frozen=True)
class Signed:
    """Two tiny releases that were really packed, signed and published, to be copied into a story's folder."""

    folder: Path
    bundles: Mapping[str, Mapping[str, str]]
    """digests by version and service"""
    key: Mapping[str, str]
    """what the signing connection holds"""


def _need(story: Story, kind: str, key: str | None = None) -> Any:
    event = story.release.ledger.last(story.release.id, kind, key)
    if event is None:
        raise AirflowFailException(f"{kind} {key or ''} is missing")
    return event


def _once(story: Story, kind: str, key: str, **data: Any) -> None:
    story.release.ledger.append_once(story.release.id, kind, key, data)


def _item(name: str) -> Any:
    def do(story: Story) -> None:
        if name not in ("release_branch", "prepare"):
            _need(story, "simulated.step", "prepare")
        _once(story, "simulated.step", name)
        if name == "release_candidate":
            _once(story, "candidate.chosen", "candidate", commit="c0ffee", branch="release/v1.1.0")

    return do


def _report(story: Story) -> None:
    for name in ("release_branch", *ITEMS):
        _need(story, "simulated.step", name)
    _once(story, "checklist.passed", "checklist")


def _build(story: Story, service: str) -> None:
    _need(story, "checklist.passed")
    digest = story.signed.bundles["1.1.0"][service]
    _once(
        story,
        "build.bundle",
        f"{service}@1.1.0",
        service=service,
        version="1.1.0",
        digest=digest,
        commit="c0ffee",
    )


def _reproduce(story: Story, service: str) -> None:
    digest = _need(story, "build.bundle", f"{service}@1.1.0").data["digest"]
    _once(story, "build.reproduced", service, first=digest, second=digest, same=True)


def _sbom(story: Story) -> None:
    _once(story, "build.sbom", "sbom", file="sbom.json")


def _checksums(story: Story) -> None:
    _once(story, "build.checksums", "checksums", file="SHA256SUMS")


def _tag(story: Story) -> None:
    _once(story, "sign.tagged", "tag", tag="v1.1.0")


def _sign(story: Story) -> None:
    _once(story, "sign.signed", "all")


def _publish(story: Story) -> None:
    for kind in ("sign.tagged", "sign.signed"):
        _need(story, kind)
    (story.release.home.root / "held" / "v1.1.0").rename(story.release.home.releases / "v1.1.0")


def _smoke(story: Story, stage: str, version: str, names: list[str]) -> None:
    running = story.at(stage).versions()
    environment = story.environments[stage].name
    if running != (version,):
        raise AirflowFailException(f"{environment} runs {running}, the test is of {version}")
    for name in names:
        _once(story, "smoke.result", f"{environment}/{version}/{name}", ok=True, detail="simulated")


def _merge(story: Story) -> None:
    _once(story, "merge.done", "merge", commit="beef")


def _after_rollback(name: str) -> Any:
    def do(story: Story) -> None:
        for stage in stages(story.release):
            _smoke(story, stage, "1.0.0", [name])

    return do


def _restore_main(story: Story) -> None:
    if story.release.ledger.last(story.release.id, "merge.done"):
        _once(story, "merge.reverted", "merge", commit="dead")


def _nothing(story: Story) -> None:
    """Writes documents only."""


SIMULATED = {
    **{f"checklist.items:{name}": _item(name) for name in ("release_branch", "prepare", *ITEMS)},
    "checklist.items:report": _report,
    "build.artefacts:build_service": _build,
    "build.artefacts:reproduce_service": _reproduce,
    "build.artefacts:sbom": _sbom,
    "build.artefacts:checksums": _checksums,
    "smoke.runner:run_smoke": _smoke,
    "sign.signing:tag_release": _tag,
    "sign.signing:sign_artefacts": _sign,
    "sign.publishing:publish": _publish,
    "production.rollout:merge": _merge,
    "production.post_launch:post_launch": _nothing,
    "rollback.proving:restore_ui": _after_rollback("stale_cookies"),
    "rollback.proving:smoke_restored": _after_rollback("stable_smoke"),
    "rollback.proving:restore_main": _restore_main,
    "rollback.communicating:communicate": _nothing,
}
