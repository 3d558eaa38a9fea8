"""The pure parts of the compose target: what is laid over, what an engine's words mean, what the kernel's table says."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from roundtrip.errors import ArtefactError, HostError, TargetError
from roundtrip.plan.deployment import Placement
from roundtrip.targets.compose.connections import remotes
from roundtrip.targets.compose.engine import meaning
from roundtrip.targets.compose.overlay import (
    NewInstance,
    Place,
    overlay,
    require_health_check,
    section_of,
    set_name,
)

PLACED = Placement("api", "1.1.0", 1, "sha256:" + "a" * 64, "hmac-sha256:" + "b" * 64, 100)
PLACE = Place("staging", "/state/flags", "staging")


def laid_over(variables: dict[str, str]) -> dict:
    text = overlay(PLACE, NewInstance(PLACED, "registry/api@sha256:a", {}, variables, 20_001))
    yaml = YAML(typ="rt")
    return yaml.load(text)["services"]["api"]


@settings(deadline=None)
@example({"A": "\U0001f511 $HOME"})
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,10}", fullmatch=True), st.text(max_size=40), max_size=5))
def test_a_variable_is_in_the_overlay_as_it_is_but_for_doubled_dollars(variables: dict[str, str]) -> None:
    given_ = laid_over(variables)["environment"]
    own = ("HOST", "PORT", "FLAGS_FILE")
    assert {name: given_[name].replace("$$", "$") for name in variables if name not in own} == {
        name: value for name, value in variables.items() if name not in own
    }


def test_what_is_published_is_on_loopback_only() -> None:
    assert list(laid_over({})["ports"]) == ["127.0.0.1:20001:8000"]


def test_another_configuration_of_one_version_is_another_set() -> None:
    other = Placement("api", "1.1.0", 1, PLACED.bundle, "hmac-sha256:" + "c" * 64, 100)
    assert set_name("a_b", PLACED) != set_name("a_b", other)
    assert set_name("a_b", PLACED).startswith("a-b-api-1-1-0-")


@pytest.mark.parametrize("text", ["{", "[]", '"api"'])
def test_a_section_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArtefactError, match=r"label io\.roundtrip\.compose: expected"):
        section_of({"io.roundtrip.compose": text}, "registry/api")


@pytest.mark.parametrize(
    ("image", "section"),
    [
        ({}, {}),
        ({}, {"healthcheck": {"disable": True}}),
        ({"Healthcheck": {}}, {"healthcheck": {"disable": True}}),
    ],
)
def test_a_service_without_a_health_check_is_refused(image: dict, section: dict) -> None:
    with pytest.raises(ArtefactError, match="has no health check, so it would never get traffic"):
        require_health_check(image, section, "registry/api")


@pytest.mark.parametrize(
    ("image", "section"),
    [({"Healthcheck": {"Test": ["CMD", "true"]}}, {}), ({}, {"healthcheck": {"test": ["CMD", "true"]}})],
)
def test_a_health_check_of_the_image_or_of_the_platforms_file_will_do(image: dict, section: dict) -> None:
    require_health_check(image, section, "registry/api")


@pytest.mark.parametrize(
    ("said", "kind", "what"),
    [
        (
            "filesystem layer verification failed for digest sha256:1",
            ArtefactError,
            "not what its digest says",
        ),
        ("write /var/lib/docker/x: no space left on device", HostError, "no space is left"),
        ("Bind for 127.0.0.1:20001 failed: port is already allocated", TargetError, "a port is taken"),
        ("unauthorized: authentication required", TargetError, "the registry refuses"),
        ("Get http://r/v2/: dial tcp: connect: connection refused", TargetError, "does not answer"),
        ("manifest unknown: manifest unknown", TargetError, "is not there"),
        ("something else", TargetError, "the Docker Engine refuses: something else"),
    ],
)
def test_what_the_engine_says_becomes_an_error_of_ours(said: str, kind: type[Exception], what: str) -> None:
    error = meaning(said, "registry/api")
    assert type(error) is kind
    assert what in str(error)
    assert " -> " in str(error)


@given(
    st.lists(
        st.tuples(st.ip_addresses(v=4), st.integers(1, 65_535), st.sampled_from(["01", "02", "06", "0A"]))
    )
)
def test_of_the_kernels_table_the_live_connections_are_read(rows: list) -> None:
    table = "  sl  local_address rem_address   st\n" + "".join(
        f"   {n}: 00000000:1F40 {struct.unpack('<I', address.packed)[0]:08X}:{port:04X} {state} 00000000:00000000\n"
        for n, (address, port, state) in enumerate(rows)
    )
    expected = [(str(address), port) for address, port, state in rows if state in ("01", "02")]
    assert list(remotes(table)) == expected


def test_the_kernel_of_this_machine_writes_its_table_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        assert server.getsockname() in list(remotes(table))
