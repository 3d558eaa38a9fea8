"""Releases as the ledger would have them: real ledger, real judge, invented events at invented times.

`Told` writes one release step by step; `promoted`, `rolled_back`, `broken`, `stopped` tell whole ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from roundtrip.gates.actions import GateAction
from roundtrip.gates.evidence import Counts, Sample
from roundtrip.gates.sequential import Judge
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import Gate, Plan

RELEASE = "top_tier_trading_1_1_0-20261123T120000"
STAGING, PRODUCTION = "local_staging", "local_production"
WHY_OVERRIDDEN = "too few orders tonight <b>, checked by hand"
COMMIT = "9f2c4e1ab7d05c33e8f6410d2b7a9c5e1f3d8b60"
ITEMS = {
    "release_branch": "2.1 Branch from main into release/v1.1.0 and protect it from direct pushes.",
    "audit_dependencies": "2.2 Review package.json, poetry.lock and Dockerfiles for outdated packages.",
    "secrets": "2.3 Fill in all required variables. Avoid committing secrets to version control.",
    "manifests": "2.4 Apply the changes to docker-compose.yml and k8s/deployment.yaml.",
    "code_changes": "2.5 Implement code changes.",
    "linters": "2.6 Execute ESLint for the API and UI, Ruff and Mypy for Python services.",
    "tests": "2.7 Run Jest, react-testing-library and Pytest; coverage meets the threshold.",
    "containers": "2.8 Run docker compose build.",
    "release_candidate": "2.9 Build a release candidate.",
}


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def plan() -> Plan:
    """The smallest plan that has everything the pages speak of."""

    def service(stable: int, new: int, **more: Any) -> dict[str, Any]:
        bundle = {"include": {"src": "src"}, "run": ["{python}", "-m", "x"]}
        return {
            "path": "x",
            "toolchain": "python",
            "replicas": {"stable": stable, "new": new},
            "bundle": bundle,
            **more,
        }

    errors = {"name": "api-errors", "kind": "errors", "source": "front-door", "service": "api"}
    slow = {
        "name": "api-slow",
        "kind": "slow",
        "source": "front-door",
        "service": "api",
        "slower_than_seconds": 0.25,
    }
    gate = {"metrics": [errors, slow], "deadline_seconds": 300, "minimum_seconds": 10}
    return Plan.model_validate(
        {
            "name": "top_tier_trading_1_1_0",
            "platform": "Top_Tier_Trading",
            "from_version": "1.0.0",
            "to_version": "1.1.0",
            "document": "Upgrade and Rollback Plan for Package 1 (Version 1.1.0)",
            "repository": {"working_branch": "upgrade", "release_branch": "release/v1.1.0"},
            "services": {
                "api": service(1, 1, route="/api"),
                "workers": service(1, 3, queue=True),
                "ops-ui": service(1, 1, route="/"),
                "backtester": service(0, 1),
            },
            "variables": {},
            "flags": ["github-login", "backtest-dashboard"],
            "checklist": {"code_changes": [], "manifests": []},
            "gates": {"wave": gate},
            "staging": {
                "strategy": "canary",
                "gate": "wave",
                "smoke": ["login-via-github", "backtest", "metrics-move"],
            },
            "production": {
                "worker_step_percent": 34,
                "traffic_percent": [10, 50, 100],
                "gate": "wave",
                "soak_gate": "wave",
                "soak_seconds": 86_400,
                "flags_on": ["github-login", "backtest-dashboard"],
            },
            "rollback": {
                "state": [
                    {"pattern": "risk:*", "type": "hash", "known_to_stable": False},
                    {"pattern": "fills", "type": "stream", "known_to_stable": True},
                ]
            },
        }
    )


class Told:
    """A release that is being told."""

    def __init__(self, folder: Path, release: str = RELEASE, *, name: str = "ledger.db") -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.ledger = Ledger(f"sqlite:///{folder / name}", clock=lambda: self.now)
        self.release = release
        self.plan = plan()

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def say(
        self, kind: str, data: Mapping[str, Any], key: str | None = None, *, actor: str = "roundtrip"
    ) -> int:
        self.later(0.4)
        if key is None:
            return self.ledger.append(self.release, kind, data, actor=actor).seq
        return self.ledger.append_once(self.release, kind, key, data, actor=actor).seq

    def opened(self, *, fault: str | None = None) -> None:
        data = {
            "plan": self.plan.name,
            "plan_digest": digest("plan"),
            "platform": self.plan.platform,
            "document": self.plan.document,
            "from_version": "1.0.0",
            "to_version": "1.1.0",
            "environments": {"staging": STAGING, "production": PRODUCTION},
            "environment_digests": {"staging": digest(STAGING), "production": digest(PRODUCTION)},
            "soak_seconds": 30.0,
            "plan_soak_seconds": 86_400.0,
            "fault": fault,
            "drill": False,
        }
        self.say("release.started", data, "started", actor="mira.okafor")

    def checked(self, *, stop: bool = False) -> None:
        for item, sentence in ITEMS.items():
            self.later(2)
            is_checked = item != "containers"
            findings = []
            if item == "audit_dependencies":
                remedy = "update it in the next release"
                findings = [
                    {
                        "what": "express 4.21.2, newest 5.1.0",
                        "where": "api/package.json",
                        "remedy": remedy,
                        "severity": "note",
                    }
                ]
            if item == "tests" and stop:
                remedy = "see the report"
                findings = [
                    {
                        "what": "2 of 41 tests failed",
                        "where": "workers/tests",
                        "remedy": remedy,
                        "severity": "stop",
                    }
                ]
            reason = None if is_checked else "the environment has no container engine"
            data = {
                "sentence": sentence,
                "checked": is_checked,
                "reason": reason,
                "findings": findings,
                "facts": {},
            }
            self.say("checklist.item", data, item)
        self.say("candidate.chosen", {"commit": COMMIT, "branch": "release/v1.1.0"})

    def built(self) -> None:
        for service in self.plan.services:
            self.later(6)
            bundle = {"service": service, "version": "1.1.0", "commit": COMMIT, "digest": digest(service)}
            self.say(
                "build.bundle",
                {**bundle, "size_bytes": 1_234_567, "file": f"{service}-1.1.0.tar"},
                f"{service}@1.1.0",
            )
            same = {"first": digest(service), "second": digest(service), "same": True}
            self.say("build.reproduced", same, service)
        sbom = {"file": "sbom.cdx.json", "digest": digest("sbom"), "components": 812}
        found = {"licenses": {"MIT": 640, "none stated": 172}, "vulnerabilities": "no database is at hand"}
        self.say("build.sbom", {**sbom, **found})
        self.say("build.checksums", {"file": "SHA256SUMS", "digest": digest("sums")})

    def converged(self, environment: str, holder: str, versions: Mapping[str, int]) -> None:
        token = self.say("token.taken", {"environment": environment, "holder": holder})
        placements = [
            {
                "service": "api",
                "version": v,
                "replicas": 1,
                "bundle": digest("api"),
                "configuration": "",
                "weight_percent": w,
            }
            for v, w in versions.items()
        ]
        deployment = {"placements": placements, "flags": {"github-login": holder.endswith("flags_on")}}
        about = {"environment": environment, "token": token, "holder": holder}
        self.say("converge.started", {**about, "desired": deployment})
        self.later(3)
        self.say("converge.finished", {**about, "observed": deployment})

    def placed(self, environment: str, holder: str, percent: int) -> None:
        self.say("deployed", {"version": "1.1.0"}, environment)
        self.converged(
            environment,
            holder,
            {"1.0.0": 100 - percent, "1.1.0": percent} if percent < 100 else {"1.1.0": 100},
        )

    def gate(
        self,
        gate_id: str,
        environment: str,
        *,
        canary_error_rate: float,
        seconds: int = 90,
        overridden_by: str | None = None,
        **known: Any,
    ) -> str:
        """A gate judged by the real judge, from drawn counts, where wanted overridden; returns the verdict.

        `known`: more of its start.
        """
        settings = self.plan.gates["wave"]
        started = {"environment": environment, "canary": "1.1.0", "stable": "1.0.0", **known}
        self.say(
            "gate.started", {**started, "gate": settings.model_dump(mode="json"), "baselines": {}}, gate_id
        )
        began = self.now
        heard = (self._override(gate_id, overridden_by),) if overridden_by else ()
        decision, samples = _judged(settings, gate_id, began, canary_error_rate, seconds, heard=heard)
        for sample in samples:
            self.now = sample.at
            data = {**sample.to_json(), "counters": {}}
            self.ledger.append_once(self.release, "gate.sample", f"{gate_id}#{sample.number}", data)
        verdict = decision.verdict.name if decision.verdict else "INCONCLUSIVE"
        if verdict == "FAIL":
            self.say(
                "gate.pulled", {"environment": environment, "token": 1, "reason": decision.reason}, gate_id
            )
        data = {
            "verdict": verdict,
            "reason": decision.reason,
            "overridden": decision.overridden.to_json() if decision.overridden else None,
            "metrics": {name: one.to_json() for name, one in decision.metrics.items()},
            "seconds": (samples[-1].at - began).total_seconds(),
            "samples": len(samples),
            "environment": environment,
        }
        self.say("gate.verdict", data, gate_id)
        return verdict

    def _override(self, gate_id: str, by: str) -> GateAction:
        moments = {"at": self.now.isoformat(), "until": (self.now + timedelta(minutes=10)).isoformat()}
        about = {"gate_id": gate_id, "action": "override", "minutes": 10, "by": by, "reason": WHY_OVERRIDDEN}
        self.say("gate.action", {**about, **moments}, "manual__1", actor=by)
        event = self.ledger.last(self.release, "gate.action", "manual__1")
        assert event is not None
        return GateAction.of(event)

    def smoked(self, environment: str, version: str, *tests: str) -> None:
        for test in tests:
            self.later(2)
            data = {
                "environment": environment,
                "version": version,
                "test": test,
                "ok": True,
                "detail": "",
                "seconds": 1.824,
            }
            self.say("smoke.result", data, f"{environment}/{version}/{test}")

    def staged(self) -> None:
        self.say("snapshot.taken", {"deployment": {"placements": [], "flags": {}}, "redis": {}}, STAGING)
        self.placed(STAGING, "staging.place_canary", 50)
        self.gate("staging.canary", STAGING, canary_error_rate=0.003)
        self.converged(STAGING, "staging.take_all_traffic", {"1.1.0": 100})
        self.smoked(STAGING, "1.1.0", *self.plan.staging.smoke)

    def signed(self) -> None:
        self.say("sign.tagged", {"tag": "v1.1.0", "commit": COMMIT})
        for service in self.plan.services:
            about = {"digest": digest(service), "signature": "MEUCIQ", "key_fingerprint": "SHA256:1w3Jx0cV"}
            self.say("sign.signed", about, f"{service}-1.1.0.tar")
        for name in ("provenance", "staging"):
            about = {"digest": digest(name), "predicate_type": "https://slsa.dev/a-statement/v1"}
            self.say("sign.attested", about, f"{name}.intoto.json")
        self.say("sign.published", {"folder": "v1.1.0", "files": ["SHA256SUMS", "sbom.cdx.json"]}, "v1.1.0")
        files = {f"{service}-1.1.0.tar": digest(service) for service in self.plan.services}
        verified = {"environment": PRODUCTION, "version": "1.1.0", "by": "signature", "files": files}
        attested = {name: digest(name) for name in ("provenance", "staging")}
        self.say("verify.passed", {**verified, "attestations": attested})
        self.say("merge.done", {"commit": COMMIT})

    def traffic(self, environment: str, phase: str, sent: int, failed: Mapping[str, int]) -> None:
        counts = {"sent": sent, "answered": sent - sum(failed.values()), "failed": sum(failed.values())}
        by_version = {"failed_by_version": dict(failed), "slow_by_version": dict.fromkeys(failed, 7)}
        data = {**counts, "by_status": {}, **by_version, "incomplete": None}
        self.say("traffic.summary", data, f"{environment}/{phase}")

    def ended(self, outcome: str, reason: str) -> None:
        self.later(1)
        self.say("release.outcome", {"outcome": outcome, "reason": reason})


def promoted(folder: Path, *, overridden_by: str | None = None) -> Told:
    """Promoted on its evidence, or with the second wave's gate overridden after a third person was refused."""
    told = _until_production(folder)
    for number, percent in ((1, 10), (2, 50), (3, 100)):
        told.placed(PRODUCTION, f"production.wave_{number}", percent)
        by = overridden_by if number == 2 else None
        told.gate(f"production.wave_{number}", PRODUCTION, canary_error_rate=0.003, overridden_by=by)
    if overridden_by:
        asked = {
            "gate_id": "production.soak",
            "action": "override",
            "minutes": 10,
            "reason": "I am in a hurry",
        }
        why = "eve may not override a gate in local_production; allowed: nobody"
        told.say("action.refused", {**asked, "by": "eve", "why": why}, "manual__2", actor="eve")
    decision = {"by": "jonas.lind", "decision": "approved", "reason": "numbers are fine"}
    told.say("approval", decision, "wave_3", actor="jonas.lind")
    told.converged(PRODUCTION, "production.flags_on", {"1.1.0": 100})
    told.gate("production.soak", PRODUCTION, canary_error_rate=0.003)
    told.converged(PRODUCTION, "production.promote", {"1.1.0": 100})
    placements = [
        {"service": "api", "version": "1.1.0", "replicas": 1, "bundle": digest("api"), "weight_percent": 100}
    ]
    told.say(
        "promoted",
        {"environment": PRODUCTION, "deployment": {"placements": placements, "flags": {}}},
        PRODUCTION,
    )
    told.say("notification.sent", {"channel": "file", "subject": "Top_Tier_Trading 1.1.0 is in production"})
    for phase in ("before", "production.wave_1", "production.wave_2", "production.wave_3", "production.soak"):
        told.traffic(PRODUCTION, phase, 4512, {})
    told.ended("PROMOTED", f"{PRODUCTION} runs 1.1.0")
    return told


