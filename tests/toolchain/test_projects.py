"""Dependencies come from lockfiles, once for each lock, however many tasks and releases want them."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roundtrip.errors import BuildError
from roundtrip.toolchain import programs
from roundtrip.toolchain.commands import environment, run
from roundtrip.toolchain.folders import MARKER, linked_copy, prepared
from roundtrip.toolchain.projects import Toolchain

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def toolchain(cache: Path, log: list[str]) -> Toolchain:
    return Toolchain(cache, 20, log.append)


def checkout(tmp_path: Path, name: str, folder: str = "one") -> Path:
    return Path(shutil.copytree(FIXTURES / name, tmp_path / folder))


def test_a_python_project_runs_with_its_locked_dependencies_and_its_own_code(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    project = checkout(tmp_path, "python")
    env = toolchain.dependencies(project, "python")
    code = "import tiny, mypy_extensions, importlib.metadata as m; print(tiny.ANSWER, m.version('iniconfig'))"
    assert toolchain.run(["python", "-c", code], project, env).output == "42 2.1.0"


def test_a_second_checkout_with_the_same_lock_installs_nothing(
    toolchain: Toolchain, tmp_path: Path, log: list[str]
) -> None:
    toolchain.dependencies(checkout(tmp_path, "python"), "python")
    toolchain.dependencies(checkout(tmp_path, "node", "first"), "node")
    log.clear()
    toolchain.dependencies(checkout(tmp_path, "python", "two"), "python")
    second = checkout(tmp_path, "node", "three")
    toolchain.dependencies(second, "node")
    assert log == []
    assert (second / "node_modules" / "ms" / "package.json").is_file()


def test_production_dependencies_leave_out_what_only_development_needs(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    node = checkout(tmp_path, "node")
    toolchain.dependencies(node, "node", development=False)
    assert (node / "node_modules" / "ms").is_dir()
    assert not (node / "node_modules" / "picocolors").exists()
    toolchain.dependencies(node, "node")
    assert (node / "node_modules" / "picocolors").is_dir()

    python = checkout(tmp_path, "python", "two")
    venv = toolchain.python_environment(python, development=False)
    installed = {folder.name for folder in venv.glob("lib/python3*/site-packages/*")}
    assert "iniconfig" in installed
    assert "mypy_extensions.py" not in installed


def test_a_manifest_that_left_its_lock_behind_is_refused(toolchain: Toolchain, tmp_path: Path) -> None:
    project = checkout(tmp_path, "python")
    manifest = project / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace("iniconfig (==2.1.0)", "iniconfig (==2.0.0)"))
    with pytest.raises(BuildError, match="poetry check --lock"):
        toolchain.dependencies(project, "python")

    project = checkout(tmp_path, "node", "two")
    manifest = project / "package.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"dependencies": {"ms": "2.1.2"}}))
    with pytest.raises(BuildError, match="npm ci"):
        toolchain.dependencies(project, "node")


def test_a_missing_lockfile_is_named(toolchain: Toolchain, tmp_path: Path) -> None:
    project = checkout(tmp_path, "node")
    (project / "package-lock.json").unlink()
    with pytest.raises(BuildError, match=r"no package-lock\.json"):
        toolchain.dependencies(project, "node")


def test_node_from_packages_brings_an_npm_that_works(cache: Path, tmp_path: Path) -> None:
    node = programs.node(cache, 24, lambda _: None)
    assert node.major >= 24
    done = run(["npm", "--version"], tmp_path, environment([node.folder]), lambda _: None)
    assert int(done.output.splitlines()[-1].split(".")[0]) >= 10


def test_a_folder_whose_preparation_was_killed_is_prepared_again(tmp_path: Path) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "half").touch()
    assert prepared(folder, lambda made: (made / "whole").touch()) == folder
    assert sorted(entry.name for entry in folder.iterdir()) == sorted([MARKER, "whole"])


def test_two_tasks_that_want_one_folder_at_once_prepare_it_once(tmp_path: Path) -> None:
    calls: list[Path] = []
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(prepared, tmp_path / "tool", calls.append) for _ in range(8)]:
            done.result()
    assert len(calls) == 1


def test_a_linked_copy_keeps_links_and_shares_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "pkg").mkdir(parents=True)
    (source / "pkg" / "file").write_text("content")
    (source / "link").symlink_to("pkg/file")
    linked_copy(source, tmp_path / "target")
    assert (tmp_path / "target" / "link").readlink() == Path("pkg/file")
    assert (tmp_path / "target" / "pkg" / "file").samefile(source / "pkg" / "file")
