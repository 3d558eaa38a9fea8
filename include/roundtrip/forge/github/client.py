"""One repository on GitHub, spoken to with patience and in errors of ours.

Rules:
1. A request is sent again as `patience` says, which never makes anything twice: whoever wants something made looks first
   whether it is there, and looks again after a lost answer (`made`).
2. A token that is not accepted, or may not do something, ends it at once; the error names the connection and the permission.
3. Nothing is cached: what is looked for is what is there now.
4. Of an answer only what is needed is read (`answers`), not all that GitHub's description promises: it lags behind.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import httpx
from githubkit import GitHub, Response, TokenAuthStrategy
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed
from githubkit.rest import Paginator
from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from roundtrip.errors import ForgeError, ForgeUnavailableError, LostAnswerError
from roundtrip.forge.github.answers import Answer
from roundtrip.forge.github.patience import FORWARD, MAKES, Patience, is_lost, method_of
from roundtrip.plan.environment import GitHubRepository

T = TypeVar("T")
A = TypeVar("A", bound=Answer)

MOST_LISTED = 5000
"""of releases, assets or issues; a repository with more of what is looked for is not ours to read"""
PER_PAGE = 100
Call = Callable[..., Response[Any, Any]]
"""One of githubkit's, which begins with owner and name"""
_SAID_CHARACTERS = 300
DOCUMENTED = "docs/github.md"


