"""What was checked, and what was not: said plainly, so that nobody has to infer it from what is absent.

Rules:
1. What the plan asks for and the ledger has no proof of was not checked, whatever the reason.
2. What an environment shortens is said beside what the plan says.
"""

from __future__ import annotations

from dataclasses import dataclass

from roundtrip.narrative.story import Story
from roundtrip.plan.model import Plan


@dataclass(frozen=True)
class Gap:
    """One thing that was not checked, or not as the plan says."""

    what: str
    why: str


def gaps(story: Story, plan: Plan) -> tuple[Gap, ...]:
    """Everything that a reader must not take for checked."""
    return (
        *_drill(story),
        *_soak(story),
        *_checklist(story),
        *_smoke(story, plan),
        *_gates(story, plan),
        *_built(story, plan),
        *_components(story),
        *_images(story),
        *_routes(story),
    )


def seconds_in_words(seconds: float) -> str:
    """`24 h`, `30 s`, `2.5 min`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and (seconds / size * 10).is_integer():
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _drill(story: Story) -> list[Gap]:
    fault = story.started.get("fault")
    found = []
    if story.is_drill:
        found.append(
            Gap("this was a drill", "staging only, in a repository of its own; production was not part of it")
        )
    if fault:
        found.append(
            Gap(f"the release branch carried the fault '{fault}' on purpose", "it was put there to be found")
        )
    return found


def _soak(story: Story) -> list[Gap]:
    actual, planned = story.started.get("soak_seconds"), story.started.get("plan_soak_seconds")
    if story.is_drill or actual is None or planned is None or actual >= planned:
        return []
    return [
        Gap(
            f"soak of {seconds_in_words(actual)} instead of the plan's {seconds_in_words(planned)}",
            "shortened by the environment",
        )
    ]


def _checklist(story: Story) -> list[Gap]:
    return [
        Gap(f"checklist item {item}", str(event.data.get("reason") or "no reason was given"))
        for item, event in story.checklist().items()
        if event.data.get("checked") is not True
    ]


def _smoke(story: Story, plan: Plan) -> list[Gap]:
    staging = story.started.get("environments", {}).get("staging", "staging")
    known = {event.key for event in story.all("smoke.result") if event.data.get("ok") is True}
    failed = {
        event.data.get("test") for event in story.all("smoke.result") if event.data.get("ok") is not True
    }
    missing = [n for n in plan.staging.smoke if f"{staging}/{plan.to_version}/{n}" not in known]
    return [
        Gap(f"smoke test {n} of {plan.to_version}", "it failed" if n in failed else "it did not run")
        for n in missing
    ]


def _gates(story: Story, plan: Plan) -> list[Gap]:
    """Gates that the plan asks for and that have no PASS, or have it in a person's name."""
    verdicts = {gate.id: gate.name for gate in story.gates()}
    overridden = [gate for gate in story.gates() if gate.title != gate.name]
    wanted = plan.gate_ids()[:1] if story.is_drill else plan.gate_ids()
    told = {"FAIL", "INCONCLUSIVE"}
    by_hand = [Gap(f"gate {gate.id} did not pass on its evidence", gate.reason) for gate in overridden]
    return by_hand + [
        Gap(f"gate {gate_id}", "it did not begin" if gate_id not in verdicts else "it was not decided")
        for gate_id in wanted
        if verdicts.get(gate_id) != "PASS" and verdicts.get(gate_id) not in told
    ]


def _built(story: Story, plan: Plan) -> list[Gap]:
    """Services that this release did not build twice itself."""
    again = {
        event.key: event.data for event in story.all("build.reproduced") if event.data.get("same") is True
    }
    missing = [service for service in plan.services if service not in again]
    earlier = [service for service in plan.services if again.get(service, {}).get("reused") is True]
    found = []
    if missing:
        why = "no second build with the same digest is recorded"
        found.append(Gap(f"reproducible build of {', '.join(missing)}", why))
    if earlier:
        why = "two builds of the same source were compared in an earlier release, and not again in this one"
        found.append(Gap(f"second build of {', '.join(earlier)}", why))
    return found


def _components(story: Story) -> list[Gap]:
    sbom = story.first("build.sbom")
    why = sbom.data.get("vulnerabilities") if sbom else None
    return [Gap("known vulnerabilities of the components", str(why))] if why else []


def _images(story: Story) -> list[Gap]:
    unsigned = story.first("sign.images_unsigned")
    why = "their digests are in images.json, which is"
    return (
        [Gap("images are not signed in the registry", f"{unsigned.data.get('reason')}; {why}")]
        if unsigned
        else []
    )


def _routes(story: Story) -> list[Gap]:
    """What a rollback has not brought back of the front door, or cannot tell."""
    why = "routes are the plan's; a rollback brings back no other"
    return [
        Gap(f"{event.key}: routes of the front door, {change}", why)
        for event in story.all("rollback.verified")
        for change in event.data.get("routes", {}).get("differences", [])
    ]
