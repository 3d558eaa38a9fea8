"""How long GitHub is waited for, and what is asked for again: githubkit's question after each failure, answered.

Rules:
1. What was refused for a rate limit was not done: again after the wait that GitHub names, unless that is longer than ours.
2. After a lost answer (no connection, 5xx) what reads or sets is asked for again, what makes something new is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import httpx
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed
from githubkit.retry import RetryOption

MAKES = "POST"
"""The method of what makes something new"""


@dataclass(frozen=True)
class Patience:
    """How long GitHub is waited for."""

    attempts: int
    """of one request, and of making one thing"""
    pause_seconds: float
    """between two of them after a lost answer"""
    longest_wait_seconds: float
    """that a rate limit may ask for; beyond it the request has failed"""
    request_seconds: float
    """without a byte from the other side"""
    all_seconds: float
    """for everything that is asked in one go: no request begins later"""

    def __call__(self, error: GitHubException, retry_count: int) -> RetryOption:
        """githubkit's question after each failure: again, and when?"""
        if retry_count + 1 >= self.attempts:
            return RetryOption(False)
        if isinstance(error, RateLimitExceeded):
            return _again(error.retry_after, error.retry_after.total_seconds() <= self.longest_wait_seconds)
        # githubkit's own answer would also make something twice when a 502 came after the write.
        is_safe = is_lost(error) and method_of(error) != MAKES
        return _again(timedelta(seconds=self.pause_seconds), is_safe)


FORWARD = Patience(attempts=4, pause_seconds=2, longest_wait_seconds=90, request_seconds=30, all_seconds=900)
BRIEF = Patience(attempts=1, pause_seconds=0, longest_wait_seconds=0, request_seconds=5, all_seconds=20)
"""Where somebody waits for a release to go on or to end: once, and what failed is done again later."""


def _again(wait: timedelta, is_again: bool) -> RetryOption:
    # githubkit takes a wait of nothing for one that was not said, and waits a minute.
    return RetryOption(is_again, max(wait, timedelta(milliseconds=1)))


def is_lost(error: GitHubException) -> bool:
    """Whether nobody said what became of the request."""
    if isinstance(error, RequestFailed):
        return error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error, RequestError) and isinstance(error.exc, httpx.RequestError)


def method_of(error: GitHubException) -> str:
    """Of the request; of one that is not known the one that is least safe to send again."""
    if isinstance(error, RequestFailed):
        return error.request.method
    if isinstance(error, RequestError) and isinstance(error.exc, httpx.RequestError):
        return error.exc.request.method
    return MAKES
