"""Section 3.3 of the plan: tag, sign, publish."""

from __future__ import annotations

from airflow.sdk import TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.steps_of import StepsOf


def sign(plan: Plan) -> TaskGroup:
    """Tag the commit, sign the artefacts and what is known of them, publish all with SBOM and checksums."""
    with TaskGroup("sign", tooltip="3.3 Sign and tag release") as group:
        step = StepsOf(plan)
        chain(
            step(
                "tag_release",
                "sign.signing:tag_release",
                f"3.3 Once staging tests pass, tag the commit as v{plan.to_version}.",
            ),
            step("sign_artefacts", "sign.signing:sign_artefacts", "3.3 Sign the artefacts."),
            step(
                "attest",
                "sign.attesting:attest",
                "3.3 Once staging tests pass: provenance and staging's summary, signed.",
            ),
            step(
                "publish",
                "sign.publishing:publish",
                "3.3 Attach the signed zip, SBOM and checksums to the release.",
            ),
        )
    return group
