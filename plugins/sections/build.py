"""Section 2.9 of the plan: built once; staging and production get the same digests."""

from __future__ import annotations

from airflow.sdk import TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.steps_of import StepsOf


def build(plan: Plan) -> TaskGroup:
    """Each service: build, then build again elsewhere and compare. Then SBOM and checksums of all."""
    with TaskGroup("build", tooltip="2.9 Generate artefacts") as group:
        step = StepsOf(plan)
        sbom = step("sbom", "build.artefacts:sbom", "2.9 Generate an SBOM.")
        checksums = step("checksums", "build.artefacts:checksums", "2.9 Record checksums.")
        for name in plan.services:
            arguments = {"service": name}
            built = step(
                f"build_{name.replace('-', '_')}",
                "build.artefacts:build_service",
                f"2.9 Compile and package {name} with run scripts and configuration.",
                arguments=arguments,
            )
            again = step(
                f"reproduce_{name.replace('-', '_')}",
                "build.artefacts:reproduce_service",
                f"2.9 Build {name} again in another folder: the digest has to be the same.",
                arguments=arguments,
            )
            chain(built, again, sbom)
        chain(sbom, checksums)
    return group
