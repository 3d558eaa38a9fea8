"""When a release goes to GitHub, and what becomes of it when GitHub does not take it. Without `github` in production's
environment nothing here does anything; a drill never goes there.

Rules:
1. `publish` and `protect` are what the plan asks for: an error there is the task's. Nothing is deployed to production yet.
2. Everything else is told to people who look at GitHub: its failure is `github.failed` in the ledger, is in the log and is
   told, and ends nothing. Done again, it does what is missing.
3. Of the way back nothing waits for GitHub: `withdraw` and `show` come after everything is restored and people were told.
4. `github.begun` is in the ledger before the first write: whoever withdraws looks for it, and once the release only goes back
   it is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from roundtrip.errors import ForgeError, HostError, SecretError, StaleTokenError
from roundtrip.forge.backlog import BacklogItem
from roundtrip.forge.git import Git
from roundtrip.notifying import messages
from roundtrip.notifying.telling import notify
from roundtrip.plan.environment import GitHubRepository
from roundtrip.release import Release
from roundtrip.rollout.deploying import NO_WAY_FORWARD
from roundtrip.rollout.outcome import Outcome
from roundtrip.rollout.verdicts import require_recorded
from roundtrip.targets.bundles import file_digest
from roundtrip.toolchain.folders import locked

if TYPE_CHECKING:
    from roundtrip.forge.github.client import GitHubClient
    from roundtrip.forge.github.patience import Patience
    from roundtrip.forge.github.releases import Wanted

log = logging.getLogger(__name__)

STAGE = "production"
LOCK = "github"
"""Two tasks of a release are not there at once: both would look, and both would make what was not there."""
TAKEN_BACK = (Outcome.ROLLED_BACK.value, Outcome.STOPPED.value)


def settings_of(release: Release) -> GitHubRepository | None:
    """The repository on GitHub, None when the release has nothing to do there."""
    environment = release.environments.get(STAGE)
    return None if environment is None or release.is_drill else environment.github


def protect(release: Release) -> list[str]:
    """Plan 2.1: rulesets for main, the release branch and version tags; their names. Raises ForgeError, SecretError."""
    settings = settings_of(release)
    if settings is None:
        return []
    from roundtrip.forge.github import rulesets

    wanted = rulesets.rulesets(release.plan.repository, settings.actor)
    numbers = rulesets.protect(_client(release, settings), wanted)
    data = {"repository": settings.repository, "rulesets": numbers}
    release.ledger.append_once(release.id, "github.protected", settings.repository, data)
    log.info("rulesets of %s are as they have to be: %s", settings.repository, ", ".join(numbers))
    return list(numbers)


def publish(release: Release) -> None:
    """Plan 3.3: the tag, the GitHub release and its assets, from the folder that was published here.

    Raises ForgeError, SecretError, StaleTokenError once the release only goes back.
    """
    settings = settings_of(release)
    if settings is None:
        return
    from roundtrip.forge.github import releases
    from roundtrip.forge.github.tags import open_tags

    wanted = _wanted(release)
    begun = {"repository": settings.repository, "tag": wanted.tag}
    release.ledger.append_once(release.id, "github.begun", wanted.tag, begun, refuse_after=NO_WAY_FORWARD)
    _require_way_forward(release)
    tags = open_tags(settings, Git(release.repository), _token(release, settings))
    with locked(release.folder / LOCK):
        made = releases.publish(
            _client(release, settings), tags, wanted, lambda other: _is_taken_back(release, other)
        )
    data = {**begun, "url": made.html_url, "id": made.id, "assets": len(wanted.assets)}
    release.ledger.append_once(release.id, "github.published", wanted.tag, data)
    log.info("published on GitHub: %s", made.html_url)


def add_backlog(release: Release, items: Sequence[BacklogItem]) -> None:
    """Plan 3.5: the backlog as issues, in a milestone for the next version."""
    settings, began = settings_of(release), release.ledger.last(release.id, "release.started")
    if settings is None or began is None:
        return
    plan, since = release.plan, began.at

    def act(client: GitHubClient) -> dict[str, Any]:
        from roundtrip.forge.github import backlog

        version = backlog.next_version(plan.from_version, plan.to_version)
        milestone = f"{plan.repository.tag_prefix}{version}"
        return {"milestone": milestone, "issues": backlog.add(client, items, milestone, since)}

    done = _tried(release, settings, "backlog", act, is_brief=False)
    if _is_new(release, "github.backlog", done):
        release.ledger.append(release.id, "github.backlog", done)


def withdraw(release: Release, outcome: Outcome) -> None:
    """Mark what is published of a release that was not promoted as withdrawn."""
    settings = settings_of(release)
    begun = release.ledger.last(release.id, "github.begun")
    if settings is None or begun is None or outcome is Outcome.PROMOTED:
        return

    def act(client: GitHubClient) -> dict[str, Any]:
        from roundtrip.forge.github import releases

        there = releases.withdraw(client, release.id, f"Release `{release.id}` of it ended {outcome.value}.")
        return {"url": there.html_url if there else None}

    done = _tried(release, settings, "withdrawn", act)
    if _is_new(release, "github.withdrawn", done):
        release.ledger.append(release.id, "github.withdrawn", done)


def show(release: Release) -> None:
    """Deployments of the environments and statuses of the gates, as the ledger has them now.

    Not before the commit is there, which is with the tag.
    """
    settings, published = settings_of(release), release.ledger.last(release.id, "github.published")
    tagged = release.ledger.last(release.id, "sign.tagged")
    if settings is None or published is None or tagged is None:
        return
    events, commit = release.ledger.events(release.id), str(tagged.data["commit"])
    names = {stage: environment.name for stage, environment in release.environments.items()}

    def act(client: GitHubClient) -> dict[str, Any]:
        from roundtrip.forge.github import showing

        deployments = showing.deployments(events, names)
        gates = showing.gate_statuses(events, release.id)
        showing.show(client, release.id, commit, deployments, gates)
        return {
            "deployments": {one.environment: list(one.states) for one in deployments},
            "gates": {gate.context: gate.state for gate in gates},
        }

    done = _tried(release, settings, "shown", act)
    if _is_new(release, "github.shown", done):
        release.ledger.append(release.id, "github.shown", done)


def _tried(
    release: Release,
    settings: GitHubRepository,
    what: str,
    act: Callable[[GitHubClient], dict[str, Any]],
    *,
    is_brief: bool = True,
) -> dict[str, Any]:
    """Do it; what came of it. Empty when it could not be done, be it that githubkit is not installed as it has to be: that is
    recorded and told."""
    about = {"repository": settings.repository}
    try:
        from roundtrip.forge.github.patience import BRIEF, FORWARD

        patience = BRIEF if is_brief else FORWARD
        with locked(release.folder / LOCK, patience.all_seconds):
            data = {**about, **act(_client(release, settings, patience))}
    except (ForgeError, SecretError, HostError, ImportError) as error:
        log.error("GitHub: %s: %s", what, error)
        release.ledger.append(release.id, "github.failed", {**about, "what": what, "error": str(error)})
        notify(release, messages.github_failed(release, what))
        return {}
    log.info("GitHub: %s", what)
    return data


def _is_new(release: Release, kind: str, done: Mapping[str, Any]) -> bool:
    """Whether it was done, and came to something else than the last time."""
    last = release.ledger.last(release.id, kind)
    return bool(done) and (last is None or last.data != done)


def _require_way_forward(release: Release) -> None:
    """Also of a publishing that had begun before the rollback did."""
    for kind in NO_WAY_FORWARD:
        if release.ledger.last(release.id, kind) is not None:
            raise StaleTokenError(
                f"publishing on GitHub: refused, {kind} is in the ledger",
                where=release.id,
                remedy="this release is being taken back; nothing of it goes forward any more",
            )


def _wanted(release: Release) -> Wanted:
    from roundtrip.forge.github.assets import Asset
    from roundtrip.forge.github.releases import Wanted

    plan = release.plan
    tagged = require_recorded(release, "sign.tagged")
    published = require_recorded(release, "sign.published")
    folder = release.home.releases / str(published.data["folder"]) / "assets"
    text = (
        f"{plan.platform} {plan.to_version}, as “{plan.document}” says. Commit `{tagged.data['commit']}`.\n\n"
        f"`SHA256SUMS` names every file and `<file>.sig` signs it: "
        f"`cosign verify-blob --key cosign.pub --insecure-ignore-tlog=true --signature FILE.sig FILE`, with the key that you have from elsewhere."
    )
    return Wanted(
        release.id,
        str(tagged.data["tag"]),
        str(tagged.data["object"]),
        f"{plan.platform} {plan.to_version}",
        text,
        [Asset(file, file.stat().st_size, file_digest(file)) for file in sorted(folder.iterdir())],
    )


def _is_taken_back(release: Release, other: str) -> bool:
    outcome = release.ledger.last(other, "release.outcome")
    return outcome is not None and outcome.data.get("outcome") in TAKEN_BACK


def _client(release: Release, settings: GitHubRepository, patience: Patience | None = None) -> GitHubClient:
    from roundtrip.forge.github.client import open_client
    from roundtrip.forge.github.patience import FORWARD

    return open_client(settings, _token(release, settings), patience or FORWARD)


def _token(release: Release, settings: GitHubRepository) -> str:
    """Raises SecretError."""
    token = release.secrets(settings.connection).get("token", "")
    if not token:
        raise SecretError(
            "its extra holds no 'token'",
            where=settings.connection,
            remedy="put a fine-grained token there; docs/github.md says with which permissions",
        )
    return token