def rolled_back(folder: Path, *, finished: bool = True) -> Told:
    told = _until_production(folder, fault="errors")
    told.placed(PRODUCTION, "production.wave_1", 10)
    told.gate("production.wave_1", PRODUCTION, canary_error_rate=0.003)
    told.placed(PRODUCTION, "production.wave_2", 50)
    told.gate("production.wave_2", PRODUCTION, canary_error_rate=0.12)
    told.say(
        "rollback.begun",
        {
            "why": "a task or gate of release_top_tier_trading_1_1_0 failed",
            "stages": ["production", "staging"],
        },
        "rollback",
    )
    for environment in (PRODUCTION, STAGING) if finished else (PRODUCTION,):
        for step in ("pull_traffic", "stop_new_services", "deploy_last_known_good", "revert_state"):
            told.later(1.5)
            told.say(
                "rollback.step",
                {"environment": environment, "step": step, "detail": "api 1.0.0 × 1 at 100 %; flags off"},
            )
    if not finished:
        told.say(
            "task.failed",
            {
                "task": "rollback.revert_state",
                "error": "RollbackError: 1 keys do not fit the plan's state rules",
            },
        )
        told.traffic(PRODUCTION, "production.wave_2", 1204, {"1.1.0": 31})
        told.ended("BROKEN", f"the rollback could not finish in {PRODUCTION}, {STAGING}")
        return told
    told.smoked(PRODUCTION, "1.0.0", "stale_cookies", "stable_smoke")
    for environment in (PRODUCTION, STAGING):
        redis = {"kept": 14, "grown": ["fills", "orders"], "differences": 0}
        placements = [{"service": "api", "version": "1.0.0", "replicas": 1, "weight_percent": 100}]
        restored = {
            "deployment": {"placements": placements, "flags": {}},
            "redis": redis,
            "smoke": ["stable_smoke"],
        }
        told.say("rollback.verified", restored, environment)
    told.say("merge.reverted", {"commit": COMMIT})
    told.traffic(PRODUCTION, "before", 4512, {})
    told.traffic(PRODUCTION, "production.wave_2", 1204, {"1.1.0": 31})
    told.traffic(PRODUCTION, "rollback", 890, {})
    told.say("notification.failed", {"channel": "file", "error": "no space left"})
    told.ended("ROLLED BACK", "gate production.wave_2: FAIL")
    return told


