"""A release and a drill are triggered in the UI as they come: nothing has to be filled in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dags.scheduler import load


@pytest.mark.parametrize("name", ["release", "staging_rehearsal"])
def test_no_field_waits_for_an_entry(metadata_database: None, name: str) -> None:
    """The UI's form asks for every field that is empty, unless null is one of its types: an empty text does not do."""
    dag: Any = load(name, {"release": "release", "staging_rehearsal": "rehearsal"}[name])
    assert dag.params
    for field in dag.params:
        param = dag.params.get_param(field)
        has_value, types = param.value not in ("", None), param.schema.get("type", "string")
        assert has_value or "null" in types, field
    dag.params.validate()
