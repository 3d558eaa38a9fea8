"""An image without the traces of its build: what is in it stays, when it was built does not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.build.images.canonical import canonical, differences, read
from roundtrip.errors import ArtefactError

EPOCH = 1_700_000_000
BASE = {"bin/sh": (b"shell", EPOCH - 1000.25)}
FILES = {"app/main.py": (b"print()", EPOCH + 5.5), "app/data": (b"x" * 9, EPOCH - 7.0)}
Files = Mapping[str, tuple[bytes, float]]


def layer(files: Files, *, packed: bool = False) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, (content, mtime) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            info.pax_headers = {"SCHILY.xattr.user.kept": "yes"}
            made.addfile(info, io.BytesIO(content))
    return gzip.compress(written.getvalue()) if packed else written.getvalue()


def save(file: Path, layers: Sequence[bytes], **of_container: Any) -> Path:
    """As an engine does."""
    plain = [gzip.decompress(one) if one.startswith(b"\x1f\x8b") else one for one in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-27T16:00:00.123456789Z",
        "container": "0badcafe",
        "docker_version": "20.10.24",
        "config": {"Hostname": "0badcafe", "Image": "sha256:aa", "Cmd": ["python3"], **of_container},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in plain],
        },
        "history": [
            {"created": "2020-01-01T00:00:00Z", "created_by": "base"},
            {"created": "2026-11-27T16:00:00.1Z", "created_by": "copy"},
        ],
    }
    members = {"config.json": json.dumps(config).encode()}
    members |= {f"{number}/layer.tar": one for number, one in enumerate(layers)}
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": list(members)[1:]}]
    members["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(file, "w") as made:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return file


def contents(file: Path) -> list[dict[str, tuple[bytes, float, str]]]:
    """By layer: what is in it."""
    archive = read(file)
    found = []
    with tarfile.open(file) as saved:
        for name in archive.layers:
            member = saved.extractfile(name)
            assert member is not None
            with tarfile.open(fileobj=member) as members:
                found.append(
                    {
                        m.name: (
                            members.extractfile(m).read(),  # type: ignore[union-attr]
                            m.mtime,
                            m.pax_headers["SCHILY.xattr.user.kept"],
                        )
                        for m in members
                    }
                )
    return found


def test_its_id_and_its_layers_are_what_their_digests_say(tmp_path: Path) -> None:
    identity = canonical(
        save(tmp_path / "saved", [layer(BASE), layer(FILES)]), tmp_path / "made", epoch=EPOCH
    )
    with tarfile.open(tmp_path / "made") as made:
        [manifest] = json.load(made.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = made.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        layers = [made.extractfile(name).read() for name in manifest["Layers"]]  # type: ignore[union-attr]
    assert identity == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert json.loads(config)["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers
    ]


def test_what_is_in_it_stays_and_no_time_is_later_than_the_sources(tmp_path: Path) -> None:
    canonical(save(tmp_path / "saved", [layer(BASE), layer(FILES)]), tmp_path / "made", epoch=EPOCH)
    [base, own] = contents(tmp_path / "made")
    assert base == {"bin/sh": (b"shell", EPOCH - 1000.25, "yes")}
    assert own == {
        "app/main.py": (b"print()", EPOCH, "yes"),
        "app/data": (b"x" * 9, EPOCH - 7, "yes"),
    }


def test_a_layer_with_nothing_later_is_left_byte_for_byte_also_when_the_engine_keeps_it_packed(
    tmp_path: Path,
) -> None:
    saved = save(tmp_path / "saved", [layer(BASE, packed=True), layer(FILES)])
    canonical(saved, tmp_path / "made", epoch=EPOCH)
    assert (
        read(tmp_path / "made").config["rootfs"]["diff_ids"][0] == read(saved).config["rootfs"]["diff_ids"][0]
    )


def test_the_engines_notes_of_its_own_containers_are_left_out(tmp_path: Path) -> None:
    saved = save(tmp_path / "saved", [layer(BASE), layer(FILES)], User="10001", Env=["A=b"])
    canonical(saved, tmp_path / "made", epoch=EPOCH)
    config = read(tmp_path / "made").config
    assert config["config"] == {"Cmd": ["python3"], "User": "10001", "Env": ["A=b"]}
    assert not {"container", "docker_version"} & config.keys()
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert [entry["created"] for entry in config["history"]] == ["2020-01-01T00:00:00Z", config["created"]]


@given(
    seconds=st.floats(min_value=0.5, max_value=1e8, allow_nan=False),
    hostname=st.text(alphabet="0123456789abcdef", min_size=12, max_size=12),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_built_later_and_elsewhere_it_is_the_same(tmp_path: Path, seconds: float, hostname: str) -> None:
    later = {name: (content, EPOCH + seconds) for name, (content, _) in FILES.items()}
    first = {name: (content, EPOCH + 0.25) for name, (content, _) in FILES.items()}
    ids = {
        canonical(
            save(tmp_path / "saved", [layer(BASE), layer(files)], Hostname=host),
            tmp_path / "made",
            epoch=EPOCH,
        )
        for files, host in ((first, "here"), (later, hostname))
    }
    assert len(ids) == 1


def test_another_content_is_another_image_and_what_differs_is_named(tmp_path: Path) -> None:
    other = {**FILES, "app/main.py": (b"print(1)", EPOCH), "app/new": (b"", EPOCH)}
    ids = [
        canonical(
            save(tmp_path / "saved", [layer(BASE), layer(files)], Env=[env]), tmp_path / name, epoch=EPOCH
        )
        for name, files, env in (("first", FILES, "A=1"), ("second", other, "A=2"))
    ]
    assert ids[0] != ids[1]
    assert differences(tmp_path / "first", tmp_path / "second") == [
        "app/main.py in layer 2",
        "app/new in layer 2",
        "configuration config",
    ]
    assert differences(tmp_path / "first", tmp_path / "first") == []


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8bcut off"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved").write_bytes(content)
    with pytest.raises(ArtefactError, match="expected one image as the engine saves it"):
        canonical(tmp_path / "saved", tmp_path / "made", epoch=EPOCH)
