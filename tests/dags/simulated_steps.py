"""What the steps that inspect, build, test and merge leave behind, for stories that are about what happens around them.

Each does what the real one would refuse to do without, in the real one's order: it acts, and then says so in the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from roundtrip.ledger.ledger import Event
from roundtrip.rollback.restoring import stages
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.verification.published import CHECKSUMS, bundle_name
from sections.checklist import ITEMS
from tests.dags.signed import SBOM

if TYPE_CHECKING:
    from tests.dags.story import Story

CANDIDATE = "c0ffee"
MERGED = "the merge is in it"
TAKEN_BACK = "the merge was taken back, and is refused from now on"
"""What the file that stands for the main branch may hold."""


def _need(story: Story, kind: str, key: str | None = None) -> Event:
    event = story.release.ledger.last(story.release.id, kind, key)
    if event is None:
        raise AirflowFailException(f"{kind} {key or ''} is missing")
    return event


def _once(story: Story, kind: str, key: str, **data: Any) -> None:
    story.release.ledger.append_once(story.release.id, kind, key, data)


def _item(name: str) -> Callable[[Story], None]:
    def do(story: Story) -> None:
        if name not in ("release_branch", "prepare"):
            _need(story, "simulated.step", "prepare")
        _once(story, "simulated.step", name)
        if name == "release_candidate":
            _once(story, "candidate.chosen", "candidate", commit=CANDIDATE, branch="release/v1.1.0")

    return do


def _report(story: Story) -> None:
    for name in ("release_branch", *ITEMS):
        _need(story, "simulated.step", name)
    _once(story, "checklist.passed", "checklist")


def _artefact(story: Story, name: str) -> None:
    """As the build leaves it in the release's folder."""
    place = story.release.folder / "artefacts" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.link(story.signed.built / name, place)


def _build(story: Story, service: str) -> None:
    _need(story, "checklist.passed")
    version = story.plan.to_version
    name = bundle_name(service, version)
    _artefact(story, name)
    digest = BundleStore(story.release.home.store).put(story.signed.built / name)
    about = {"service": service, "version": version, "digest": digest, "commit": CANDIDATE}
    _once(story, "build.bundle", f"{service}@{version}", **about)


def _reproduce(story: Story, service: str) -> None:
    digest = _need(story, "build.bundle", f"{service}@{story.plan.to_version}").data["digest"]
    _once(story, "build.reproduced", service, first=digest, second=digest, same=True)


def _sbom(story: Story) -> None:
    _artefact(story, SBOM)
    _once(story, "build.sbom", SBOM, file=SBOM, digest=file_digest(story.signed.built / SBOM))


def _checksums(story: Story) -> None:
    _artefact(story, CHECKSUMS)
    digest = file_digest(story.signed.built / CHECKSUMS)
    _once(story, "build.checksums", CHECKSUMS, file=CHECKSUMS, digest=digest)


def _tag(story: Story) -> None:
    commit = _need(story, "candidate.chosen").data["commit"]
    _once(story, "sign.tagged", "v1.1.0", tag="v1.1.0", commit=commit, object="7a9")


def _smoke(story: Story, stage: str, version: str, names: list[str]) -> None:
    running = story.at(stage).versions()
    environment = story.environments[stage].name
    if running != (version,):
        raise AirflowFailException(f"{environment} runs {running}, the test is of {version}")
    for name in names:
        about = {"environment": environment, "version": version, "test": name, "detail": "simulated"}
        _once(story, "smoke.result", f"{environment}/{version}/{name}", ok=True, **about)


def _merge(story: Story) -> None:
    about = {"head": CANDIDATE}
    story.release.ledger.append_once(
        story.release.id, "merge.begun", "merge", about, refuse_after=("rollback.begun",)
    )
    if story.main.exists() and story.main.read_text() == TAKEN_BACK:
        raise AirflowFailException("the merge was taken back")
    story.main.write_text(MERGED)
    story.release.ledger.append(story.release.id, "merge.done", {"commit": "beef"})


def _after_rollback(name: str) -> Callable[[Story], None]:
    def do(story: Story) -> None:
        for stage in stages(story.release):
            _smoke(story, stage, story.plan.from_version, [name])

    return do


def _restore_main(story: Story) -> None:
    if story.release.ledger.last(story.release.id, "merge.begun"):
        story.main.write_text(TAKEN_BACK)
        _once(story, "merge.reverted", "merge", commit="dead")


def _nothing(story: Story) -> None:
    """Writes documents only."""


SIMULATED: dict[str, Callable[..., None]] = {
    **{f"checklist.items:{name}": _item(name) for name in ("release_branch", "prepare", *ITEMS)},
    "checklist.items:report": _report,
    "build.artefacts:build_service": _build,
    "build.artefacts:reproduce_service": _reproduce,
    "build.artefacts:sbom": _sbom,
    "build.artefacts:checksums": _checksums,
    "smoke.runner:run_smoke": _smoke,
    "sign.signing:tag_release": _tag,
    "production.rollout:merge": _merge,
    "production.post_launch:post_launch": _nothing,
    "rollback.proving:restore_ui": _after_rollback("stale_cookies"),
    "rollback.proving:smoke_restored": _after_rollback("stable_smoke"),
    "rollback.proving:restore_main": _restore_main,
}
