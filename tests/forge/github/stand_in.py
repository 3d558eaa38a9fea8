"""A stand-in for GitHub's REST interface, made from GitHub's published description: no GitHub answers here.

It serves the routes that Roundtrip uses on loopback, keeps what it is told, and holds every request and every answer of its
own against the description (`contract`). What a git push brings is a real bare repository; whether a tag is there is asked of
that. A test bends it: a fault for the next requests that fit, a small page, state put in by hand.

What it does beyond the description is what GitHub's documentation says in words: a release whose tag is gone is a draft
again, names of assets and of milestones are there once, a ruleset's name too, a list of rulesets shows no rules.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from roundtrip.forge.git import Git
from tests.forge.github.contract import Answer, Contract, ContractError, Request

OWNER, NAME, TOKEN = "top-tier", "trading", "github_pat_of_the_test"
REPOSITORY = "/repos/{owner}/{repo}"
DOCUMENTATION = "https://docs.github.com/rest"
UPLOADS = "/uploads"
"""below the stand-in's own address; GitHub's is another host"""


@dataclass
class Fault:
    """What happens to the next `times` requests that fit."""

    method: str
    path: str
    """a regular expression, found in the path"""
    answer: Answer | None
    """None: the connection is closed without one"""
    does_it: bool = False
    """whether what was asked for is done before"""
    times: int = 1

    def fits(self, request: Request) -> bool:
        return self.times > 0 and request.method == self.method and bool(re.search(self.path, request.path))


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as GitHub words it."""
    said = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return Answer(status, said, headers or {})


def invalid(resource: str, name: str, code: str) -> Answer:
    """GitHub's 422."""
    errors = [{"resource": resource, "field": name, "code": code}]
    return Answer(422, {"message": "Validation Failed", "errors": errors, "documentation_url": DOCUMENTATION})


