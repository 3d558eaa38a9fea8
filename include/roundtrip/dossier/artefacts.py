"""Artefacts on the page: bundles, SBOM, checksums, signatures, and what was verified before deployments."""

from __future__ import annotations

from roundtrip.dossier.rows import Row, text
from roundtrip.ledger.ledger import Event
from roundtrip.narrative.story import MISSING, Story


def bundles(story: Story) -> tuple[Row, ...]:
    """Every bundle and image with its digest, and whether a second build gave the same."""
    return (
        *_built(story, "build.bundle", "build.reproduced", ""),
        *_built(story, "build.image", "build.image_reproduced", ", image"),
    )


def _built(story: Story, kind: str, reproduced: str, form: str) -> list[Row]:
    again = {e.key: e for e in story.all(reproduced)}
    rows = []
    for event in story.all(kind):
        second = again.get(text(event.data, "service"))
        same = "not built again"
        if second is not None:
            same = "same digest" if second.data.get("same") is True else "differs"
            same += ", in an earlier release" if second.data.get("reused") is True else ""
        size = event.data.get("size_bytes")
        cells = (text(event.data, "service") + form, text(event.data, "version"), text(event.data, "digest"))
        shown = f"{size:,}".replace(",", "\u202f") if isinstance(size, int) else MISSING
        rows.append(Row((*cells, shown, same), "bad" if same.startswith("differs") else ""))
    return rows


def files(story: Story) -> tuple[Row, ...]:
    """SBOM with its licences, checksums, signatures, statements and the tag."""
    rows = [
        Row(
            (
                "SBOM",
                text(e.data, "file"),
                text(e.data, "digest"),
                f"{text(e.data, 'components')} components",
            )
        )
        for e in story.all("build.sbom")
    ]
    rows += [
        Row(("licences", text(e.data, "file"), "", ", ".join(f"{n} {name}" for name, n in stated.items())))
        for e in story.all("build.sbom")
        if isinstance(stated := e.data.get("licenses"), dict)
    ]
    rows += [
        Row((e.kind.removeprefix("build."), text(e.data, "file"), text(e.data, "digest"), ""))
        for e in (*story.all("build.zip"), *story.all("build.checksums"))
    ]
    rows += [
        Row(("signature", str(e.key), text(e.data, "digest"), f"key {text(e.data, 'key_fingerprint')}"))
        for e in story.all("sign.signed")
    ]
    rows += [
        Row(("statement", str(e.key), text(e.data, "digest"), text(e.data, "predicate_type")))
        for e in story.all("sign.attested")
    ]
    rows += [
        Row(
            (
                "signature in the registry",
                str(e.key),
                text(e.data, "image"),
                f"key {text(e.data, 'key_fingerprint')}",
            )
        )
        for e in story.all("sign.image")
    ]
    rows += [Row(("tag", text(e.data, "tag"), text(e.data, "commit"), "")) for e in story.all("sign.tagged")]
    rows += [
        Row(("published", str(e.key), "", f"{len(e.data.get('files', []))} files"))
        for e in story.all("sign.published")
    ]
    return tuple(rows)


def verifications(story: Story) -> tuple[Row, ...]:
    """What was verified or refused, and what it was verified for."""
    rows = []
    for event in story.events:
        where = text(event.data, "environment")
        about = (f"{event.at:%H:%M:%S}", where, text(event.data, "version"), _verified_for(story, event))
        if event.kind == "verify.passed":
            by = " and ".join([str(event.data.get("by", "digest")), *event.data.get("attestations", {})])
            rows.append(Row((*about, f"passed, {len(event.data.get('files', {}))} files by {by}"), "good"))
        elif event.kind == "verify.refused":
            rows.append(Row((*about, f"refused: {text(event.data, 'reason')}"), "bad"))
    return tuple(rows)


def _verified_for(story: Story, event: Event) -> str:
    """What is to be deployed in production has been published before; what was looked at there earlier was to be signed."""
    begun, published = story.first("rollback.begun"), story.first("sign.published")
    if begun is not None and event.seq > begun.seq:
        return "rollback"
    production = story.started.get("environments", {}).get("production")
    is_to_be_signed = published is None or event.seq < published.seq
    return "signing" if is_to_be_signed and event.data.get("environment") == production else "deployment"