@dataclass(frozen=True)
class GitHubClient:
    """A repository, and the token that opens it."""

    owner: str
    name: str
    connection: str
    """which Airflow connection the token is of, for messages"""
    patience: Patience
    github: GitHub[TokenAuthStrategy] = field(repr=False)
    until: float
    """when the patience ends, by `clock`"""
    clock: Callable[[], float] = time.monotonic

    @property
    def rest(self) -> Any:
        """githubkit's calls. Their answers are typed by GitHub's description, which rule 4 does without."""
        return self.github.rest

    def ask(self, kind: type[A], call: Call, *arguments: Any, **named: Any) -> A:
        """The answer of `call` for this repository. Raises ForgeError."""
        return self.answer(kind, lambda: call(self.owner, self.name, *arguments, **named))

    def answer(self, kind: type[A], request: Callable[[], Response[Any, Any]]) -> A:
        """What `request` was answered with. Raises ForgeError."""
        return self._checked(kind, self._read(self._asked(request)))

    def tell(self, call: Call, *arguments: Any, **named: Any) -> None:
        """`call` for this repository, which has an answer without content. Raises ForgeError."""
        self._asked(lambda: call(self.owner, self.name, *arguments, **named))

    def all(self, kind: type[A], call: Call, *arguments: Any, **named: Any) -> list[A]:
        """Everything that `call` lists, all pages of it. Raises ForgeError, also when it is beyond MOST_LISTED."""
        pages: Paginator[A] = Paginator(
            self.rest,
            call,
            lambda page: self._list(kind, page),
            self.owner,
            self.name,
            *arguments,
            per_page=PER_PAGE,
            **named,
        )
        self._require_time()
        try:
            found = list(islice(pages, MOST_LISTED + 1))
        except GitHubException as error:
            raise self._explained(error) from error
        if len(found) > MOST_LISTED:
            raise self._error(
                f"{call.__name__}: expected at most {MOST_LISTED}, got more",
                "use a repository of the platform's own",
            )
        return found

    def made(self, look: Callable[[], T | None], make: Callable[[], T]) -> T:
        """What `look` finds, or else what `make` makes; looks again whenever the answer was lost."""

        def attempt() -> T:
            found = look()
            return make() if found is None else found

        again = Retrying(
            retry=retry_if_exception_type(LostAnswerError),
            stop=stop_after_attempt(self.patience.attempts),
            wait=wait_fixed(self.patience.pause_seconds),
            reraise=True,
        )
        return again(attempt)

    def _asked(self, request: Callable[[], Response[Any, Any]]) -> Response[Any, Any]:
        self._require_time()
        try:
            return request()
        except GitHubException as error:
            raise self._explained(error) from error

    def _read(self, response: Response[Any, Any]) -> Any:
        if not response.is_success:
            # A redirect: followed, a request that makes something would become one that reads.
            raise self._error(
                f"answered with {response.status_code}: it was renamed or moved",
                "correct 'github.repository' in the environment",
            )
        try:
            return response.json()
        except ValueError as error:
            raise self._not_understood("it is no JSON") from error

    def _require_time(self) -> None:
        if self.clock() > self.until:
            raise ForgeUnavailableError(
                f"took longer than {self.patience.all_seconds:g} s in all",
                where=self._where,
                remedy=f"run the task again, it goes on where it was; {DOCUMENTED}",
            )

    def _list(self, kind: type[A], page: Response[Any, Any]) -> list[A]:
        self._require_time()
        read = self._read(page)
        if not isinstance(read, list):
            raise self._not_understood(f"expected a list, got a {type(read).__name__}")
        return [self._checked(kind, one) for one in read]

    def _checked(self, kind: type[A], read: Any) -> A:
        try:
            return kind.model_validate(read)
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, one["loc"])) or "all of it" for one in error.errors())
            raise self._not_understood(f"{kind.__name__}: {wrong}") from error

    def _not_understood(self, why: str) -> ForgeUnavailableError:
        return ForgeUnavailableError(
            f"the answer is not understood: {why}",
            where=self._where,
            remedy="see what stands between here and GitHub",
        )

    def _explained(self, error: GitHubException) -> ForgeError:
        if isinstance(error, RateLimitExceeded):
            return ForgeUnavailableError(
                f"the rate limit is used up for another {error.retry_after.total_seconds():.0f} s",
                where=self._where,
                remedy=f"wait so long, then run the task again; {DOCUMENTED}",
            )
        if is_lost(error):
            kind = LostAnswerError if method_of(error) == MAKES else ForgeUnavailableError
            return kind(
                f"{method_of(error)} was not answered: {_how(error)}",
                where=self._where,
                remedy=f"run the task again once GitHub answers; {DOCUMENTED}",
            )
        if isinstance(error, RequestFailed):
            return self._refused(error)
        return self._error(f"could not be asked: {type(error).__name__}", DOCUMENTED)

    def _refused(self, error: RequestFailed) -> ForgeError:
        status, said = error.response.status_code, _said(error)
        needs = error.response.headers.get("x-accepted-github-permissions", "")
        if status == httpx.codes.UNAUTHORIZED:
            return self._error(
                f"the token of connection '{self.connection}' is not accepted (401): expired, revoked or mistyped",
                f"make a new one and put it into the connection's extra as 'token'; {DOCUMENTED}",
            )
        if status in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
            permission = needs.replace("=", ": ") or f"what {DOCUMENTED} lists"
            return self._error(
                f"{error.request.method} {error.request.url.path} was refused ({status}): {said}",
                f"the token of connection '{self.connection}' needs {permission}; or the repository is not there",
            )
        if status == httpx.codes.UNPROCESSABLE_ENTITY and "already_exists" in said:
            # Somebody made the same at the same time: another run of the same task.
            return LostAnswerError(
                f"is there already: {said}", where=self._where, remedy="run the task again"
            )
        return self._error(
            f"{error.request.method} {error.request.url.path} was refused ({status}): {said}", DOCUMENTED
        )

    def _error(self, what: str, remedy: str) -> ForgeError:
        return ForgeError(what, where=self._where, remedy=remedy)

    @property
    def _where(self) -> str:
        return f"GitHub repository {self.owner}/{self.name}"


def open_client(
    settings: GitHubRepository,
    token: str,
    patience: Patience = FORWARD,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> GitHubClient:
    """The repository of an environment. Nothing is asked yet; the patience begins now."""
    owner, _, name = settings.repository.partition("/")
    github = GitHub(
        TokenAuthStrategy(token),
        base_url=settings.api,
        user_agent="roundtrip",
        follow_redirects=False,
        timeout=patience.request_seconds,
        # githubkit opens a connection for each request; reading the authorities each time took longer than asking.
        ssl_verify=_trusted(),
        http_cache=False,
        auto_retry=patience,
    )
    until = clock() + patience.all_seconds
    return GitHubClient(owner, name, settings.connection, patience, github, until, clock)


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _how(error: GitHubException) -> str:
    if isinstance(error, RequestFailed):
        return str(error.response.status_code)
    return type(error.exc).__name__ if isinstance(error, RequestError) else type(error).__name__


def _said(error: RequestFailed) -> str:
    """GitHub's own words on a refusal, bounded."""
    try:
        answer = error.response.json()
    except ValueError:
        return "no reason given"
    if not isinstance(answer, dict):
        return "no reason given"
    reasons = [answer.get("message"), *(answer.get("errors") or [])]
    return "; ".join(str(reason) for reason in reasons if reason)[:_SAID_CHARACTERS]