def broken(folder: Path) -> Told:
    return rolled_back(folder, finished=False)


def stopped(folder: Path) -> Told:
    told = Told(folder)
    told.opened()
    told.checked(stop=True)
    told.say(
        "task.failed", {"task": "checklist.report", "error": "FindingsError: 1 finding stops the release"}
    )
    told.ended("STOPPED", "nothing was deployed; FindingsError: 1 finding stops the release")
    return told


def _until_production(folder: Path, *, fault: str | None = None) -> Told:
    told = Told(folder)
    told.opened(fault=fault)
    told.checked()
    told.built()
    told.staged()
    told.signed()
    told.say("snapshot.taken", {"deployment": {"placements": [], "flags": {}}, "redis": {}}, PRODUCTION)
    return told


def _judged(
    settings: Gate,
    gate_id: str,
    began: datetime,
    canary_error_rate: float,
    seconds: int,
    *,
    heard: tuple[GateAction, ...],
) -> Any:
    """The judge's decision and the samples it saw: 25 requests a second on each arm, stable errors 0.3 %.

    The third sample hears what people asked.
    """
    random, judge = Random(gate_id), Judge(settings)  # noqa: S311 - invented traffic
    state, samples = judge.start(), []
    totals = {(arm, name): Counts() for arm in ("canary", "stable") for name in ("api-errors", "api-slow")}
    for number in range(seconds * 3):
        if number:
            for column, counts in totals.items():
                rate = canary_error_rate if column == ("canary", "api-errors") else 0.003
                totals[column] = counts + Counts(25, sum(random.random() < rate for _ in range(25)))
        arms = {arm: {n: c for (a, n), c in totals.items() if a == arm} for arm in ("canary", "stable")}
        at = began + timedelta(seconds=number)
        actions = heard if number == 2 else ()
        samples.append(Sample(number, at, began, arms["canary"], arms["stable"], actions=actions))
        state, decision = judge.fold(state, samples[-1], at)
        if decision.verdict is not None:
            break
    return decision, samples
