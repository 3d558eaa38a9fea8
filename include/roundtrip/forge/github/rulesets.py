"""Keeps people from pushing past a release, by rulesets of GitHub: main, release branches, version tags.

Rules:
1. A branch changes by pull request only, is not deleted and not rewritten; a version tag is made once, and neither moved nor
   removed. Only the environment's `actor` may pass.
2. A ruleset is ours by its name. What differs is put right; what somebody made stricter stays: further rules, further refs.
3. What was written is read back and compared; a difference is an error. It is believed of GitHub, not tried with a push:
   that would leave traces there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roundtrip.errors import ForgeError
from roundtrip.forge.github.answers import RulesetThere
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.tags import ASIDE
from roundtrip.plan.environment import GitHubActor
from roundtrip.plan.model import Repository

log = logging.getLogger(__name__)

_BY_PULL_REQUEST: Mapping[str, Any] = {
    "allowed_merge_methods": ["merge"],
    "dismiss_stale_reviews_on_push": True,
    "require_code_owner_review": False,
    "require_last_push_approval": False,
    "required_approving_review_count": 0,
    "required_review_thread_resolution": False,
}
"""Who approves is the team's to say: a stricter number stays."""


@dataclass(frozen=True)
class Ruleset:
    """One ruleset as it has to be, or stricter."""

    name: str
    target: str
    refs: tuple[str, ...]
    rules: tuple[Mapping[str, Any], ...]
    actor: GitHubActor | None

    @property
    def actors(self) -> list[dict[str, Any]]:
        """Who may pass, in GitHub's words."""
        if self.actor is None:
            return []
        return [{"actor_id": self.actor.id, "actor_type": self.actor.kind, "bypass_mode": "always"}]


def rulesets(names: Repository, actor: GitHubActor | None) -> tuple[Ruleset, ...]:
    """The rulesets of a plan's branches and tags."""
    heads = tuple(f"refs/heads/{name}" for name in (names.main_branch, names.release_branch))
    tags = (f"refs/tags/{names.tag_prefix}*", f"refs/tags/{ASIDE}/**/*")
    by_pull_request = {"type": "pull_request", "parameters": dict(_BY_PULL_REQUEST)}
    kept: tuple[Mapping[str, Any], ...] = ({"type": "deletion"}, {"type": "non_fast_forward"})
    # Who may make a version tag can be limited to somebody only where it is said who that is.
    first = ({"type": "creation"},) if actor is not None else ()
    return (
        Ruleset("Roundtrip: main and release branches", "branch", heads, (*kept, by_pull_request), actor),
        Ruleset("Roundtrip: version tags", "tag", tags, (*kept, {"type": "update"}, *first), actor),
    )


def protect(client: GitHubClient, wanted: Sequence[Ruleset]) -> dict[str, int]:
    """Bring GitHub to `wanted`; the ids by name. Raises ForgeError, also when it says something else afterwards."""
    return {ruleset.name: _bring(client, ruleset) for ruleset in wanted}


def differences(there: RulesetThere, wanted: Ruleset) -> list[str]:
    """In what `there` is weaker than `wanted`, or lets others pass."""
    found = []
    if (there.enforcement, there.target) != ("active", wanted.target):
        found.append(f"expected an active one of {wanted.target}, got {there.enforcement} of {there.target}")
    found += [f"{ref} is not in it" for ref in wanted.refs if ref not in there.includes]
    found += [f"{ref} is left out" for ref in there.excludes]
    found += [
        f"rule {rule['type']} is missing or weaker"
        for rule in wanted.rules
        if not _holds(there.by_type.get(rule["type"]), rule)
    ]
    if there.bypass_actors is None or _actors(there.bypass_actors) != _actors(wanted.actors):
        passes = "unknown" if there.bypass_actors is None else there.bypass_actors or "nobody"
        found.append(f"expected to be passed by {wanted.actors or 'nobody'}, got {passes}")
    return found


def _bring(client: GitHubClient, wanted: Ruleset) -> int:
    repos = client.rest.repos
    number = client.made(lambda: _there(client, wanted.name), lambda: _make(client, wanted)).id
    there = client.ask(RulesetThere, repos.get_repo_ruleset, number)
    if not differences(there, wanted):
        return number
    log.info("%s is put right: %s", wanted.name, "; ".join(differences(there, wanted)))
    client.ask(RulesetThere, repos.update_repo_ruleset, number, data=_body(wanted, there))
    left = differences(client.ask(RulesetThere, repos.get_repo_ruleset, number), wanted)
    if left:
        raise ForgeError(
            f"ruleset '{wanted.name}' was written, and reads: {'; '.join(left)}",
            where=f"GitHub repository {client.owner}/{client.name}",
            remedy="see its Settings > Rules; a ruleset of the organisation may forbid it",
        )
    return number


def _there(client: GitHubClient, name: str) -> RulesetThere | None:
    listed = client.all(RulesetThere, client.rest.repos.get_repo_rulesets, includes_parents=False)
    return next((one for one in listed if one.name == name), None)


def _make(client: GitHubClient, wanted: Ruleset) -> RulesetThere:
    return client.ask(RulesetThere, client.rest.repos.create_repo_ruleset, data=_body(wanted, None))


def _body(wanted: Ruleset, there: RulesetThere | None) -> dict[str, Any]:
    """`wanted`, with what `there` has beyond it."""
    rules = there.by_type if there else {}
    ours = [_stricter(rules.get(rule["type"]), rule) for rule in wanted.rules]
    kept = [rule for kind, rule in rules.items() if kind not in {rule["type"] for rule in wanted.rules}]
    refs = {*wanted.refs, *(there.includes if there else [])}
    return {
        "name": wanted.name,
        "target": wanted.target,
        "enforcement": "active",
        "conditions": {"ref_name": {"include": sorted(refs), "exclude": []}},
        "rules": [*ours, *kept],
        "bypass_actors": wanted.actors,
    }


def _stricter(there: Mapping[str, Any] | None, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """`there` where it asks for all that `rule` asks for, else `rule`."""
    return there if there is not None and _holds(there, rule) else rule


def _holds(there: Mapping[str, Any] | None, rule: Mapping[str, Any]) -> bool:
    """Whether `there` asks for all that `rule` asks for."""
    if there is None:
        return False
    parameters = there.get("parameters") or {}
    return all(
        _as_strict(parameters.get(name), value) for name, value in (rule.get("parameters") or {}).items()
    )


def _as_strict(there: Any, value: Any) -> bool:
    if isinstance(value, list):
        return bool(there) and set(there) <= set(value)
    return there is not None and there >= value


def _actors(said: Sequence[Mapping[str, Any]]) -> set[tuple[Any, Any]]:
    return {(actor.get("actor_id"), actor.get("actor_type")) for actor in said}
