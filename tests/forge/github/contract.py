"""Holds every request and every answer against GitHub's description.

Rules:
1. A request has to be of a route of the description, with its parameters and body as they are described, and with none that
   are not: GitHub would leave a mistyped one out without a word.
2. An answer has to be one that the description has for the route; an error that it does not list there has to be of its
   `basic-error`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.responses.exceptions import ResponseNotFound
from openapi_core.testing import MockRequest, MockResponse
from openapi_schema_validator import OAS30ReadValidator


class ContractError(AssertionError):
    """A request or an answer is not as GitHub describes it."""


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    method: str
    target: str
    """path and query"""
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is said to it."""

    status: int
    content: Any = None
    """None: no content at all"""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return b"" if self.content is None else json.dumps(self.content).encode()


class Contract:
    """The description, ready to be asked. `address` is where it is served, `uploads` where files are sent to."""

    def __init__(self, description: dict[str, Any], address: str, uploads: str) -> None:
        self.host = address
        self.description = {**description, "servers": [{"url": address}]}
        for path, route in self.description["paths"].items():
            if path.endswith("/{release_id}/assets"):
                route["post"]["servers"] = [{"url": uploads}]
        # The description itself is GitHub's: that it has defaults which are none of their format is not ours to refuse.
        self._openapi = OpenAPI.from_dict(self.description, config=Config(spec_validator_cls=None))
        schema = {"$ref": "#/components/schemas/basic-error", "components": description["components"]}
        self._error = OAS30ReadValidator(schema)

    def check_request(self, request: Request, route: str) -> None:
        """`route`: the path of the description that serves it."""
        try:
            self._openapi.validate_request(self._mock(request))
        except OpenAPIError as error:
            raise ContractError(f"{request.method} {request.target}: {_reasons(error)}") from error
        operation = self.description["paths"][route][request.method.lower()]
        self._check_known(request, operation)

    def check_answer(self, request: Request, answer: Answer) -> None:
        """Raises ContractError."""
        said = MockResponse(answer.body, answer.status)
        try:
            self._openapi.validate_response(self._mock(request), said)
        except ResponseNotFound as error:
            wrong = [e.message for e in self._error.iter_errors(answer.content)]
            if answer.status < 400 or wrong:
                raise ContractError(f"{request.method} {request.target}: {answer.status}: {wrong}") from error
        except OpenAPIError as error:
            raise ContractError(
                f"answer to {request.method} {request.target}: {answer.status}: {_reasons(error)}"
            ) from error

    def example(self, route: str, method: str, status: str) -> Any:
        """GitHub's own example of an answer."""
        answer = self.description["paths"][route][method]["responses"][status]
        examples = answer["content"]["application/json"]["examples"]
        return self._followed(next(iter(examples.values())))["value"]

    def _check_known(self, request: Request, operation: Mapping[str, Any]) -> None:
        parameters = [self._followed(one) for one in operation.get("parameters", [])]
        known = {one["name"] for one in parameters if one["in"] == "query"}
        unknown = set(request.query) - known
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content and request.body:
            unknown |= set(request.json) - set(self._followed(content["schema"])["properties"])
        if unknown:
            raise ContractError(f"{request.method} {request.target}: not described: {sorted(unknown)}")

    def _followed(self, part: Any) -> Any:
        while "$ref" in part:
            _, _, kind, name = part["$ref"].split("/")
            part = self.description["components"][kind][name]
        return part

    def _mock(self, request: Request) -> MockRequest:
        return MockRequest(
            self.host,
            request.method,
            request.path,
            args=request.query,
            headers=dict(request.headers),
            data=request.body,
            content_type=request.headers.get("content-type", "application/json"),
        )


def _reasons(error: BaseException) -> str:
    cause = error.__cause__
    details = [str(one) for one in getattr(cause, "schema_errors", None) or []]
    return "; ".join([str(error), *([str(cause)] if cause else []), *(d.splitlines()[0] for d in details)])