@dataclass
class StandIn:
    """The state, and what answers."""

    contract: Contract
    address: str
    git: Path
    """what git pushes to"""
    page_size: int = 100
    """GitHub's own is 100 at most; a test makes it small"""
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """requests and answers that are not as described"""
    releases: dict[int, dict[str, Any]] = field(default_factory=dict)
    assets: dict[int, dict[str, Any]] = field(default_factory=dict)
    """each with `release`, which is not told"""
    issues: list[dict[str, Any]] = field(default_factory=list)
    milestones: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    states: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    forbids: set[str] = field(default_factory=set)
    """types of rules that it takes and does not keep, as a plan without them may"""
    _id: int = 100
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, request: Request) -> Answer | None:
        """None: say nothing and close the connection."""
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.fits(request)), None)
            if fault is None:
                return self._done(request)
            fault.times -= 1
            if fault.does_it:
                self._done(request)
            if fault.answer is not None:
                self._checked(request, fault.answer)
            return fault.answer

    def writes(self) -> list[str]:
        """Method and path of every request that was to change something."""
        return [f"{r.method} {r.path}" for r in self.requests if r.method != "GET"]

    def _done(self, request: Request) -> Answer:
        found = self._route(request)
        if found is None:
            self.broken.append(f"{request.method} {request.target}: no such route")
            return refusal(404, "Not Found")
        route, act, numbers = found
        if request.headers.get("authorization", "").split(" ")[-1] != TOKEN:
            return self._checked(request, refusal(401, "Bad credentials"))
        try:
            self.contract.check_request(request, route)
        except ContractError as error:
            self.broken.append(str(error))
            return refusal(400, "not as described")
        return self._checked(request, act(request, *numbers))

    def _checked(self, request: Request, answer: Answer) -> Answer:
        try:
            self.contract.check_answer(request, answer)
        except ContractError as error:
            self.broken.append(str(error))
        return answer

    def _route(self, request: Request) -> tuple[str, Callable[..., Answer], Sequence[Any]] | None:
        for method, path, act in self._routes():
            pattern = path.replace("{owner}/{repo}", f"{OWNER}/{NAME}")
            pattern = re.sub(r"\{(\w*_id)\}", r"(\\d+)", pattern)
            pattern = re.sub(r"\{(sha|ref)\}", r"([^/]+)", pattern)
            below = (
                UPLOADS if (method, path) == ("POST", f"{REPOSITORY}/releases/{{release_id}}/assets") else ""
            )
            found = re.fullmatch(below + pattern, request.path)
            if found and method == request.method:
                return path, act, [int(part) if part.isdigit() else part for part in found.groups()]
        return None

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        one = REPOSITORY
        return [
            ("GET", f"{one}/releases", self.list_releases),
            ("POST", f"{one}/releases", self.create_release),
            ("PATCH", f"{one}/releases/{{release_id}}", self.update_release),
            ("GET", f"{one}/releases/{{release_id}}/assets", self.list_assets),
            ("POST", f"{one}/releases/{{release_id}}/assets", self.upload),
            ("DELETE", f"{one}/releases/assets/{{asset_id}}", self.delete_asset),
            ("GET", f"{one}/issues", self.list_issues),
            ("POST", f"{one}/issues", self.create_issue),
            ("GET", f"{one}/milestones", self.list_milestones),
            ("POST", f"{one}/milestones", self.create_milestone),
            ("GET", f"{one}/deployments", self.list_deployments),
            ("POST", f"{one}/deployments", self.create_deployment),
            ("GET", f"{one}/deployments/{{deployment_id}}/statuses", self.list_states),
            ("POST", f"{one}/deployments/{{deployment_id}}/statuses", self.create_state),
            ("POST", f"{one}/statuses/{{sha}}", self.create_status),
            ("GET", f"{one}/commits/{{ref}}/statuses", self.list_statuses),
            ("GET", f"{one}/rulesets", self.list_rulesets),
            ("POST", f"{one}/rulesets", self.create_ruleset),
            ("GET", f"{one}/rulesets/{{ruleset_id}}", self.get_ruleset),
            ("PUT", f"{one}/rulesets/{{ruleset_id}}", self.update_ruleset),
        ]

    # Releases and their assets

    def list_releases(self, request: Request) -> Answer:
        return self._page(request, [self._release(one) for one in reversed(self.releases.values())])

    def create_release(self, request: Request) -> Answer:
        asked = {"draft": False, "prerelease": False, "target_commitish": "main", "name": None, "body": None}
        release = {
            **asked,
            **request.json,
            "id": self._next(),
            "created_at": self._now(),
            "published_at": None,
        }
        if not release["draft"]:
            self.broken.append("a release was published before its assets were there")
        self.releases[release["id"]] = release
        return Answer(201, self._release(release))

    def update_release(self, request: Request, number: int) -> Answer:
        release, changed = self.releases.get(number), request.json
        if release is None:
            return refusal(404, "Not Found")
        others = [one for one in self.releases.values() if one["id"] != number and not one["draft"]]
        after = {**release, **changed}
        if not after["draft"] and any(one["tag_name"] == after["tag_name"] for one in others):
            return invalid("Release", "tag_name", "already_exists")
        if not after["draft"] and self._tag(after["tag_name"]) is None:
            self.broken.append(f"GitHub would make a tag {after['tag_name']} of its own")
        if release["draft"] and not after["draft"]:
            after["published_at"] = self._now()
        self.releases[number] = after
        return Answer(200, self._release(after))

    def list_assets(self, request: Request, number: int) -> Answer:
        return self._page(request, self._assets(number))

    def upload(self, request: Request, number: int) -> Answer:
        name = request.query["name"]
        if any(one["name"] == name for one in self._assets(number)):
            return invalid("ReleaseAsset", "name", "already_exists")
        digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
        return Answer(201, self.put_asset(number, name, len(request.body), digest))

    def put_asset(
        self, release: int, name: str, size: int, digest: str | None, state: str = "uploaded"
    ) -> dict[str, Any]:
        """An asset as it would be after an upload, or half of one."""
        asset = {"id": self._next(), "name": name, "size": size, "digest": digest, "state": state}
        self.assets[asset["id"]] = {**asset, "release": release}
        return next(one for one in self._assets(release) if one["id"] == asset["id"])

    def delete_asset(self, request: Request, number: int) -> Answer:
        return Answer(204) if self.assets.pop(number, None) else refusal(404, "Not Found")

    def _release(self, release: dict[str, Any]) -> dict[str, Any]:
        if not release["draft"] and self._tag(release["tag_name"]) is None:
            release = {**release, "draft": True}
        shown = {key: value for key, value in release.items() if key != "make_latest"}
        place = f"{self.address}/repos/{OWNER}/{NAME}/releases/{release['id']}"
        uploads = f"{self.address}{UPLOADS}/repos/{OWNER}/{NAME}/releases/{release['id']}/assets"
        addresses = {
            "url": place,
            "html_url": f"https://github.example/{OWNER}/{NAME}/releases/{release['tag_name']}",
            "upload_url": uploads + "{?name,label}",
        }
        example = self.contract.example(f"{REPOSITORY}/releases", "post", "201")
        return {**example, **shown, **addresses, "assets": self._assets(release["id"])}

    def _assets(self, release: int) -> list[dict[str, Any]]:
        example = self.contract.example(f"{REPOSITORY}/releases/{{release_id}}/assets", "post", "201")
        ours = [one for one in self.assets.values() if one["release"] == release]
        return [{**example, **{k: v for k, v in one.items() if k != "release"}} for one in ours]

    def _tag(self, name: str) -> str | None:
        found = Git(self.git).attempt("rev-parse", "--verify", "--quiet", f"refs/tags/{name}")
        return found.stdout.decode().strip() if found.returncode == 0 else None

    # The backlog

    def list_issues(self, request: Request) -> Answer:
        since = request.query.get("since", "")
        states = ("open", "closed") if request.query.get("state") == "all" else ("open",)
        at = (
            datetime.fromisoformat(since.replace("Z", "+00:00"))
            if since
            else datetime.min.replace(tzinfo=UTC)
        )
        found = [
            one
            for one in self.issues
            if one["state"] in states
            and datetime.fromisoformat(one["updated_at"].replace("Z", "+00:00")) >= at
        ]
        return self._page(request, list(reversed(found)))

    def create_issue(self, request: Request) -> Answer:
        asked = request.json
        milestone = next((one for one in self.milestones if one["number"] == asked.get("milestone")), None)
        if asked.get("milestone") is not None and milestone is None:
            return invalid("Issue", "milestone", "invalid")
        example = self.contract.example(f"{REPOSITORY}/issues", "post", "201")
        label = example["labels"][0]
        issue = {
            **example,
            **asked,
            "id": self._next(),
            "number": len(self.issues) + 1,
            "state": "open",
            "closed_at": None,
            "milestone": milestone,
            "labels": [{**label, "name": name} for name in asked.get("labels", [])],
            "updated_at": self._now(),
        }
        issue.pop("pull_request", None)
        self.issues.append(issue)
        return Answer(201, issue)

    def list_milestones(self, request: Request) -> Answer:
        return self._page(request, self.milestones)

    def create_milestone(self, request: Request) -> Answer:
        if any(one["title"] == request.json["title"] for one in self.milestones):
            return invalid("Milestone", "title", "already_exists")
        example = self.contract.example(f"{REPOSITORY}/milestones", "post", "201")
        number = len(self.milestones) + 1
        milestone = {**example, **request.json, "id": self._next(), "number": number}
        self.milestones.append(milestone)
        return Answer(201, milestone)

    # Deployments and statuses

    def list_deployments(self, request: Request) -> Answer:
        asked = {name: request.query[name] for name in ("sha", "environment") if name in request.query}
        found = [one for one in self.deployments if all(one[name] == asked[name] for name in asked)]
        return self._page(request, list(reversed(found)))

    def create_deployment(self, request: Request) -> Answer:
        asked = request.json
        if not Git(self.git).succeeds("cat-file", "-e", asked["ref"]):
            return invalid("Deployment", "ref", "invalid")
        if asked.get("auto_merge", True) or asked.get("required_contexts") is None:
            self.broken.append("GitHub would merge, or wait for its own checks")
        example = self.contract.example(f"{REPOSITORY}/deployments", "post", "201")
        told = {k: v for k, v in asked.items() if k not in ("auto_merge", "required_contexts")}
        deployment = {**example, **told, "id": self._next(), "sha": asked["ref"]}
        self.deployments.append(deployment)
        self.states[deployment["id"]] = []
        return Answer(201, deployment)

    def list_states(self, request: Request, number: int) -> Answer:
        return self._page(request, list(reversed(self.states[number])))

    def create_state(self, request: Request, number: int) -> Answer:
        example = self.contract.example(f"{REPOSITORY}/deployments/{{deployment_id}}/statuses", "post", "201")
        state = {**example, **request.json, "id": self._next()}
        self.states[number].append(state)
        return Answer(201, state)

    def create_status(self, request: Request, sha: str) -> Answer:
        example = self.contract.example(f"{REPOSITORY}/statuses/{{sha}}", "post", "201")
        status = {**example, **request.json, "id": self._next()}
        self.statuses.setdefault(str(sha), []).append(status)
        return Answer(201, status)

    def list_statuses(self, request: Request, ref: str) -> Answer:
        return self._page(request, list(reversed(self.statuses.get(str(ref), []))))

    # Rulesets

    def list_rulesets(self, request: Request) -> Answer:
        hidden = ("rules", "conditions", "bypass_actors")
        return self._page(
            request, [{k: v for k, v in one.items() if k not in hidden} for one in self.rulesets]
        )

    def create_ruleset(self, request: Request) -> Answer:
        if any(one["name"] == request.json["name"] for one in self.rulesets):
            return Answer(
                422, {"message": "Validation Failed", "errors": [], "documentation_url": DOCUMENTATION}
            )
        self.rulesets.append(self._ruleset(request.json, self._next()))
        return Answer(201, self.rulesets[-1])

    def get_ruleset(self, request: Request, number: int) -> Answer:
        found = next((one for one in self.rulesets if one["id"] == number), None)
        return Answer(200, found) if found else refusal(404, "Not Found")

    def update_ruleset(self, request: Request, number: int) -> Answer:
        place = next(n for n, one in enumerate(self.rulesets) if one["id"] == number)
        self.rulesets[place] = self._ruleset(request.json, number)
        return Answer(200, self.rulesets[place])

    def _ruleset(self, asked: dict[str, Any], number: int) -> dict[str, Any]:
        rules = [rule for rule in asked["rules"] if rule["type"] not in self.forbids]
        about = {"source": f"{OWNER}/{NAME}", "source_type": "Repository"}
        return {**asked, **about, "id": number, "rules": rules}

    # What all of them share

    def _page(self, request: Request, found: list[dict[str, Any]]) -> Answer:
        number, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
        size = min(size, self.page_size)
        headers = {}
        if number * size < len(found):
            query = "&".join(f"{k}={v}" for k, v in {**request.query, "page": number + 1}.items())
            headers["Link"] = f'<{self.address}{request.path}?{query.replace("+", "%2B")}>; rel="next"'
        return Answer(200, found[(number - 1) * size : number * size], headers)

    def _next(self) -> int:
        self._id += 1
        return self._id

    @staticmethod
    def _now() -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def serve(description: dict[str, Any], git: Path) -> Iterator[StandIn]:
    """A stand-in on a free port of loopback, ended with the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = stand_in.answer(Request(self.command, self.path, headers, self.rfile.read(length)))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.content is not None:
                self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_port}"
    contract = Contract(json.loads(json.dumps(description)), address, f"{address}{UPLOADS}")
    stand_in = StandIn(contract, address, git)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
